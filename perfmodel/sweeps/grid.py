"""The factorial sweep: one compiled kernel a plan, evaluated over batch x input x output in chunks."""

from __future__ import annotations

import itertools
import math
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from perfmodel.arguments import whole
from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError, PerfmodelError, did_you_mean
from perfmodel.numeric import Number, where
from perfmodel.plan.words import PLAN_FIELDS, plan_from
from perfmodel.readings.staged import StagedGrid, stage
from perfmodel.serving.scenario import Answer, Question, Setup, prepare
from perfmodel.serving.timed import Time
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import LanguageModel
from perfmodel.workloads.what_if import changed

PLAN_AXES = ("tp", "ep", "attention_dp", "dp")
NUMBER_AXES = ("batch", "input_tokens", "output_tokens")
LARGEST_IN_MEMORY = 50_000_000
Progress = Callable[[int, "int | None"], None]


@dataclass
class Sweep:
    """The answers of a factorial grid.

    ``axes`` maps each axis to its values, in the order of the dimensions of every array in ``columns``. Points of
    plans that cannot be hold NaN, and arrays are read-only; ``problems`` lists those plans with their reasons.
    ``columns`` is empty when the answers went to a file. ``sample`` is what a network makes (empty: tokens).
    """

    model: str
    device: str
    axes: dict[str, list[Any]]
    columns: dict[str, Any] = field(default_factory=dict[str, Any])
    problems: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    sample: str = ""

    @property
    def plan_axes(self) -> list[str]:
        """Return the axes that pick a plan or a machine, one compiled formula each, rather than enter it."""
        return [name for name in self.axes if name not in NUMBER_AXES]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the length of each axis."""
        return tuple(len(v) for v in self.axes.values())

    @property
    def points(self) -> int:
        """Return how many points the grid has."""
        return _product(self.shape)

    def rows(self, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the points that have an answer, as plain rows."""
        import numpy as np

        answered = np.flatnonzero(~np.isnan(next(iter(self.columns.values())).ravel())) if self.columns else []
        for place in answered[:limit]:
            index = np.unravel_index(place, self.shape)
            point = {name: values[i] for (name, values), i in zip(self.axes.items(), index, strict=True)}
            answer = {name: _plain(column[index]) for name, column in self.columns.items()}
            yield point | answer | ({"fits": bool(answer["fits"])} if "fits" in answer else {})

    def figure(self, y: str = "tokens_per_s", x: str = "", by: str = "") -> Any:
        """Return ``y`` along the axis ``x``, a line for each value of ``by``, as a plotly ``Figure``.

        Further axes stay at their first value. Errors: :class:`InputError` for an unknown column or axis.
        """
        from perfmodel.sweeps.shown import sweep_figure

        return sweep_figure(self, y, x, by)

    def _repr_html_(self) -> str:
        from perfmodel.sweeps.shown import sweep_card

        return sweep_card(self)


def sweep(
    model: str | Path | LanguageModel,
    device: str | Path | Device,
    *,
    batch: Iterable[int] = (1,),
    input_tokens: Iterable[int] = (1024,),
    output_tokens: Iterable[int] = (256,),
    tp: Iterable[int] = (1,),
    ep: Iterable[int] = (1,),
    attention_dp: Iterable[int] = (1,),
    dp: Iterable[int] = (1,),
    out: str | Path | None = None,
    expected: bool = True,
    bands: bool = True,
    columns: Iterable[str] | None = None,
    progress: Progress | None = None,
    vary: Mapping[str, Iterable[Any]] | None = None,
    changes: Mapping[str, str] | None = None,
    scheduler: str = "",
    **options: Any,
) -> Sweep:
    """Return the full factorial grid of answers, or stream it to ``out``: a CSV file, or a folder ``x.parquet``.

    ``expected=False`` gives bounds and memory only, ``bands=False`` leaves out p10 and p90, and
    ``columns`` names those that are wanted (the rest is not even computed). ``vary`` gives further axes, the outermost:
    any other field of a plan or question (pp, cp, precision, engine ...), ``device.FIELD`` or ``model.FIELD``.
    ``changes`` and ``options`` are those of :func:`perfmodel.estimate`. ``scheduler`` (of dask.distributed, see
    :func:`perfmodel.cluster.spread`) spreads a streamed grid over its workers; what was kept of one that was broken off
    is not made again (:mod:`perfmodel.sweeps.parted`).

    Errors: :class:`PerfmodelError` for an unknown name or value; a plan that cannot be is in ``problems``.
    """
    workload = model if isinstance(model, LanguageModel) else load_model(str(model))
    machine = device if isinstance(device, Device) else load_device(str(device))
    outer = {name: _values(name, values) for name, values in (vary or {}).items()}
    workload, machine = changed(workload, machine, changes or {})
    asked = (tp, ep, attention_dp, dp, batch, input_tokens, output_tokens)
    axes: dict[str, list[Any]] = {**outer}
    axes |= {name: _axis(name, values) for name, values in zip((*PLAN_AXES, *NUMBER_AXES), asked, strict=True)}
    result = Sweep(workload.name, machine.name, axes)
    if out is None and result.points > LARGEST_IN_MEMORY:
        raise InputError(f"{result.points:,} points are too many to hold; give a file (out=, --csv) to stream them to")
    parts = ("bound",) if not expected else ("expected", "bound", "p10", "p90") if bands else ("expected", "bound")
    wanted = Wanted(parts, None if columns is None else tuple(columns))
    if in_parts(out, scheduler) and out is not None:
        from perfmodel.sweeps.parted import sweep_parts
        from perfmodel.sweeps.parted_grid import GridJob

        job = GridJob(workload, machine, axes, wanted, options, dict(changes or {}), secrets.token_hex(8))
        result.problems += sweep_parts(job, Path(out), scheduler, progress).problems
        return result
    grids = _grids(workload, machine, result, wanted, options)
    if out is not None:
        from perfmodel.sweeps.stream import stream_csv

        stream_csv(Path(out), result, grids, progress)
    else:
        _collect(result, grids, progress)
    return result


def in_parts(out: str | Path | None, scheduler: str) -> bool:
    """Say whether a grid is made in parts. Errors: :class:`InputError` for a scheduler without a file to write."""
    if scheduler and out is None:
        raise InputError("a grid on a cluster is streamed to files: name one (out=, --csv FILE, --parquet FOLDER)")
    return bool(scheduler) or str(out).endswith(".parquet")


@dataclass(frozen=True)
class PlanGrid:
    """The compiled grid of one plan: where it lies on the plan axes, its values there, and the columns' names."""

    place: tuple[int, ...]
    plan: tuple[Any, ...]
    columns: tuple[str, ...]
    grid: StagedGrid


def _grids(
    model: LanguageModel, device: Device, result: Sweep, wanted: Wanted, options: Mapping[str, Any]
) -> Iterator[PlanGrid]:
    names = result.plan_axes
    sizes = [range(len(result.axes[name])) for name in names]
    solvable = 0
    first: PerfmodelError | None = None
    for place in itertools.product(*sizes):
        try:
            grid = plan_grid(model, device, result.axes, place, wanted, options)
        except PerfmodelError as error:
            first = first or error
            text = " ".join(f"{name}={result.axes[name][i]}" for name, i in zip(names, place, strict=True))
            result.problems.append((text, str(error)))
            continue
        solvable += 1
        yield grid
    if not solvable and first is not None:
        raise first


def plan_grid(
    model: LanguageModel, device: Device, axes: Mapping[str, Sequence[Any]], place: tuple[int, ...], wanted: Wanted,
    options: Mapping[str, Any],
) -> PlanGrid:  # fmt: skip
    """Return the compiled grid of one place on the plan axes. Errors: :class:`PerfmodelError` for what cannot be."""
    names = [name for name in axes if name not in NUMBER_AXES]
    values = tuple(axes[name][i] for name, i in zip(names, place, strict=True))
    setup = _setup(model, device, dict(zip(names, values, strict=True)), options)
    columns = tuple(name for name, _ in wanted.of(setup, 1.0, 16.0, 16.0))
    grid = stage(_traced(setup, wanted), {name: axes[name] for name in NUMBER_AXES})
    return PlanGrid(place, values, columns, grid)


def _setup(model: LanguageModel, device: Device, values: Mapping[str, Any], options: Mapping[str, Any]) -> Setup:
    """Return the setup of one point of the plan axes."""
    fields = {name: value for name, value in values.items() if "." not in name}
    others = {name: str(value) for name, value in values.items() if "." in name}
    plan = plan_from({**options, **fields})
    chosen = {name: value for name, value in {**options, **fields}.items() if name not in PLAN_FIELDS}
    return prepare(*changed(model, device, others), Question(plan=plan, **chosen))


@dataclass(frozen=True)
class Wanted:
    """Which columns a sweep gives: the times' parts, and of all columns those named (None: all)."""

    parts: tuple[str, ...]
    names: tuple[str, ...] | None

    def of(self, setup: Setup, *numbers: Number) -> list[tuple[str, Number]]:
        """Return the wanted columns of a point. Errors: :class:`InputError` for a name that is not a column."""
        found = _columns(setup, self.parts, *numbers)
        if self.names is None:
            return found
        known = dict(found)
        for name in self.names:
            if name not in known:
                raise InputError(f"no column '{name}'{did_you_mean(name, known)} (one of {', '.join(known)})")
        return [(name, known[name]) for name in self.names]


def _traced(setup: Setup, wanted: Wanted) -> Callable[..., list[Number]]:
    return lambda *numbers: [value for _, value in wanted.of(setup, *numbers)]


def _columns(
    setup: Setup, parts: Sequence[str], batch: Number, input_tokens: Number, output_tokens: Number
) -> list[tuple[str, Number]]:
    """Return the named columns of a point: the times' parts, rates if anything is expected, memory."""
    if parts == ("bound",):
        found = _bound_columns(setup, batch, input_tokens, output_tokens)
    else:
        answer = setup.answer(batch, input_tokens, output_tokens)
        found = _time_columns(answer, parts)
        tokens = answer.tokens_per_s * (input_tokens if setup.question.phase == "prefill" else 1.0)
        found += [("tokens_per_s", tokens), ("tokens_per_s_per_device", tokens / setup.devices)]
        found += [("requests_per_s", answer.requests_per_s), *answer.extras.items()]
    memory, most = setup.memory_of(batch, input_tokens, output_tokens)
    fits = where(setup.fits(batch, most), 1.0, 0.0)
    found += [("memory_bytes_per_device", memory.used_bytes), ("largest_batch", most * setup.replicas), ("fits", fits)]
    return found


def _bound_columns(setup: Setup, *numbers: Number) -> list[tuple[str, Number]]:
    times = zip(("ttft", "tpot", "e2e"), setup.bounds(*numbers), strict=True)
    return [(f"{name}_bound_s", value) for name, value in times if value is not None]


def _time_columns(answer: Answer, parts: Sequence[str]) -> list[tuple[str, Number]]:
    found: list[tuple[str, Number]] = []
    for name in ("ttft", "tpot", "e2e"):
        time: Time | None = getattr(answer.phases, name)
        if time is not None:
            found += [(f"{name}_s" if p == "expected" else f"{name}_{p}_s", getattr(time, p)) for p in parts]
    return found


def _collect(result: Sweep, grids: Iterator[PlanGrid], progress: Progress | None) -> None:
    import numpy as np

    done = 0
    answered = np.zeros(result.shape[: len(result.plan_axes)], dtype=bool)
    columns: dict[str, Any] = {}
    for plan in grids:
        answered[plan.place] = True
        for name, extent in zip(plan.columns, plan.grid.extents, strict=True):
            columns[name] = _room(columns.get(name), answered.shape, extent)
        targets = [columns[name][plan.place] for name in plan.columns]
        for place, values in plan.grid.chunks():
            for target, value in zip(targets, values, strict=True):
                _put(target, place, value)
            if progress:
                done += values[0].size
                progress(done, result.points)
    for name, column in columns.items():
        column[~answered] = np.nan
        result.columns[name] = np.broadcast_to(column, result.shape)


def _room(column: Any, plans: tuple[int, ...], extent: tuple[int, ...]) -> Any:
    """Return an array that can hold a result of this extent for each plan, with what ``column`` holds already.

    A result that does not depend on an axis is kept once along it: writing a number a million times costs more than
    computing it.
    """
    import numpy as np

    if column is None:
        return np.empty(plans + extent)
    wider = tuple(max(a, b) for a, b in zip(column.shape[len(plans) :], extent, strict=True))
    return column if wider == column.shape[len(plans) :] else np.broadcast_to(column, plans + wider).copy()


def _put(target: Any, place: tuple[slice, ...], value: Any) -> None:
    """Write a chunk's result into its place, along the axes that the target has."""
    kept = tuple(n > 1 or s.stop == 1 for n, s in zip(target.shape, place, strict=True))
    if all(kept):
        target[place] = value
        return
    where_ = tuple(s if keep else slice(0, 1) for s, keep in zip(place, kept, strict=True))
    target[where_] = value[tuple(slice(None) if keep else slice(0, 1) for keep in kept)]


def _values(name: str, values: Iterable[Any]) -> list[Any]:
    """Return the values of a further axis. Errors: :class:`InputError` for a field that cannot vary here."""
    known = [f for f in (*PLAN_FIELDS, *(f.name for f in fields(Question))) if f not in _NOT_VARIED]
    if name not in known and not name.startswith(("device.", "model.")):
        hint = did_you_mean(name, known)
        raise InputError(f"no field '{name}' to vary{hint} (one of {', '.join(known)}, device.FIELD, model.FIELD)")
    found = list(values)
    if not found:
        raise InputError(f"{name} has no values")
    return found


_NOT_VARIED = (*PLAN_AXES, "plan", "prefill_pool", "decode_pool", "mode", "phase", "static")


def _axis(name: str, values: Iterable[int]) -> list[int]:
    found = [whole(name, v) for v in ([values] if isinstance(values, int) else values)]
    if not found:
        raise InputError(f"{name} has no values")
    return found


def _product(sizes: Sequence[int]) -> int:
    result = 1
    for size in sizes:
        result *= size
    return result


def _plain(value: Any) -> Any:
    number = float(value)
    return None if math.isnan(number) else number
