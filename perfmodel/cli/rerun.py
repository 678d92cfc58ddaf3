"""``perfmodel rerun``: the command behind an output once more, old and new numbers side by side."""

from __future__ import annotations

import json as json_module
import math
import re
import shlex
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from html import unescape
from pathlib import Path
from typing import Annotated, Any

import typer

from perfmodel import __version__
from perfmodel.cli import options as o
from perfmodel.cli.invocation import headline, own_process
from perfmodel.cli.output import STAMP, note, print_columns, print_json
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError, PerfmodelError, ValidationFailed

app = new_app()
SCHEMA = "perfmodel/rerun/1"
MOST_SHOWN = 30
WRITERS = ("calibrate", "measure", "rerun", "device new", "model import", "gallery", "explore")
"""Commands that write files of their own, or run for minutes on this machine: nobody wants them repeated by the way."""

_ISLAND = re.compile(rf'<script type="application/json" id="{STAMP}">(.*?)</script>', re.DOTALL)
_PROPERTY = re.compile(r"<dc:description>(.*?)</dc:description>", re.DOTALL)


@app.command(
    cls=PlainCommand,
    epilog=examples("rerun report.html", "rerun answer.json --tolerance 1", "rerun book.xlsx --show"),
)
def rerun(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A report (.html), an answer (.json) or a workbook (.xlsx).")
    ],
    tolerance: Annotated[
        str, typer.Option("--tolerance", metavar="PERCENT", help="Exit code 5 if a number differs by more.")
    ] = "",
    show: Annotated[bool, typer.Option("--show", help="Print the command, and do not run it.")] = False,
    json: o.Json = False,
) -> None:
    """Run the command behind an output again, and show its headline numbers then and now.

    Every HTML report, workbook and JSON object keeps the command line that made it (paths as they were typed), the
    version and the hashes of the specs. CSV files keep none: they are tables and nothing else.
    """
    from perfmodel.arguments import positive

    limit = positive("--tolerance", tolerance) if tolerance else None
    old = stored(file)
    command = str(old.get("command") or "")
    words = _words(file, command)
    if show:
        print_json({"schema": SCHEMA, "file": file, "stored": dict(old)}) if json else print(command)
        return
    new = _answer(words)
    rows = compared(old["headline"], headline(new))
    report = {
        "schema": SCHEMA,
        "file": file,
        "reran": command,
        "then": _origin(old),
        "now": _origin(new),
        "numbers": rows,
    }
    if json:
        print_json(report)
    else:
        _print(report, old, new)
    worst = max((abs(row["change_percent"]) for row in rows), default=0.0)
    if limit is not None and worst > limit:
        raise ValidationFailed(f"a number differs by {worst:.3g} %, more than {limit:g} %")


def stored(file: str) -> dict[str, Any]:
    """Return what an output keeps of its command. Errors: :class:`InputError` where it keeps nothing."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {file}")
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix
    if kind not in _READERS:
        why = "CSV files keep no command, because they are tables and nothing else; " if ".csv" in kind else ""
        raise InputError(f"{file}: {why}rerun takes .html, .json or .xlsx")
    try:
        found = _READERS[kind](path)
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} cannot be read: {error}") from None
    if not isinstance(found, dict) or not found.get("command"):
        raise InputError(f"{file} names no command: it was written by a program, or by a perfmodel that kept none")
    return {"headline": headline(found), **found}


def _of_json(path: Path) -> Any:
    return json_module.loads(path.read_text(encoding="utf-8"))


def _of_html(path: Path) -> Any:
    match = _ISLAND.search(path.read_text(encoding="utf-8"))
    return json_module.loads(match[1]) if match else None


def _of_xlsx(path: Path) -> Any:
    with zipfile.ZipFile(path) as book:
        match = _PROPERTY.search(book.read("docProps/core.xml").decode("utf-8"))
    return json_module.loads(unescape(match[1])) if match else None


_READERS = {".json": _of_json, ".html": _of_html, ".xlsx": _of_xlsx}


def _words(file: str, command: str) -> list[str]:
    """Return the stored words; only a command of ours that answers and writes nothing is run."""
    from perfmodel.cli.root import COMMANDS

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise InputError(f"{file}: the command cannot be read: {error}") from None
    if len(words) < 2 or words[0] != "perfmodel" or words[1] not in COMMANDS:
        raise InputError(f"{file}: '{command[:80]}' is no command of perfmodel")
    for name in WRITERS:
        if words[1 : 1 + len(name.split())] == name.split():
            raise InputError(
                f"{file}: `perfmodel {name}` writes files or measures this machine; run it yourself: {command}"
            )
    refused = {f"--{name}" for name in ("out", "csv", "html", "xlsx", "markdown", "watch")}
    if written := [word for word in words if word.partition("=")[0] in refused]:
        raise InputError(f"{file}: the stored command would write a file ({written[0]}); run it yourself: {command}")
    return words[1:]


def _answer(words: Sequence[str]) -> dict[str, Any]:
    """Return the JSON object of a command, from a process of its own: nothing that was read before is kept."""
    line = own_process((*words, "--json", "--no-config"))
    found = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)  # noqa: S603 - checked by _words
    try:
        answer = json_module.loads(found.stdout)
    except ValueError:
        said = found.stderr.strip().splitlines()
        error = PerfmodelError(f"the command failed: {said[-1].removeprefix('error: ') if said else 'no answer'}")
        error.exit_code = found.returncode or 1
        raise error from None
    if not isinstance(answer, dict):
        raise InputError("the command answers with a list, which has no headline")
    return answer


def compared(old: Mapping[str, float | None], new: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Return a row a number: ``then``, ``now`` and ``change_percent`` (infinite where one is missing or was zero)."""
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys((*old, *new)):
        then, now = old.get(name), new.get(name)
        rows.append({"name": name, "then": then, "now": now, "change_percent": _change(then, now)})
    return rows


def _change(then: float | None, now: float | None) -> float:
    if then == now:
        return 0.0
    return math.inf if then is None or now is None or then == 0.0 else 100.0 * (now / then - 1.0)


def _origin(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {"version": answer.get("version", ""), "spec_hashes": answer.get("spec_hashes") or {}}


def _print(report: Mapping[str, Any], old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    print(report["reran"])
    then, now = report["then"], report["now"]
    print(f"then perfmodel {then['version'] or '?'}, now {now['version'] or __version__}; {_specs(then, now)}\n")
    rows = report["numbers"]
    changed = [row for row in rows if row["change_percent"]]
    outer = [row for row in rows if "." not in row["name"]] or rows
    shown = [row for row in rows if row in outer or row in changed][:MOST_SHOWN]
    cells = [(row["name"], _text(row["then"]), _text(row["now"]), _percent(row["change_percent"])) for row in shown]
    print_columns([("", "then", "now", "change"), *cells], numbers=(1, 2, 3))
    print(
        f"\n{len(changed)} of {len(rows)} numbers differ" + ("" if len(shown) == len(rows) else f"; {len(shown)} shown")
    )
    if not rows:
        note("the answer has no numbers to compare")


def _specs(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    before, after = then["spec_hashes"], now["spec_hashes"]
    changed = [name for name in dict.fromkeys((*before, *after)) if before.get(name) != after.get(name)]
    return f"other specs: {', '.join(changed)}" if changed else "the same specs"


def _text(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _percent(value: float) -> str:
    return "" if value == 0.0 else "new or gone" if math.isinf(value) else f"{value:+.3g} %"
