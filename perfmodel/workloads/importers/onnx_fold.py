"""Arithmetic on small known arrays: how a graph works out its shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import numpy as np

from perfmodel.workloads.importers.graphs.tensors import MOST_VALUES, Malformed
from perfmodel.workloads.importers.onnx_ops.call import Call

Array = Any
Fold = Callable[["Known"], Any]
"""An array, or several; None where it is not worked out."""


@dataclass(frozen=True)
class Known:
    """A call whose inputs' values are all known."""

    call: Call
    arrays: Sequence[Array | None]

    @property
    def x(self) -> Array:
        """Return the first array."""
        return self.need(0)

    def need(self, place: int) -> Array:
        """Return an array that must be there."""
        found = self.arrays[place] if place < len(self.arrays) else None
        if found is None:
            raise Malformed(f"has no input {place + 1}")
        return found

    def whole(self, place: int, name: str) -> list[int] | None:
        """Return whole numbers of an input or attribute."""
        return self.call.numbers(place, name)


def folded(call: Call) -> list[Array] | None:
    """Return the values of a node's results where all that it reads is known and small, else None."""
    if call.domain:
        return None
    if call.op in ("Shape", "Size") and call.get(0) is not None:
        return [_shape(call)]
    rule = _FOLDS.get(call.op)
    if rule is None or any(t is not None and t.value is None for t in call.inputs):
        return None
    with np.errstate(all="ignore"):
        found = rule(Known(call, [None if t is None else t.value for t in call.inputs]))
    if found is None:
        return None
    results = [np.asarray(a) for a in found] if isinstance(found, (list, tuple)) else [np.asarray(found)]
    return results if all(a.size <= MOST_VALUES and a.dtype.kind != "c" for a in results) else None


def _shape(call: Call) -> Array:
    shape = call.x.shape
    if call.op == "Size":
        return np.array(prod(shape), dtype=np.int64)
    start, end = call.int("start", 0), call.int("end", len(shape)) if "end" in call.attributes else None
    return np.array(shape[slice(start, end)], dtype=np.int64)


def _small(shape: Sequence[int]) -> bool:
    return all(n >= 0 for n in shape) and prod(shape) <= MOST_VALUES


def _divide(a: Array, b: Array) -> Array:
    if not np.issubdtype(a.dtype, np.integer):
        return np.true_divide(a, b)
    if not np.all(b):
        raise Malformed("divides by zero")
    return (np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))).astype(a.dtype)


def _modulo(k: Known) -> Array:
    a, b = k.x, k.need(1)
    if np.issubdtype(a.dtype, np.integer) and not np.all(b):
        raise Malformed("divides by zero")
    return np.fmod(a, b) if k.call.flag("fmod") else np.mod(a, b)


def _reshape(k: Known) -> Array:
    wanted = k.whole(1, "shape") or []
    if not k.call.flag("allowzero"):
        wanted = [k.x.shape[i] if n == 0 and i < k.x.ndim else n for i, n in enumerate(wanted)]
    return k.x.reshape(wanted)


def _squeeze(k: Known) -> Array:
    axes = k.whole(1, "axes")
    return np.squeeze(k.x, tuple(axes) if axes else None)


def _unsqueeze(k: Known) -> Array:
    return np.expand_dims(k.x, tuple(k.whole(1, "axes") or ()))


def _slice(k: Known) -> Array:
    starts, ends, axes, steps = (k.whole(i, name) for i, name in enumerate(("starts", "ends", "axes", ""), 1))
    if starts is None or ends is None:
        raise Malformed("does not say where its parts begin and end")
    index = [slice(None)] * k.x.ndim
    places = axes or list(range(len(starts)))
    for start, end, axis, step in zip(starts, ends, places, steps or [1] * len(starts), strict=True):
        index[axis] = slice(start, end if step > 0 or end >= -k.x.shape[axis] else None, step)
    return k.x[tuple(index)]


def _split(k: Known) -> list[Array] | None:
    sizes, axis = k.whole(1, "split"), k.call.int("axis", 0)
    if sizes is None:
        count = k.call.int("num_outputs", k.call.outputs) or 1
        if count != k.call.outputs:
            raise Malformed(f"splits into {count} parts and has {k.call.outputs} results")
        whole = ceil(k.x.shape[axis] / count)
        sizes = [whole] * (count - 1) + [k.x.shape[axis] - whole * (count - 1)]
    return np.split(k.x, np.cumsum(sizes)[:-1].tolist(), axis) if len(sizes) == k.call.outputs else None


def _cast(k: Known) -> Array | None:
    from perfmodel.workloads.importers.onnx_file import type_name

    wanted = type_name(k.call.int("to", 1))
    try:
        return k.x.astype(wanted)
    except (TypeError, ValueError):
        return None  # a type that numpy does not have


def _range(k: Known) -> Array | None:
    start, limit, step = (k.need(i).item() for i in range(3))
    if not step:
        raise Malformed("is a range whose step is zero")
    count = max((limit - start) / step, 0)
    return np.arange(start, limit, step, dtype=k.x.dtype) if count <= MOST_VALUES else None


def _expand(k: Known) -> Array | None:
    shape = np.broadcast_shapes(k.x.shape, tuple(k.whole(1, "") or ()))
    return np.broadcast_to(k.x, shape) if _small(shape) else None


def _tile(k: Known) -> Array | None:
    counts = k.whole(1, "") or []
    fits = len(counts) == k.x.ndim and _small([n * c for n, c in zip(k.x.shape, counts, strict=True)])
    return np.tile(k.x, counts) if fits else None


def _reduce(name: str) -> Fold:
    def rule(k: Known) -> Array:
        axes = k.whole(1, "axes")
        if not axes and k.call.flag("noop_with_empty_axes"):
            return k.x
        function = getattr(np, name)
        found = function(k.x, axis=tuple(axes) if axes else None, keepdims=k.call.flag("keepdims", default=True))
        return np.asarray(found).astype(k.x.dtype)

    return rule


def _unary(function: Callable[[Array], Array]) -> Fold:
    return lambda k: np.asarray(function(k.x))


def _binary(function: Callable[[Array, Array], Array]) -> Fold:
    def rule(k: Known) -> Array | None:
        a, b = k.x, k.need(1)
        if k.call.opset < 7 and k.call.flag("broadcast"):
            return None
        return function(a, b) if _small(np.broadcast_shapes(a.shape, b.shape)) else None

    return rule


def _many(function: Callable[[Array, Array], Array]) -> Fold:
    def rule(k: Known) -> Array | None:
        result = k.x
        for array in k.arrays[1:]:
            if not _small(np.broadcast_shapes(result.shape, np.asarray(array).shape)):
                return None
            result = function(result, array)
        return result

    return rule


def _gather(k: Known) -> Array | None:
    axis, places = k.call.int("axis", 0), k.need(1)
    if not k.x.ndim or not _small([k.x.size, places.size]) or k.x.size * max(places.size, 1) > MOST_VALUES**2:
        return None
    if places.size and not -k.x.shape[axis] <= places.min() <= places.max() < k.x.shape[axis]:
        raise Malformed(f"looks up a place outside {k.x.shape[axis]}")
    shape = (*k.x.shape[:axis], *places.shape, *k.x.shape[axis % k.x.ndim + 1 :])
    return np.take(k.x, places.astype(np.int64), axis=axis) if _small(shape) else None


def _scatter_nd(k: Known) -> Array:
    result, places = k.x.copy(), k.need(1).astype(np.int64)
    result[tuple(np.moveaxis(places, -1, 0))] = k.need(2)
    return result


def _where(k: Known) -> Array | None:
    shape = np.broadcast_shapes(*(np.asarray(a).shape for a in k.arrays))
    return np.where(k.x, k.need(1), k.need(2)) if _small(shape) else None


def _power(a: Array, b: Array) -> Array:
    if np.issubdtype(a.dtype, np.integer) and np.any(np.asarray(b) < 0):
        return np.power(a.astype(float), b).astype(a.dtype)
    return np.power(a, b).astype(a.dtype)


def _trilu(k: Known) -> Array:
    offset = int(k.need(1)) if len(k.arrays) > 1 else 0
    return np.triu(k.x, offset) if k.call.flag("upper", default=True) else np.tril(k.x, offset)


def _clip(k: Known) -> Array:
    low, high = (k.arrays[i] if i < len(k.arrays) else None for i in (1, 2))
    return k.x if low is None and high is None else np.clip(k.x, low, high)


_FOLDS: Mapping[str, Fold] = {
    "Abs": _unary(np.abs), "Add": _binary(np.add), "And": _binary(np.logical_and), "Cast": _cast,
    "Ceil": _unary(np.ceil), "Clip": _clip,
    "Concat": lambda k: np.concatenate([np.atleast_1d(a) for a in k.arrays if a is not None], k.call.int("axis", 0)),
    "Cos": _unary(np.cos), "CumSum": lambda k: np.cumsum(k.x, int(k.need(1))),
    "Div": _binary(_divide), "Equal": _binary(np.equal), "Exp": _unary(np.exp), "Expand": _expand,
    "Flatten": lambda k: k.x.reshape(prod(k.x.shape[: k.call.int("axis", 1)]), -1),
    "Floor": _unary(np.floor), "Gather": _gather, "Greater": _binary(np.greater),
    "GreaterOrEqual": _binary(np.greater_equal), "Identity": _unary(lambda a: a), "Less": _binary(np.less),
    "LessOrEqual": _binary(np.less_equal), "Log": _unary(np.log), "Max": _many(np.maximum), "Min": _many(np.minimum),
    "Mod": _modulo, "Mul": _binary(np.multiply), "Neg": _unary(np.negative),
    "NonZero": lambda k: np.array(np.nonzero(np.atleast_1d(k.x)), dtype=np.int64), "Not": _unary(np.logical_not),
    "Or": _binary(np.logical_or), "Pow": _binary(_power), "Range": _range, "Reciprocal": _unary(np.reciprocal),
    "ReduceMax": _reduce("max"), "ReduceMean": _reduce("mean"), "ReduceMin": _reduce("min"),
    "ReduceProd": _reduce("prod"), "ReduceSum": _reduce("sum"), "Relu": _unary(lambda a: np.maximum(a, 0)),
    "Reshape": _reshape, "Round": _unary(np.round), "ScatterND": _scatter_nd, "Sin": _unary(np.sin), "Slice": _slice,
    "Split": _split, "Sqrt": _unary(np.sqrt), "Squeeze": _squeeze, "Sub": _binary(np.subtract),
    "Sum": _many(np.add), "Tile": _tile,
    "Transpose": lambda k: np.transpose(k.x, k.call.ints("perm")), "Trilu": _trilu, "Unsqueeze": _unsqueeze,
    "Where": _where, "Xor": _binary(np.logical_xor),
}  # fmt: skip
