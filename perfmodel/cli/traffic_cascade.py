"""``perfmodel traffic cascade``: the passes of a cascade of Einsums, and what they cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import print_columns, print_json, short
from perfmodel.cli.plain import examples
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.cost.tiling.cascade import Passes

Dtype = Annotated[str, typer.Option("--dtype", metavar="NAME", help="What a word is: bfloat16, int8, float32, ...")]
EXAMPLES = examples(
    "traffic cascade attention-3-pass --over m --extent m=8192,p=8192,e=128,f=128",
    "traffic cascade my-cascade.txt --over d --extent d=4096,p=2048 --tile 16 --json",
)


def cascade(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A cascade of the library, or a file of Einsums.")],
    over: Annotated[str, typer.Option("--over", metavar="RANK", help="The rank that is passed over.")],
    extent: Annotated[str, typer.Option("--extent", metavar="RANK=N,..", help="The size of every rank.")],
    tile: Annotated[str, typer.Option("--tile", metavar="N", help="Points of the other ranks at a time.")] = "1",
    dtype: Dtype = "bfloat16",
    json: o.Json = False,
) -> None:
    """Show how often a cascade of Einsums must pass over a rank, and what that costs in buffer or in traffic.

    A line of a file is NAME[rank,..] = what it reads, such as GM[p] = max(QK[m,p]); a rank that the left side lacks is
    reduced, and a running reduction keeps it. In the library: attention-1-pass, -2-pass and -3-pass, layernorm,
    layernorm-moments, rmsnorm.
    """
    from perfmodel.arguments import whole
    from perfmodel.cost.tiling.cascade import parse_cascade, passes_over

    found = passes_over(parse_cascade(_cascade_text(name)), over, _extents(extent), whole("--tile", tile))
    _print_passes(found, word_bytes_of(dtype), json)


def _cascade_text(name: str) -> str:
    from pathlib import Path

    from perfmodel.cost.tiling.cascade import CASCADES
    from perfmodel.errors import did_you_mean

    if name in CASCADES:
        return CASCADES[name]
    if Path(name).is_file():
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{name} is not a readable text of Einsums: {error}") from None
    raise InputError(f"no cascade or file '{name}'{did_you_mean(name, CASCADES)} (known: {', '.join(CASCADES)})")


def _extents(text: str) -> dict[str, int]:
    from perfmodel.arguments import whole

    found: dict[str, int] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        rank, equals, size = part.partition("=")
        if not equals:
            raise InputError(f"--extent: '{part}' is not RANK=N, such as m=1024")
        found[rank.strip()] = whole(f"--extent {rank.strip()}", size)
    return found


def _print_passes(found: Passes, word_bytes: float, json: bool) -> None:
    if json:
        print_json({
            "schema": "perfmodel/traffic-cascade/1", "over": found.rank, "passes": found.passes,
            "buffer_bytes": found.buffer_words * word_bytes, "refetched_bytes": found.refetched_words * word_bytes,
            "held": [
                {"tensor": f.name, "made_in_pass": f.made_in_pass, "used_in_passes": f.passes,
                 "bytes": f.words * word_bytes, "input": f.is_input} for f in found.fibers
            ],
        })  # fmt: skip
        return
    print(f"passes over {found.rank}: {found.passes}")
    print(f"buffer so that all moves once: {short(found.buffer_words * word_bytes)} B")
    print(f"moved again without it:        {short(found.refetched_words * word_bytes)} B")
    if found.fibers:
        rows = [
            (f.name, str(f.made_in_pass), ", ".join(map(str, f.passes)), short(f.words * word_bytes))
            for f in found.fibers
        ]
        print_columns([("tensor", "made in pass", "used in", "bytes held"), *rows], numbers=(1, 3))


def word_bytes_of(dtype: str) -> float:
    """Return the bytes of a word of a precision's activations."""
    from perfmodel.formats import find_format

    return find_format(dtype).activation.bytes_per_element
