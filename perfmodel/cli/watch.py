"""``--watch``: the same command again whenever a file that it reads changes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from perfmodel.cli.config import FILE, config_files
from perfmodel.cli.invocation import OUTPUTS, own_process
from perfmodel.cli.output import note
from perfmodel.cli.settings import FILES
from perfmodel.errors import InputError, PerfmodelError

PAUSE_S = 0.3


def watch(context: Any, words: list[str]) -> int:
    """Run a command now and after each change of its files, until Ctrl-C; each run is a fresh process."""
    if "-" in words:
        raise InputError("--watch reads files again, and standard input cannot be: name a file")
    line = own_process((*context.command_path.split()[1:], *words))
    files = read_files(context)
    there = [path.name for path in files if path.exists()]
    shown = ", ".join(there[:6]) + (f" and {len(there) - 6} more" if len(there) > 6 else "")
    again(
        lambda: subprocess.run(line, check=False).returncode,  # noqa: S603 - our own command line
        lambda: [*files, *config_files()],
        lambda code: note(f"watching {shown} (exit code {code}); Ctrl-C ends"),
    )
    return 0


def again(
    run: Callable[[], int], files: Callable[[], Iterable[Path]], said: Callable[[int], None],
    wait: Callable[[float], None] = time.sleep,
) -> None:  # fmt: skip
    """Run, wait until one of the files has another time or size, and run again; an interruption ends it."""
    try:
        while True:
            before = {path: _mark(path) for path in files()}
            said(run())
            while before == {path: _mark(path) for path in files()}:
                wait(PAUSE_S)
    except KeyboardInterrupt:
        note("stopped")


def _mark(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:  # an editor that is just replacing it
        return 0, 0
    return found.st_mtime_ns, found.st_size


def read_files(context: Any) -> list[Path]:
    """Return the files behind a command: those that it names, those of its model and devices, its plan and defaults."""
    found = [Path(text).expanduser() for text in context.meta.get(FILES, ())]
    for parameter in context.command.params:
        value = context.params.get(parameter.name)
        if parameter.name in OUTPUTS or parameter.name == "out" or not isinstance(value, str) or not value:
            continue
        path = Path(value).expanduser()
        if path.is_file():
            found.append(path)
        elif path.is_dir():
            found += sorted(path.glob("*.json"))
        elif parameter.name in ("model", "models", "device", "devices", "on"):
            found += filter(None, map(_spec, value.split(",")))
    found.append(Path(FILE))
    return list(dict.fromkeys(found))


def _spec(name: str) -> Path | None:
    from perfmodel.specs.locate import named_spec

    try:
        for kind, schema in (("workloads", "workload"), ("hardware_specs", "device"), ("hardware_specs", "system")):
            if path := named_spec(kind, name.strip(), schema):
                return path
    except PerfmodelError:
        pass
    return None
