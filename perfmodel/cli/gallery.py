"""``perfmodel gallery``: pages that answer a dozen real questions."""

from __future__ import annotations

from typing import Annotated

import typer

from perfmodel.cli import options as o
from perfmodel.cli.output import note, print_json
from perfmodel.cli.plain import PlainCommand, examples, new_app

app = new_app()


@app.command(
    cls=PlainCommand,
    epilog=examples("gallery --out reports/gallery", "gallery when-fp4-pays long-context --out pages --json"),
)
def gallery(
    names: Annotated[list[str] | None, typer.Argument(metavar="[PAGE]", help="Pages to build  [default: all]")] = None,
    out: Annotated[str, typer.Option("--out", metavar="FOLDER", help="Where the pages go.")] = "reports/gallery",
    json: o.Json = False,
) -> None:
    """Build pages that answer a dozen questions, such as which GPU serves a 70B model, with the finding on top.

    Every page stands alone, loads nothing, and has its numbers, what was assumed and the command that asks again. With
    all pages comes an index.
    """
    from perfmodel.gallery import build_gallery

    findings = build_gallery(out, names or (), note)
    if json:
        print_json({"schema": "perfmodel/gallery/1", "folder": out, "findings": findings})
    note(f"wrote {len(findings)} pages to {out}")
