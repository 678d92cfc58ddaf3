"""One page a command, from the commands themselves: ``python docs/make_command_pages.py FOLDER``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its full name."""
    import click

    context = click.Context(group, info_name=name)
    for sub in group.list_commands(context):
        found = group.get_command(context, sub)
        if hasattr(found, "list_commands"):
            yield from commands(found, f"{name} {sub}")
        else:
            yield f"{name} {sub}", found


def page(name: str, command: Any) -> str:
    """Return the page of a command: what it does, its usage, its options, examples."""
    import click

    context = click.Context(command, info_name=name)
    what = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    rows = [record for parameter in command.get_params(context) if (record := parameter.get_help_record(context))]
    options = "\n".join(f"| `{_cell(option)}` | {_cell(text)} |" for option, text in rows)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    shown = f"# {name}\n\n{what}\n\n    {usage}\n\n| option | meaning |\n| --- | --- |\n{options}\n"
    epilog = (command.epilog or "").replace("\b\n", "").strip("\n")
    title, _, lines = epilog.partition("\n")
    examples = "\n".join(f"    {line.strip()}" for line in lines.splitlines())
    return f"{shown}\n## {title.rstrip(':')}\n\n{examples}\n" if lines else shown


def _cell(text: str) -> str:
    return " ".join(text.replace("<list[str]>", "").split()).replace("|", "\\|").replace("<", "&lt;")


def write_pages(folder: Path) -> list[str]:
    """Write a page for each command and an index over them; return their names."""
    from perfmodel.cli.root import command

    folder.mkdir(parents=True, exist_ok=True)
    written: list[str] = []
    for name, found in commands(command(), "perfmodel"):
        stem = name.replace(" ", "-")
        _put(folder / f"{stem}.md", page(name, found))
        written.append(stem)
    listed = "\n".join(written)
    _put(folder / "index.md", f"# Every command\n\n```{{toctree}}\n:maxdepth: 1\n\n{listed}\n```\n")
    _put(folder / "python.md", _PYTHON)
    return written


_PYTHON = """# Python

```{eval-rst}
.. automodule:: perfmodel.api
   :members: Estimate, estimate

.. automodule:: perfmodel.sweeps.grid
   :members: Sweep, sweep

.. automodule:: perfmodel.network_api
   :members: NetworkEstimate, estimate_network

.. automodule:: perfmodel.comparison
   :members: Comparison, compare
```
"""


def _put(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1]))
