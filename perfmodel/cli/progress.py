"""A progress bar on standard error, for a person only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

Progress = Callable[[int, "int | None"], None]
"""Called with how much is done and how much there is, or None where nobody knows."""


@contextmanager
def progress(what: str) -> Generator[Progress | None]:
    """Yield what to call with (done, total), or None where no terminal shows it."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def update(done: int, total: int | None) -> None:
            bar.update(task, completed=done, total=total)

        yield update
