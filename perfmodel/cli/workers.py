"""Work on a whole library, spread over this machine's processors: each worker is a Python of its own.

Workers are told one item at a time over a pipe, so that a slow one holds nobody up. They do not fork (which a program
with threads must not) and do not import the main script again (which need not be written for that).
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import IO, Any, NamedTuple

from perfmodel.cli.progress import progress
from perfmodel.errors import PerfmodelError
from perfmodel.specs.used import note_hashes, read_hashes

FEW = 16
"""So many items are done here: workers take half a second to start."""

MOST_WORKERS = 16
_START = "from perfmodel.cli.workers import serve; serve()"


class _Done(NamedTuple):
    result: Any
    failed: bool
    hashes: dict[str, str]


def each(work: Callable[[Any], Any], items: Sequence[Any], what: str) -> list[Any]:
    """Return ``work(item)`` of each item, in their order, with a progress bar that is called ``what``.

    ``work`` is a function of a module; it, its items and its results can be pickled. Errors: those of ``work``, of the
    first item that has one.
    """
    workers = min(processors(), MOST_WORKERS, len(items) // 4)
    with progress(what) as say:
        if len(items) <= FEW or workers < 2 or not sys.executable:
            found: list[Any] = []
            for done, item in enumerate(items, 1):
                found.append(work(item))
                if say:
                    say(done, len(items))
            return found
        answers = _spread(work, items, workers, lambda done: say(done, len(items)) if say else None)
    # an error may not survive a pipe: what failed there fails here again, where it is understood
    return [work(item) if answer.failed else answer.result for item, answer in zip(items, answers, strict=True)]


def processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _spread(
    work: Callable[[Any], Any], items: Sequence[Any], workers: int, say: Callable[[int], object]
) -> list[_Done]:  # fmt: skip
    answers: dict[int, _Done] = {}
    lock, places = Lock(), iter(range(len(items)))

    def run(_: int) -> None:
        with _worker() as (told, back):
            for place in _shared(places, lock):
                answer = _asked(told, back, (work, items[place]))
                with lock:
                    answers[place] = answer
                    say(len(answers))

    with ThreadPoolExecutor(workers) as threads:
        try:
            for _ in threads.map(run, range(workers)):
                pass
        finally:
            with lock:  # interrupted: what nobody has begun stays undone
                deque(places, maxlen=0)
    for answer in answers.values():
        note_hashes(answer.hashes)
    return [answers[place] for place in range(len(items))]


def _shared(places: Iterator[int], lock: Lock) -> Iterator[int]:
    """Yield places that no other thread has taken."""
    while True:
        with lock:
            place = next(places, None)
        if place is None:
            return
        yield place


@contextmanager
def _worker() -> Generator[tuple[IO[bytes], IO[bytes]]]:
    """Yield the two ends of a worker's pipes; it ends when they are closed."""
    home = str(Path(__file__).parents[2])
    paths = [home, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _START]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)  # noqa: S603
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        with suppress(BrokenPipeError):  # it may have gone already
            process.stdin.close()
        process.stdout.close()
        process.wait()


def _asked(to: IO[bytes], back: IO[bytes], question: tuple[Callable[[Any], Any], Any]) -> _Done:
    try:
        pickle.dump(question, to)
        to.flush()
        return pickle.load(back)  # noqa: S301  written by serve() below, in a process that we have started
    except (EOFError, BrokenPipeError):
        return _Done(None, True, {})  # the worker is gone: the item is done here


def serve() -> None:
    """Do what comes on standard input until it ends; what the work prints goes to standard error."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that has started this one hears it too, and ends it
    told, back = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    while True:
        try:
            work, item = pickle.load(told)  # noqa: S301  from the process that has started this one
        except EOFError:
            return
        known = read_hashes()
        try:
            result, failed = work(item), False
        except PerfmodelError:
            result, failed = None, True
        new = {path: digest for path, digest in read_hashes().items() if path not in known}
        pickle.dump(_Done(result, failed, new), back)
        back.flush()
