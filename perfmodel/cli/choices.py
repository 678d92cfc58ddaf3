"""``perfmodel choices``: how good the model's choices are, on measured runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import give, note, one_stdout, print_columns
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError

app = new_app()


@app.command(cls=PlainCommand, epilog=examples("choices serving.csv.gz", "choices serving.csv.gz --margin 0 --json"))
def choices(
    table: Annotated[
        str, typer.Argument(metavar="RUNS.csv", help="Scenarios with measured_ttft_ms and measured_tpot_ms.")
    ],
    margin: Annotated[
        str, typer.Option("--margin", metavar="PERCENT", help="How far predicted times stay below the limit.")
    ] = "10",
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """Let the model choose among measured runs, and say what the choice loses.

    Runs of one model, device, precision and lengths are one group. For each limit on TPOT (10 to 100 ms) the run is
    picked that is predicted to give most tokens a second and device within it; regret is how much less it gave, when
    measured, than the best measured run within the limit. A picked run that misses the limit counts as a regret of
    100 %.
    """
    one_stdout(json, csv)
    from perfmodel.arguments import positive
    from perfmodel.validation import regret as r

    path = Path(table).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {table}")
    share = positive("--margin", margin) / 100.0
    runs, reasons = r.read_runs(path)
    parts = {"all": runs, "shapes that were fitted": {g: m for g, m in runs.items() if not r.held_out(g)},
             "shapes held out": {g: m for g, m in runs.items() if r.held_out(g)}}  # fmt: skip
    found = {name: r.choices(part, margin=share) for name, part in parts.items()}
    tables = {name: r.regret_table(part) for name, part in found.items()}
    if any(run.rival_rate is not None for members in runs.values() for run in members):
        both = {g: [run for run in m if run.rival_rate is not None] for g, m in runs.items()}
        tables["the other model's rows, ours"] = r.regret_table(r.choices(both, margin=share))[-1:]
        tables["the other model's rows, its own"] = r.regret_table(r.choices(both, margin=share, rival=True))[-1:]
    rows = [one._asdict() | {"group": " ".join(one.group)} for one in found["all"]]
    report = {"schema": "perfmodel/choices/1", "margin_percent": 100.0 * share, "tables": tables,
              "not_answered": reasons}  # fmt: skip
    give(report, rows, lambda: _print(tables), json=json, csv=csv)
    for reason, count in reasons.items():
        note(f"{count:6d}  {reason}")


def _print(tables: dict[str, list[dict[str, Any]]]) -> None:
    heading = ("TPOT limit", "groups", "median regret", "p90", "mean", "limit missed")
    for name, rows in tables.items():
        print(f"{name}")
        cells = [
            (_limit(row["limit_ms"]), str(row["groups"]), *(f"{row[f'{part}_percent']:.1f} %" for part in _PARTS))
            for row in rows
        ]
        print_columns([heading, *cells], numbers=(1, 2, 3, 4, 5), indent="  ")


_PARTS = ("median_regret", "p90_regret", "mean_regret", "missed")


def _limit(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g} ms"
