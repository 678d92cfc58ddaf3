"""``perfmodel reproduce``: published results derived again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import note, one_stdout, print_columns, print_json, write_table_csv
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError

app = new_app()


def _complete(incomplete: str) -> list[str]:
    from perfmodel.reproductions import list_reproductions

    return [name for name in list_reproductions() if name.startswith(incomplete)]


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "reproduce",
        "reproduce cloudmatrix384",
        "reproduce kivi marlin --json",
        "reproduce --all --json",
        "reproduce --all --markdown docs/reproductions.md",
        "reproduce my-paper.yaml",
    ),
)
def reproduce(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME|FILE]...", autocompletion=_complete, help="Which; without any they are listed."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All of the library and of PERFMODEL_SPECS.")] = False,
    json: o.Json = False,
    csv: o.CsvFile = "",
    markdown: Annotated[
        str, typer.Option("--markdown", metavar="FILE", help="Write the page of docs/reproductions.md.")
    ] = "",
) -> None:
    """Derive published results again from specs, workload and plan, beside the published figures.

    What the source states and what we assume is told apart, and what misses has its reason. --json prints a list with
    an object a figure: name, quantity, published, ours, ratio, conditions, assumptions, inputs.
    """
    one_stdout(json, csv)
    from perfmodel.cli.workers import each
    from perfmodel.reproductions import list_reproductions, load_reproduction

    if names and every:
        raise InputError("name some, or --all; not both")
    chosen = list(list_reproductions() if every else names or ())
    if not chosen:
        if markdown or csv:
            raise InputError("say which reproductions: names, or --all")
        _list([load_reproduction(name) for name in list_reproductions()], json)
        return
    rows = [row for found in each(_derived, chosen, "reproductions") for row in found]
    if markdown:
        _write_markdown(markdown, rows)
    if csv:
        write_table_csv(csv, [_flat(row) for row in rows])
    if json:
        print_json(rows)
    elif not markdown and not csv:
        _print(rows)


def _derived(name: str) -> list[dict[str, Any]]:
    from perfmodel.reproductions import load_reproduction
    from perfmodel.reproductions import reproduce as derive

    return [outcome.row() for outcome in derive(load_reproduction(name))]


def _list(found: Sequence[Any], json: bool) -> None:
    if json:
        print_json([{"name": one.name, "title": one.title, "figures": len(one.results)} for one in found])
        return
    print_columns([("name", "figures", "what"), *((one.name, str(len(one.results)), one.title) for one in found)], (1,))
    note("`perfmodel reproduce NAME` derives one again, --all every one")


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of a table: no lists, and both ends of what is published."""
    published = row["published"]
    ends = published if isinstance(published, Mapping) else {"low": published, "high": published}
    plain = ("name", "result", "quantity", "unit", "ours", "ratio", "verdict", "reason", "conditions", "source")
    return {
        **{name: row[name] for name in plain}, "published_low": ends.get("low"), "published_high": ends.get("high"),
        "assumptions": "; ".join(row["assumptions"]),
    }  # fmt: skip


def _write_markdown(target: str, rows: Sequence[Mapping[str, Any]]) -> None:
    from perfmodel.files import write_text
    from perfmodel.reproductions.registry import kinds
    from perfmodel.reproductions.table import markdown

    write_text(target, markdown(rows, list(kinds())))
    note(f"wrote {target}")


def _print(rows: Sequence[Mapping[str, Any]]) -> None:
    from perfmodel.reproductions.table import number_text, published_text, ratio_text

    for name in dict.fromkeys(row["name"] for row in rows):
        mine = [row for row in rows if row["name"] == name]
        print(f"{name}: {mine[0]['title']}\n")
        heading = ("quantity", "published", "ours", "ratio", "")
        cells = [(row["quantity"], published_text(row), f"{number_text(row['ours'])} {row['unit']}".strip(),
                  ratio_text(row), row["verdict"]) for row in mine]  # fmt: skip
        print_columns([heading, *cells], numbers=(1, 2, 3), indent="  ")
        for whose in ("paper", "ours"):
            print(f"\n  {'the source states' if whose == 'paper' else 'we assume'}:")
            _print_inputs(mine[0]["inputs"][whose])
            if whose == "ours":
                for text in mine[0]["assumptions"][len(mine[0]["inputs"]["ours"]) :]:
                    print(f"    {text}")
        print(f"\n  conditions: {mine[0]['conditions']}")
        for row in mine:
            if row["reason"]:
                print(f"  {row['quantity']}: {row['reason']}")
        print()


def _print_inputs(inputs: Sequence[Mapping[str, Any]]) -> None:
    for one in inputs:
        value = ", ".join(map(str, one["value"])) if isinstance(one["value"], list) else one["value"]
        print(f"    {one['name']} {value}" + (f": {one['note']}" if one["note"] else ""))
