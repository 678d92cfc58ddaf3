"""``perfmodel sweep``: a grid of questions."""

from __future__ import annotations

from math import prod
from typing import Any

from perfmodel import __version__
from perfmodel.arguments import parse_axis
from perfmodel.cli import options as o
from perfmodel.cli.output import note, one_stdout, print_columns, print_json, short, write_table_csv
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.cli.progress import progress
from perfmodel.cli.question import options
from perfmodel.errors import InputError

app = new_app()
SCHEMA = "perfmodel/sweep/1"
MOST_SHOWN, MOST_JSON = 40, 200_000
_AXES = ("batch", "input_tokens", "output_tokens", "tp", "ep", "attention_dp", "dp")
_SHOWN = {
    "ttft_s": ("TTFT ms", 1e3), "tpot_s": ("TPOT ms", 1e3), "e2e_s": ("E2E s", 1.0), "tokens_per_s": ("tokens/s", 1.0),
    "tokens_per_s_per_device": ("tokens/s/device", 1.0), "memory_bytes_per_device": ("GB/device", 1e-9),
    "largest_batch": ("largest batch", 1.0),
}  # fmt: skip
"""The columns of a sweep that the terminal shows, with their headings and factors."""


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "sweep llama-3.1-8b --on h100-sxm --batch 1:512:x2 --input 512,2048,8192 --csv grid.csv",
        "sweep deepseek-v3 --on h200-sxm --tp 8 --ep 1,2,4,8 --batch 32 --precision fp8 --json",
    ),
)
def sweep(
    model: o.Model,
    device: o.On,
    batch: o.Batches = "1",
    input_tokens: o.Inputs = "1024",
    output_tokens: o.Outputs = "256",
    tp: o.Tps = "1",
    ep: o.Eps = "1",
    attention_dp: o.AttentionDps = "1",
    dp: o.Dps = "1",
    precision: o.Precision = "",
    moe_precision: o.MoePrecision = "",
    kv: o.Kv = "",
    phase: o.Phase = "serve",
    static: o.Static = False,
    engine: o.Engine = "",
    routing: o.RoutingName = "uniform",
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """Estimate a model on a device for every combination of the axes.

    An axis is a list (1,2,4), a doubling (1:512:x2) or steps (128:1024:128). --csv streams a grid of any size.
    """
    one_stdout(json, csv)
    words = {"batch": batch, "input_tokens": input_tokens, "output_tokens": output_tokens, "tp": tp, "ep": ep,
             "attention_dp": attention_dp, "dp": dp}  # fmt: skip
    axes = {name: parse_axis(_option(name), text) for name, text in words.items()}
    chosen = options(
        precision=precision,
        moe_precision=moe_precision,
        kv=kv,
        phase=phase,
        static=static,
        engine=engine,
        routing=routing,
    )
    del chosen["mode"]  # pools have no axes
    points = prod(map(len, axes.values()))
    if json and points > MOST_JSON:
        raise InputError(f"{points:,} points are too many for one JSON object (at most {MOST_JSON:,}); use --csv FILE")
    from perfmodel.sweeps import sweep as run

    with progress("sweep") as update:
        found = run(model, device, **axes, out=csv if csv not in ("", "-") else None, progress=update, **chosen)
    if json:
        inputs = {"model": found.model, "device": found.device, **found.axes, **chosen}
        answer = {"shape": found.shape, "rows": found.rows(), "problems": found.problems}
        print_json({"schema": SCHEMA, "version": __version__, "inputs": inputs, **answer})
    elif csv == "-":
        write_table_csv(csv, list(found.rows()))
    elif not csv:
        _print(list(found.rows(limit=MOST_SHOWN)), points)
    _notes(found.problems, csv)


def _option(name: str) -> str:
    return "--" + name.removesuffix("_tokens").replace("_", "-")


def _notes(problems: list[tuple[str, str]], csv: str) -> None:
    for plan, reason in problems:
        note(f"left out: {plan}: {reason}")
    if csv not in ("", "-"):
        note(f"wrote {csv}")


def _print(rows: list[dict[str, Any]], points: int) -> None:
    if not rows:
        note("no point has an answer")
        return
    axes = [name for name in _AXES if len({row.get(name) for row in rows}) > 1] or ["batch"]
    metrics = [name for name in _SHOWN if name in rows[0]]
    heading = [*axes, *(_SHOWN[name][0] for name in metrics)]
    cells = [[*(short(row[a]) for a in axes), *(_scaled(row[m], _SHOWN[m][1]) for m in metrics)] for row in rows]
    print_columns([heading, *cells], numbers=range(len(heading)))
    if len(rows) == MOST_SHOWN < points:
        note(f"{len(rows)} of {points:,} points; --csv FILE writes all")


def _scaled(value: float | None, factor: float) -> str:
    return "" if value is None else short(value * factor)
