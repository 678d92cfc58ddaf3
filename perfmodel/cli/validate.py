"""``perfmodel validate``: measured and published figures against the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import options as o
from perfmodel.cli.output import give, note, one_stdout, print_columns
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError

app = new_app()
SCHEMA = "perfmodel/validate/1"
OUTSIDE = 5


def _kinds(incomplete: str) -> list[str]:
    from perfmodel.validation.kinds import KINDS

    return [name for name in KINDS if name.startswith(incomplete)]


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "validate",
        "validate my_kernels.csv --html kernels.html",
        "validate serving.csv --tolerance 20",
        "validate kernels FOLDER --by op,device,dtype --json",
        "validate published --data published_inference.csv.gz --by kind,engine,device",
        "validate vision --by group,device --html vision.html",
    ),
)
def validate(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KIND] [DATA]",
            autocompletion=_kinds,
            help="published, energy, vision, timm, serving or kernels (guessed from DATA's columns), and the table.",
        ),
    ] = None,
    data: Annotated[
        str, typer.Option("--data", metavar="FILE", help="The table, CSV or .csv.gz; of kernels also a folder of them.")
    ] = "",
    by: Annotated[str, typer.Option("--by", metavar="COLUMN,..", help="Group the errors by these columns.")] = "",
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="PERCENT", help="Exit with 5 if the median error of all is larger.")
    ] = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
    html: o.HtmlFile = "",
) -> None:
    """Compare the model with measured or published figures, and show the errors as found.

    Without a table it takes figures that come with perfmodel (published: language models; vision), each with its
    citation. Times are compared (of a rate, its inverse): a ratio above 1 means that we predict too slow. In band
    counts figures between p10 and p90, which 80 % should be. --csv writes a row a figure.
    """
    one_stdout(json, csv)
    from perfmodel.arguments import positive
    from perfmodel.validation.kinds import read_kind
    from perfmodel.validation.tables import error_table

    limit = positive("--tolerance", tolerance) if tolerance else None
    kind, path = _asked(what or [], data)
    rows, reasons = read_kind(kind, path)
    groups = [name.strip() for name in (by or _usual(kind, path)).split(",") if name.strip()]
    table = error_table(rows, groups)
    report: dict[str, Any] = {
        "schema": SCHEMA, "version": __version__, "kind": kind, "data": str(path), "by": groups, "errors": table,
        "figures": rows, "not_answered": reasons,
    }  # fmt: skip
    give(report, rows, lambda: _print(table, reasons), json=json, csv=csv, html=html, page="measured.validation_html")
    if limit is not None and table and table[-1]["median_error_percent"] > limit:
        note(f"the median error is {table[-1]['median_error_percent']:.1f} %, above {limit:g} %")
        raise typer.Exit(OUTSIDE)


def _asked(what: Sequence[str], data: str) -> tuple[str, Path]:
    """Return the kind and the table that the words mean."""
    from perfmodel.validation.kinds import FIRST, KINDS, carried_table, find_kind, guess_kind

    words = list(what)
    kind = words.pop(0) if words and words[0] in KINDS else ""
    if words and data:
        raise InputError(f"'{words[0]}' and --data {data}: name one table")
    if len(words) > 1:
        raise InputError(f"one kind and one table, not '{' '.join(what)}'")
    named = data or (words[0] if words else "")
    if not named:
        return kind or FIRST, carried_table(kind or FIRST)
    path = Path(named).expanduser()
    if not path.exists():
        if not kind and words and not path.suffix:
            find_kind(named)  # a misspelt kind
        raise InputError(f"there is no file {named}")
    kind = kind or guess_kind(path)
    if path.is_dir() and kind != "kernels":
        raise InputError(f"{named} is a folder; only kernels may be a folder of tables")
    return kind, path


def _usual(kind: str, path: Path) -> str:
    """Return the columns to group by: of the few figures that come with perfmodel, not by device."""
    from perfmodel.validation.kinds import find_kind

    chosen = find_kind(kind)
    carried = chosen.carried and path.as_posix().endswith(chosen.carried)
    return chosen.by.removesuffix(",device") if carried else chosen.by


def _print(table: Sequence[Mapping[str, Any]], reasons: Mapping[str, int]) -> None:
    if not table:
        note("no row could be answered")
    else:
        numbers = [name for name in table[-1] if name not in _TEXTS and isinstance(table[-1][name], (int, float))]
        heading = [_TITLES.get(name, name) for name in table[0]]
        rows = [[_cell(name, row[name]) for name in table[0]] for row in table]
        places = [i for i, name in enumerate(table[0]) if name in numbers]
        print_columns([heading, *rows], numbers=places)
    skipped = sum(reasons.values())
    if skipped:
        note(f"{skipped} rows not answered:")
        for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:12]:
            note(f"{count:6d}  {reason}")


_TEXTS = ("ranks", "tp", "batch")
_TITLES = {
    "median_error_percent": "median error", "mean_error_percent": "mean error", "median_ratio": "median ratio",
    "in_band_percent": "in band", "band_width": "p90/p10", "measured_over_bound": "measured/bound",
    "beats_bound": "beats bound", "rank_correlation": "rank correlation",
}  # fmt: skip


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_percent"):
        return f"{value:.1f} %"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
