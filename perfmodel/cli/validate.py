"""``perfmodel validate``: measured and published figures against the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import note, one_stdout, print_columns, print_json, write_table_csv
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError, did_you_mean

app = new_app()
KINDS: dict[str, tuple[str, str, str]] = {
    "published": ("perfmodel.validation.published", "read_published", "kind,engine,device"),
    "energy": ("perfmodel.validation.energy", "read_energy", "group,device"),
    "vision": ("perfmodel.validation.vision_published", "read_vision", "group,device"),
    "timm": ("perfmodel.validation.vision", "read_timm", "device,engine"),
    "serving": ("perfmodel.validation.measured", "read_serving", "metric,mode,engine"),
    "kernels": ("perfmodel.validation.measured", "read_kernels", "op,device"),
}
"""What can be validated: module, reader, and the columns that its table is grouped by."""

OUTSIDE = 5


def _kinds(incomplete: str) -> list[str]:
    return [name for name in KINDS if name.startswith(incomplete)]


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "validate published --data published_inference.csv.gz --by kind,engine,device",
        "validate energy --data gpu_power_mlenergy.csv.gz",
        "validate vision --data published_vision.csv.gz --by group,device",
        "validate timm --data timm_inference.csv.gz --by device,engine",
        "validate serving --data serving.csv --tolerance 20",
        "validate kernels --data gemm.csv --by device,dtype --json",
    ),
)
def validate(
    kind: Annotated[
        str,
        typer.Argument(
            metavar="KIND", autocompletion=_kinds, help="published, energy, vision, timm, serving, kernels."
        ),
    ],
    data: Annotated[str, typer.Option("--data", metavar="FILE", help="The table of figures, CSV or .csv.gz.")],
    by: Annotated[str, typer.Option("--by", metavar="COLUMN,..", help="Group the errors by these columns.")] = "",
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="PERCENT", help="Exit with 5 if the median error of all is larger.")
    ] = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """Compare the model with a table of measured or published figures, and show the errors as found.

    Times are compared (of a rate, its inverse): a ratio above 1 means that we predict too slow. --csv writes a row a
    figure.
    """
    one_stdout(json, csv)
    if kind not in KINDS:
        raise InputError(f"unknown kind '{kind}'{did_you_mean(kind, KINDS)} (one of {', '.join(KINDS)})")
    from perfmodel.arguments import positive
    from perfmodel.validation.tables import error_table

    limit = positive("--tolerance", tolerance) if tolerance else None
    rows, reasons = _read(kind, data)
    table = error_table(rows, [name.strip() for name in (by or KINDS[kind][2]).split(",") if name.strip()])
    if csv:
        write_table_csv(csv, rows)
    if json:
        print_json({"schema": "perfmodel/validate/1", "kind": kind, "errors": table, "figures": rows,
                    "not_answered": reasons})  # fmt: skip
    elif csv != "-":
        _print(table, reasons)
    if limit is not None and table and table[-1]["median_error_percent"] > limit:
        note(f"the median error is {table[-1]['median_error_percent']:.1f} %, above {limit:g} %")
        raise typer.Exit(OUTSIDE)


def _read(kind: str, data: str) -> tuple[list[dict[str, Any]], Mapping[str, int]]:
    from importlib import import_module
    from pathlib import Path

    module, function, _ = KINDS[kind]
    read: Callable[[Path], tuple[list[Any], dict[str, int]]] = getattr(import_module(module), function)
    if not Path(data).is_file():
        raise InputError(f"--data: there is no file {data}")
    rows, reasons = read(Path(data))
    if kind == "published":
        from perfmodel.validation.published import as_row

        rows = [as_row(one) for one in rows]
    return rows, reasons


def _print(table: Sequence[Mapping[str, Any]], reasons: Mapping[str, int]) -> None:
    if not table:
        note("no row could be answered")
    else:
        numbers = [name for name in table[0] if name not in _TEXTS and isinstance(table[0][name], (int, float))]
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
    "in_band_percent": "in band", "beats_bound": "beats bound", "rank_correlation": "rank correlation",
}  # fmt: skip


def _cell(name: str, value: Any) -> str:
    if name.endswith("_percent"):
        return f"{value:.1f} %"
    return f"{value:.2f}" if isinstance(value, float) else str(value)
