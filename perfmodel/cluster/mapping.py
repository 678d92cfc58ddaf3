"""A function over many tasks: one by one in this process, or on the workers of a dask scheduler."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from perfmodel.cluster.agreement import data_state
from perfmodel.errors import InputError, PerfmodelError, PlanError

Mapper = Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[tuple[int, Any]]]
"""Takes a function and tasks, yields (place of the task, its result) in any order."""

AHEAD = 4
"""Tasks a worker that are handed out before their turn: enough to keep it busy, few enough for results to fit."""

MOST_LOST = 10
"""Workers that may die under one task before it is taken for the cause."""

CONNECT = "10s"
WORKERS_S = 60.0
"""How long a scheduler may take to have a first worker."""

INSTALL = 'pip install "perfmodel[dask]"'


def one_by_one(function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    """Yield (place, result) in this process, in order."""
    for place, task in enumerate(tasks):
        yield place, function(task)


@contextmanager
def spread(scheduler: str) -> Generator[Mapper]:
    """Yield what maps tasks over the workers of a scheduler; an empty one is this process.

    ``scheduler`` is its address (``tcp://10.0.0.1:8786``) or file, or a number of worker processes to start here. A
    task whose worker dies is given to another. Workers must have the same perfmodel and data, and see the same files.

    Errors: :class:`InputError` where dask is missing, nobody answers, or a worker is of another version.
    """
    if not scheduler:
        yield one_by_one
        return
    with _client(scheduler) as client:
        yield partial(_over, client)


@contextmanager
def _client(scheduler: str) -> Generator[Any]:
    try:
        dask, distributed = _module("dask"), _module("distributed")
    except ImportError:
        raise InputError(f"--dask needs dask.distributed: {INSTALL}") from None
    logging.getLogger("distributed").setLevel(logging.ERROR)  # a worker that dies is no news: its tasks go to another
    settings = {"distributed.scheduler.allowed-failures": MOST_LOST, "distributed.comm.timeouts.connect": CONNECT}
    with dask.config.set(settings), _address(scheduler) as where:
        try:
            client = distributed.Client(**where, timeout=CONNECT)
        except (OSError, ValueError, TimeoutError) as error:
            raise InputError(f"no dask scheduler answers at '{scheduler}' ({error}); give tcp://HOST:8786") from None
        with client:
            yield client


@contextmanager
def _address(scheduler: str) -> Generator[dict[str, str]]:
    """Yield how a client finds the scheduler: one that runs, or one of our own with so many processes."""
    if not scheduler.isdigit():
        yield {"scheduler_file": scheduler} if Path(scheduler).is_file() else {"address": scheduler}
        return
    local = _module("distributed").LocalCluster
    with local(n_workers=0, processes=False, protocol="tcp", dashboard_address=":0") as cluster:
        # worker processes of multiprocessing would run the main script again
        address = str(cluster.scheduler_address)
        words = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny",
                 "--no-dashboard", "--death-timeout", "30"]  # fmt: skip
        nowhere, environment = subprocess.DEVNULL, _one_thread_each()
        workers = [
            subprocess.Popen(words, stdout=nowhere, stderr=nowhere, env=environment)  # noqa: S603 - our own words
            for _ in range(max(int(scheduler), 1))
        ]
        try:
            yield {"address": address}
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()


def _module(name: str) -> Any:
    """Return a module of an extra, which need not be installed where types are checked."""
    return import_module(name)


def _one_thread_each() -> dict[str, str]:
    paths = os.pathsep.join(path for path in sys.path if path)
    return {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **os.environ, "PYTHONPATH": paths}


def _over(client: Any, function: Callable[[Any], Any], tasks: Sequence[Any]) -> Iterator[tuple[int, Any]]:
    waiting = iter(enumerate(tasks))
    run = partial(_guarded, data_state(), function)

    def submit(place: int, task: Any) -> Any:
        future = client.submit(run, task, pure=False)
        places[future.key] = place
        return future

    places: dict[str, int] = {}
    try:
        client.wait_for_workers(1, timeout=WORKERS_S)
    except TimeoutError:
        raise InputError(
            f"the dask scheduler has no worker after {WORKERS_S:.0f} s; start some: dask worker ADDRESS"
        ) from None
    room = AHEAD * max(len(client.scheduler_info()["workers"]), 1)
    futures = _module("distributed").as_completed([submit(*pair) for pair in islice(waiting, room)])
    for future in futures:
        place = places.pop(future.key)
        problem, result = future.result()
        if problem is not None:
            kind, text = problem
            raise PlanError(text) if kind == PlanError.exit_code else InputError(text)
        future.release()
        for pair in islice(waiting, 1):
            futures.add(submit(*pair))
        yield place, result


def _guarded(state: dict[str, str], function: Callable[[Any], Any], task: Any) -> tuple[tuple[int, str] | None, Any]:
    """Return (None, result), or the exit code and text of an error that a user can mend: such errors do not pickle."""
    mine = data_state()
    if mine != state:
        named = ", ".join(
            f"{name} {mine[name]} instead of {state[name]}" for name in state if mine[name] != state[name]
        )
        return (
            InputError.exit_code,
            f"a worker has another perfmodel than this process: {named}; install the same",
        ), None
    try:
        return None, function(task)
    except PerfmodelError as error:
        return (error.exit_code, str(error)), None
