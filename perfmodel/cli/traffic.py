"""``perfmodel traffic``: what crosses the edge of an on-chip buffer, by its size and by policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import give, one_stdout, print_columns, short
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.cli.traffic_cascade import EXAMPLES, Dtype, cascade, word_bytes_of
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.cost.tiling.stack import Level
    from perfmodel.explain.traffic import Work

SCHEMA = "perfmodel/traffic/1"
app = new_app("DRAM traffic of products, convolutions and attention through an on-chip buffer; passes of a cascade.")

Sram = Annotated[
    str,
    typer.Option("--sram", metavar="SIZE,..", help="Capacities of the buffer, such as 128KiB,1MiB  [default: 1MiB]"),
]
Policies = Annotated[
    str,
    typer.Option("--policy", metavar="NAME,..", help="optimal, divisors, double-buffered, formula, bound, os, ws, is."),
]
AttentionPolicies = Annotated[str, typer.Option("--policy", metavar="NAME,..", help="fused, unfused, bound.")]
Array = Annotated[
    str, typer.Option("--array", metavar="ROWSxCOLUMNS", help="The array of the fixed dataflows os, ws and is.")
]
Levels = Annotated[
    list[str] | None,
    typer.Option(
        "--level",
        metavar="NAME=SIZE[@RATE]",
        help="A level of a stack, innermost first: SRAM=24MiB, HBM=80GB@3.35TB/s.",
    ),
]


def _size(name: str, help_text: str = "") -> Any:
    return typer.Option(f"--{name}", metavar="N", help=help_text or None)


@app.command(
    "gemm", cls=PlainCommand,
    epilog=examples(
        "traffic gemm --m 512 --n 4096 --k 4096 --sram 16KiB,64KiB,256KiB --policy optimal,os,bound",
        "traffic gemm --m 2048 --n 4096 --k 4096 --level SRAM=256KiB --level L2=50MB@5.5TB/s --level HBM=80GB@3.35TB/s",
        "traffic gemm --m 2048 --n 4096 --k 4096 --on h100-sxm --json",
    ),
)  # fmt: skip
def gemm(
    m: Annotated[str, _size("m", "Rows of the inputs and outputs: tokens.")],
    n: Annotated[str, _size("n", "Columns of the weights and outputs.")],
    k: Annotated[str, _size("k", "What is summed over.")],
    sram: Sram = "",
    policy: Policies = "optimal,bound",
    array: Array = "128x128",
    dtype: Dtype = "bfloat16",
    level: Levels = None,
    on: o.OptionalOn = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """Show the words that a product m x k by k x n moves through a buffer: by size and policy, or level by level."""
    from perfmodel.arguments import whole
    from perfmodel.explain.traffic import gemm_work

    sizes = [whole(f"--{name}", value) for name, value in (("m", m), ("n", n), ("k", k))]
    _answer(gemm_work(sizes[0], sizes[1], sizes[2], _pair(array)), sram, policy, dtype, level, on, json, csv)


@app.command(
    "conv", cls=PlainCommand,
    epilog=examples(
        "traffic conv --height 56 --width 56 --kernel 3 --in 64 --out 64 --sram 16KiB,128KiB",
        "traffic conv --height 112 --width 112 --kernel 7 --in 3 --out 64 --stride 2 --policy optimal,ws",
    ),
)  # fmt: skip
def conv(
    height: Annotated[str, _size("height", "Rows of the output.")],
    width: Annotated[str, _size("width", "Columns of the output.")],
    kernel: Annotated[str, typer.Option("--kernel", metavar="N|HxW", help="Taps of the kernel a side.")],
    inputs: Annotated[str, _size("in", "Input channels.")],
    outputs: Annotated[str, _size("out", "Output channels.")],
    stride: Annotated[str, _size("stride")] = "1",
    groups: Annotated[str, _size("groups", "Groups of channels; as many as channels: depthwise.")] = "1",
    batch: Annotated[str, _size("batch")] = "1",
    sram: Sram = "",
    policy: Policies = "optimal,bound",
    array: Array = "128x128",
    dtype: Dtype = "bfloat16",
    level: Levels = None,
    on: o.OptionalOn = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """Show the words that a convolution moves through a buffer."""
    from perfmodel.arguments import whole
    from perfmodel.cost.tiling.conv import ConvShape
    from perfmodel.explain.traffic import conv_work

    each, c, k = whole("--groups", groups), whole("--in", inputs), whole("--out", outputs)
    if c % each or k % each:
        raise InputError(f"--groups: {each} groups do not divide {c} input and {k} output channels")
    taps = _pair(kernel, "--kernel")
    shape = ConvShape(
        whole("--height", height), whole("--width", width), *taps, c // each, k // each, whole("--stride", stride),
        whole("--batch", batch),
    )  # fmt: skip
    _answer(conv_work(shape, each, _pair(array)), sram, policy, dtype, level, on, json, csv)


@app.command(
    "attention", cls=PlainCommand,
    epilog=examples(
        "traffic attention --q 2048 --kv 2048 --heads 32 --kv-heads 8 --head-dim 128 --sram 64KiB,228KiB,1MiB",
        "traffic attention --q 1 --kv 8192 --batch 16 --heads 32 --kv-heads 8 --on h100-sxm",
    ),
)  # fmt: skip
def attention(
    q: Annotated[str, _size("q", "New tokens of a sequence.")],
    kv: Annotated[str, _size("kv", "Tokens attended to, the new ones included.")],
    heads: Annotated[str, _size("heads")] = "32",
    kv_heads: Annotated[str, _size("kv-heads", "Heads of keys and values  [default: --heads]")] = "",
    head_dim: Annotated[str, _size("head-dim")] = "128",
    value_dim: Annotated[str, _size("value-dim", "Width of a value  [default: --head-dim]")] = "",
    batch: Annotated[str, _size("batch")] = "1",
    no_causal: Annotated[bool, typer.Option("--no-causal", help="Every token sees all.")] = False,
    sram: Sram = "",
    policy: AttentionPolicies = "fused,unfused,bound",
    dtype: Dtype = "bfloat16",
    level: Levels = None,
    on: o.OptionalOn = "",
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """Show the words that attention moves: fused, as three kernels, and the least of all."""
    from perfmodel.arguments import whole
    from perfmodel.cost.tiling.attention import AttentionShape
    from perfmodel.explain.traffic import attention_work

    names = {"batch": batch, "q": q, "kv": kv, "heads": heads, "kv-heads": kv_heads or heads, "head-dim": head_dim,
             "value-dim": value_dim or head_dim}  # fmt: skip
    sizes = [float(whole(f"--{name}", value)) for name, value in names.items()]
    shape = AttentionShape(*sizes, causal=not no_causal)
    if shape.q_tokens > shape.kv_tokens:
        raise InputError(f"--q: {q} new tokens are more than --kv, {kv}")
    if shape.heads % shape.kv_heads:
        raise InputError(f"--kv-heads: {kv_heads} does not divide --heads, {heads}")
    _answer(attention_work(shape), sram, policy, dtype, level, on, json, csv)


app.command("cascade", cls=PlainCommand, epilog=EXAMPLES)(cascade)


def _answer(
    work: Work, sram: str, policy: str, dtype: str, level: list[str] | None, on: str, json: bool, csv: str
) -> None:
    from perfmodel.explain.traffic import buffer_rows, stack_rows

    one_stdout(json, csv)
    word_bytes, policies = word_bytes_of(dtype), [p.strip() for p in policy.split(",") if p.strip()]
    levels = _levels(level, on, sram)
    if levels:
        pairs = [stack_rows(work, levels, p, word_bytes) for p in policies]
        rows = [row for found, _ in pairs for row in found]
        more = {"least_time_s": {p: time for p, (_, time) in zip(policies, pairs, strict=True)}}
    else:
        sizes = [_capacity("--sram", part) for part in (sram or "1MiB").split(",")]
        rows, more = buffer_rows(work, sizes, policies, word_bytes), {}
    answer = {"schema": SCHEMA, "flops": work.flops, "operand_bytes": work.operand_words * word_bytes, "rows": rows,
              **more}  # fmt: skip
    give(answer, _same_columns(rows), lambda: _print(work, rows, word_bytes), json=json, csv=csv)


def _levels(level: list[str] | None, on: str, sram: str) -> list[Level]:
    if bool(level) + bool(on) + bool(sram) > 1:
        raise InputError("give one of --sram (buffers one by one), --level (a stack) and --on (a device's stack)")
    if on:
        from perfmodel.devices import load_device
        from perfmodel.explain.traffic import levels_of

        return levels_of(load_device(on))
    return [_level(text) for text in level or ()]


def _level(text: str) -> Level:
    from perfmodel.cost.tiling.stack import Level
    from perfmodel.units import parse_quantity

    name, equals, rest = text.partition("=")
    size, at, rate = rest.partition("@")
    if not equals or not name.strip():
        raise InputError(f"--level: '{text}' is not NAME=SIZE[@RATE], such as HBM=80GB@3.35TB/s")
    found = Level(name.strip(), _capacity("--level", size))
    return Level(found.name, found.capacity_bytes, parse_quantity(rate, "bytes_per_s")) if at else found


def _capacity(option: str, text: str) -> float:
    from perfmodel.units import parse_quantity

    try:
        return parse_quantity(text.strip(), "bytes")
    except InputError as error:
        raise InputError(f"{option}: {error}") from None


def _pair(text: str, option: str = "--array") -> tuple[int, int]:
    from perfmodel.arguments import whole

    sides = text.lower().split("x")
    if len(sides) > 2:
        raise InputError(f"{option}: '{text}' is neither a number nor ROWSxCOLUMNS, such as 128x128")
    return whole(option, sides[0]), whole(option, sides[-1])


def _same_columns(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name, "") for name in names} for row in rows]


def _print(work: Work, rows: Sequence[dict[str, Any]], word_bytes: float) -> None:
    print(f"{work.kind}: {short(work.flops)} flops, operands of {short(work.operand_words * word_bytes)} B")
    table = _same_columns(rows)
    heading = [name.replace("_bytes", " [B]").replace("_s", " [s]").replace("_", " ") for name in table[0]]
    cells = [[value if isinstance(value, str) else short(value) for value in row.values()] for row in table]
    texts = {"policy", "schedule", "tiles", "inner", "outer"}
    print_columns([heading, *cells], numbers=[i for i, name in enumerate(table[0]) if name not in texts])
