"""``perfmodel run`` and ``perfmodel kernels``: a table of questions in, a table of answers out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import note
from perfmodel.cli.plain import WatchedCommand, examples, new_app
from perfmodel.cli.progress import progress

app = new_app("Tables.")
MOST_REASONS = 5

Results = Annotated[
    str, typer.Option("--out", metavar="RESULTS.csv", help="Where to (.csv.gz is zipped, - is standard output).")
]


@app.command(
    "run",
    cls=WatchedCommand,
    epilog=examples("run scenarios.csv --out results.csv", "run - --out - < scenarios.csv > results.csv"),
)
def run(
    scenarios: Annotated[
        str, typer.Argument(metavar="SCENARIOS.csv", help="One question a row (- is standard input).")
    ],
    out: Results,
    static: o.Static = False,
) -> None:
    """Answer a table of scenarios, of language models and other networks.

    Columns in: model, device, batch, input_tokens, output_tokens, tp, ep, attention_dp, moe_tp, dp, precision,
    moe_precision, kv_precision, phase, static, engine, mode, and prefill_* and decode_* pools. Unknown columns are
    carried through; a row that cannot be answered says why in the column error, and the others still run. A row whose
    model is a network reads batch, image, precision, layers, engine, fusion, sparsity and dp.
    """
    from perfmodel.tables import run_scenarios

    with progress("scenarios") as update:
        found = run_scenarios(scenarios, out, static=static, progress=update)
    _close(found, out)


@app.command("kernels", cls=WatchedCommand, epilog=examples("kernels kernels.csv --out results.csv"))
def kernels(
    table: Annotated[str, typer.Argument(metavar="KERNELS.csv", help="One kernel a row (- is standard input).")],
    out: Results,
) -> None:
    """Time a table of single kernels.

    Columns in: op, device, dtype, backend, timing, and the shape of the op (for gemm: m, n, k; for conv2d: batch,
    in_channels, out_channels, height, width, kernel, stride, padding, groups, dilation).
    """
    from perfmodel.tables import run_kernels

    with progress("kernels") as update:
        found = run_kernels(table, out, progress=update)
    _close(found, out)


def _close(found: Any, out: str) -> None:
    """Say how it went: rows, answers, errors and the commonest reasons."""
    where = "" if out == "-" else f" in {out}"
    note(f"{found.rows:,} rows, {found.answered:,} answered, {found.failed:,} with an error{where}")
    reasons = sorted(found.reasons.items(), key=lambda pair: -pair[1])
    for reason, count in reasons[:MOST_REASONS]:
        note(f"  {count:,} x {reason}")
    if len(reasons) > MOST_REASONS:
        note(f"  and {len(reasons) - MOST_REASONS} more reasons")
