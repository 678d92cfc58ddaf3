"""Several simulations of one deployment, by load and by seed: here, or on the workers of a cluster."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from perfmodel import __version__
from perfmodel.cluster import PartStore, keep_all, spread
from perfmodel.cluster.parts import Made
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.serving.scenario import Setup
from perfmodel.simulation.report import simulate_report

LOADS = ("rate", "in_flight")
_NUMBERS = ("requests_per_s", "tokens_per_s", "busy_share", "preemptions", "slo_share", "goodput_per_s")
_SHARES = ("mean", "p50", "p90", "p99")


@dataclass(frozen=True)
class Run:
    """One load and seed, as words."""

    load: str
    seed: str


@dataclass(frozen=True)
class Simulating:
    """What a worker does with a run: ``load`` says whether a rate or a number in flight is varied."""

    setup: Setup
    load: str
    options: Mapping[str, Any]

    def __call__(self, run: Run) -> Made:
        try:
            chosen: dict[str, Any] = {**self.options, self.load: run.load, "seed": run.seed}
            report = simulate_report(self.setup, **chosen)
        except PerfmodelError as error:
            return Made(b"", str(error))
        return Made(json.dumps(_row(self.load, run, report)).encode())


def runs_report(
    setup: Setup, question: Mapping[str, Any], options: Mapping[str, Any], *, out: str = "", scheduler: str = "",
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return a row a run (schema ``perfmodel/simulate-runs/1``), for all loads and seeds of the options.

    ``options`` are those of :func:`simulate_report`, with several values in ``rate`` or ``in_flight``, and ``seed``,
    parted by commas. With ``out`` each run is kept as soon as it is done, in ``out.parts``, until all are; ``question``
    (plain values) tells such parts from those of another one. A run's numbers are those that it has alone.

    Errors: :class:`InputError` if no run is possible.
    """
    load = next((name for name in LOADS if options.get(name)), "")
    if not load:
        raise InputError("several runs need --rate R,R or --in-flight N,N; a trace is one run")
    runs = [Run(*pair) for pair in itertools.product(_parts(options[load]), _parts(options.get("seed", 0)))]
    work = Simulating(setup, load, {name: value for name, value in options.items() if name not in (load, "seed")})
    with TemporaryDirectory() as nowhere:
        folder = Path(f"{out}.parts") if out and out != "-" else Path(nowhere) / "parts"
        store = PartStore(folder, question, "json")
        with spread(scheduler) as mapper:
            keep_all(store, work, runs, mapper, [1] * len(runs), progress)
        rows = [json.loads(store.path(i).read_text(encoding="utf-8")) for i in range(len(runs)) if not store.problem(i)]
        problems = [f"{load} {run.load}, seed {run.seed}: {text}"
                    for i, run in enumerate(runs) if (text := store.problem(i))]  # fmt: skip
        store.remove()
    if not rows:
        raise InputError(problems[0])
    return {
        "schema": "perfmodel/simulate-runs/1", "version": __version__, "model": setup.decode.model.name,
        "device": setup.decode.machine.chip.name, "devices": setup.devices, "rows": rows, "problems": problems,
    }  # fmt: skip


def _parts(text: Any) -> Sequence[str]:
    return [part for piece in str(text).split(",") if (part := piece.strip())]


def _row(load: str, run: Run, report: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {load: float(run.load), "seed": int(run.seed), "saturated": report["saturated"]}
    found |= {name: report[name] for name in _NUMBERS if name in report}
    for name in ("ttft", "tpot", "e2e"):
        shares = report[f"{name}_s"] or {}
        found |= {f"{name}_{share}_s": shares.get(share) for share in _SHARES}
    return found | {"requests": report["requests"]}
