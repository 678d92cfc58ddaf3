"""Which resource bounds a step, along each number of the machine and the load, and over two of them at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from perfmodel.cost.bounds import Bound
from perfmodel.numeric import Number
from perfmodel.plan.step_shape import StepShape
from perfmodel.search.knobs import KNOBS, present, turned
from perfmodel.serving.pipeline import STEP_TOKENS
from perfmodel.serving.scenario import Setup
from perfmodel.serving.step import step_parts

Numbers = tuple[float, float, float]

RESOURCES = ("compute", "memory", "link")
AXES = {"batch": (1.0, 65536.0), "context": (16.0, 4_194_304.0)}
"""Numbers of the load and how far they are followed."""

SHOWN = {"batch": (1.0, 8192.0), "context": (64.0, 1_048_576.0)}
"""How much of both a map shows, and the number as it is."""

_FACTORS = (1.0 / 64.0, 64.0)
_GRID = 241
_CELLS = 57


class Span(NamedTuple):
    """A stretch of a number on which one resource bounds the step."""

    low: float
    high: float
    resource: str


class Along(NamedTuple):
    """What bounds a step as one number grows: ``value`` is the number as it is, ``spans`` lie end to end."""

    phase: str
    knob: str
    value: float
    spans: tuple[Span, ...]


class Crossover(NamedTuple):
    """Where the bound of a step changes from one resource to another as a number grows."""

    phase: str
    knob: str
    at: float
    below: str
    above: str


class Map(NamedTuple):
    """What bounds a step over sequences and tokens: ``rows`` (of ``contexts``) of places in :data:`RESOURCES`.

    ``room`` is how many sequences the memory of a replica holds at each context (a prefill keeps none: empty).
    """

    phase: str
    batches: list[float]
    contexts: list[float]
    rows: list[list[int]]
    room: list[float]
    batch: float
    context: float


def bottlenecks(setup: Setup, numbers: Numbers) -> list[Along]:
    """Return what bounds the prefill and the decode step along each number, the others being as they are.

    Along ``batch`` (sequences of a step of one replica) and ``context`` (its input tokens, its cache), to the limits of
    :data:`AXES`, and along the device's numbers from a 64th to 64 times. The parts of the bound are piecewise linear in
    each, and a crossing is solved to nine digits between points of a fine grid.
    """
    return [
        _along(setup, phase, knob, numbers)
        for phase in _phases(setup)
        for knob in ("batch", "context", *(n for n in ("peak", "bandwidth", "link") if n in present(setup)))
    ]


def crossovers(along: list[Along]) -> list[Crossover]:
    """Return where the bottleneck switches."""
    return [
        Crossover(one.phase, one.knob, after.low, before.resource, after.resource)
        for one in along
        for before, after in itertools.pairwise(one.spans)
    ]


def bottleneck_maps(setup: Setup, numbers: Numbers) -> list[Map]:
    """Return what bounds each step over sequences and tokens together."""
    import numpy as np

    found: list[Map] = []
    for phase in _phases(setup):
        here = _here(setup, phase, numbers)
        batches, contexts = (
            np.geomspace(min(low, own), max(high, own), _CELLS)
            for (low, high), own in zip(SHOWN.values(), here, strict=True)
        )
        parts = _parts(setup, phase, batches[None, :], contexts[:, None])
        rows = _stacked(parts, (_CELLS, _CELLS)).argmax(axis=0)
        room: Any = []
        if phase == "decode":
            room = np.broadcast_to(setup.memory.largest_batch(contexts, np.minimum(contexts, STEP_TOKENS)), _CELLS)
        found.append(Map(phase, batches.tolist(), contexts.tolist(), rows.tolist(), list(map(float, room)), *here))
    return found


def _phases(setup: Setup) -> list[str]:
    return [phase for phase in ("prefill", "decode") if setup.question.phase in ("serve", phase)]


def _here(setup: Setup, phase: str, numbers: Numbers) -> tuple[float, float]:
    """Return the sequences of a replica in a step, and the tokens of a prompt or of a cache."""
    batch, input_tokens, output_tokens = numbers
    sequences = max(batch / setup.replicas, 1.0) if setup.together or phase == "decode" else 1.0
    return sequences, input_tokens if phase == "prefill" else input_tokens + 0.5 * output_tokens


def _parts(setup: Setup, phase: str, sequences: Number, tokens: Number) -> Bound:
    if phase == "prefill":
        return step_parts(setup.prefill, StepShape(sequences, tokens, tokens))
    return step_parts(setup.decode, StepShape(decodes=sequences, decode_context=tokens))


def _along(setup: Setup, phase: str, knob: str, numbers: Numbers) -> Along:
    import numpy as np
    from scipy.optimize import brentq

    parts, value = _parts_along(setup, phase, knob, numbers)
    low, high = AXES.get(knob, tuple(f * value for f in _FACTORS))
    grid = np.geomspace(min(low, value), max(high, value), _GRID)
    largest = _stacked(parts(grid), grid.shape).argmax(axis=0)
    edges, named = [float(grid[0])], [RESOURCES[largest[0]]]
    for i in np.flatnonzero(np.diff(largest)):
        one, other = int(largest[i]), int(largest[i + 1])

        def difference(x: float, a: int = one, b: int = other) -> float:
            both = _stacked(parts(np.array([x])), (1,))
            return float(both[b, 0] - both[a, 0])

        at: Any = brentq(difference, grid[i], grid[i + 1], xtol=1e-300, rtol=np.float64(1e-10))
        edges.append(float(at))
        named.append(RESOURCES[other])
    ends = [*edges[1:], float(grid[-1])]
    return Along(phase, knob, value, tuple(map(Span, edges, ends, named)))


def _stacked(parts: Bound, shape: tuple[int, ...]) -> Any:
    import numpy as np

    rows = (parts.compute_s, parts.memory_s, parts.link_s)
    return np.stack([np.broadcast_to(np.asarray(row, dtype=float), shape) for row in rows])


def _parts_along(setup: Setup, phase: str, knob: str, numbers: Numbers) -> tuple[Callable[[Any], Bound], float]:
    """Return the parts of a step's bound as a function of one number, and that number as it is."""
    sequences, tokens = _here(setup, phase, numbers)
    if knob == "batch":
        return lambda x: _parts(setup, phase, x, tokens), sequences
    if knob == "context":
        return lambda x: _parts(setup, phase, sequences, x), tokens
    value = KNOBS[knob].value(setup)
    return lambda x: _parts(turned(setup, {knob: x / value}), phase, sequences, tokens), value
