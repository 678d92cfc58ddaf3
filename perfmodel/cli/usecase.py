"""``perfmodel usecase``: the kinds of requests of the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import print_columns, print_json
from perfmodel.cli.plain import PlainCommand, examples, new_app

if TYPE_CHECKING:
    from perfmodel.workloads.usecases import UseCase

app = new_app("List and show use cases: lengths of requests, and what is asked of a service.")


@app.command("list", cls=PlainCommand, epilog=examples("usecase list", "usecase list --json"))
def list_(json: o.Json = False) -> None:
    """List the use cases of the library and of the folders in PERFMODEL_SPECS."""
    from perfmodel.workloads.usecases import list_usecases, load_usecase

    found = [load_usecase(name) for name in list_usecases()]
    if json:
        print_json({"schema": "perfmodel/usecases/1", "usecases": [_row(one) for one in found]})
        return
    heading = ("use case", "input mean", "p90", "output mean", "p90", "TTFT", "TPOT", "what it is")
    print_columns([heading, *(_cells(one) for one in found)], numbers=range(1, 7))


@app.command("show", cls=PlainCommand, epilog=examples("usecase show chat", "usecase show rag --json"))
def show(
    usecase: Annotated[str, typer.Argument(metavar="USECASE", help="A use case's name, alias or YAML file.")],
    json: o.Json = False,
) -> None:
    """Show a use case: its lengths, what its requests share, its service level, and the sources."""
    from perfmodel.workloads.usecases import load_usecase

    found = load_usecase(usecase)
    if json:
        print_json({"schema": "perfmodel/usecase/1", **_row(found)})
        return
    print_columns([(name, str(value)) for name, value in _row(found).items() if name not in ("notes", "sources")])
    for text in found.notes:
        print(f"note    {text}")
    for source in found.sources:
        print(f"source  {source.id}: {source.citation()}{'' if source.verified else ' (not verified)'}")


def _row(one: UseCase) -> dict[str, Any]:
    found: dict[str, Any] = {"name": one.name, "description": one.description}
    for what, lengths in (("input", one.input_tokens), ("output", one.output_tokens)):
        found |= {f"{what}_tokens_mean": round(lengths.mean, 1), f"{what}_tokens_p50": round(lengths.median, 1)}
        found |= {f"{what}_tokens_p90": round(lengths.quantile(0.9), 1)}
    return found | {
        "shared_prefix": one.shared_prefix, "ttft_s": one.ttft_s, "tpot_s": one.tpot_s, "notes": list(one.notes),
        "sources": [source.citation() for source in one.sources],
    }  # fmt: skip


def _cells(one: UseCase) -> tuple[str, ...]:
    row = _row(one)
    lengths = (row["input_tokens_mean"], row["input_tokens_p90"], row["output_tokens_mean"], row["output_tokens_p90"])
    limits = ("" if s is None else f"{s * 1e3:g} ms" for s in (one.ttft_s, one.tpot_s))
    return (one.name, *(f"{n:,.0f}" for n in lengths), *limits, one.description)
