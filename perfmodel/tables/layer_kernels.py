"""The kernels of networks that a table may ask for: convolutions, pooling, norms, resizing, look-ups, products."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from perfmodel import ops
from perfmodel.errors import InputError, did_you_mean
from perfmodel.formats import find_format, runnable_format
from perfmodel.numeric import Number
from perfmodel.ops import Operator
from perfmodel.ops.conv import out_positions
from perfmodel.tables.kernel_kind import Kind, columns
from perfmodel.tables.stream import Row, word

Pair = tuple[int, int]
MODES = {"nearest": 1, "bilinear": 4, "bicubic": 16}
"""The inputs that each output of a resizing is made of."""


def _pair(row: Row, name: str, default: Pair | None, least: int = 1) -> Pair:
    """Return (height, width) of a column that says one number, or two as ``3x1``."""
    text = word(row, name)
    if not text:
        if default is None:
            raise InputError(f"column {name} is empty")
        return default
    sides = [_whole(name, text, part, least) for part in text.lower().split("x")]
    if len(sides) > 2:
        raise InputError(f"column {name}: '{text}' is neither a number nor HEIGHTxWIDTH, such as 3x1")
    return sides[0], sides[-1]


def _whole(name: str, text: str, part: str, least: int) -> int:
    try:
        value = float(part)
    except ValueError:
        raise InputError(f"column {name}: '{text}' is neither a number nor HEIGHTxWIDTH, such as 3x1") from None
    if value != value // 1 or not least <= value <= 1e6:
        raise InputError(f"column {name}: '{text}' is not of whole numbers of at least {least}")
    return int(value)


def _windows(row: Row) -> tuple[Pair, Pair, Pair, Pair]:
    """Return kernel, stride, padding of each end and dilation of a convolution."""
    return (
        _pair(row, "kernel", None), _pair(row, "stride", (1, 1)), _pair(row, "padding", (0, 0), 0),
        _pair(row, "dilation", (1, 1)),
    )  # fmt: skip


def _convolution(kind: type[ops.Conv | ops.TransposedConv]) -> Callable[..., Operator]:
    def build(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
        batch, inputs, outputs, height, width, groups = x
        kernel, stride, padding, dilation, dtype = s
        form = replace(runnable_format(dtype, peaks), name=find_format(dtype).name)
        return kind(
            batch, groups, inputs / groups, outputs / groups, height, width, kernel=(1, *kernel), stride=(1, *stride),
            padding=(0, 2 * padding[0], 2 * padding[1]), dilation=(1, *dilation), format=form,
        )  # fmt: skip

    return build


def _check_groups(x: dict[str, float], s: tuple[Any, ...]) -> None:
    del s
    for name in ("in_channels", "out_channels"):
        if x[name] % x["groups"]:
            raise InputError(f"column groups: {x['groups']:g} groups do not divide {x[name]:g} {name}")


def _check_convolution(x: dict[str, float], s: tuple[Any, ...]) -> None:
    _check_groups(x, s)
    _check_window(x, s)


def _check_window(x: dict[str, float], s: tuple[Any, ...]) -> None:
    kernel, _, padding, *rest = s
    dilation = rest[0] if rest else (1, 1)
    for place, side in enumerate(("height", "width")):
        reach = dilation[place] * (kernel[place] - 1) + 1
        if reach > x[side] + 2 * padding[place]:
            raise InputError(f"column kernel: it reaches over {reach} of a {side} of {x[side]:g} and its padding")


def _pool_windows(row: Row) -> tuple[Pair, Pair, Pair]:
    kernel = _pair(row, "kernel", None)
    return kernel, _pair(row, "stride", kernel), _pair(row, "padding", (0, 0), 0)


def _pool(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    del peaks
    batch, channels, height, width = x
    kernel, stride, padding, dtype = s
    outputs: Number = 1
    for place, size in enumerate((height, width)):
        outputs = outputs * out_positions(size, kernel[place], stride[place], 2 * padding[place], 1)
    return ops.Pool(batch, channels, height * width, outputs, kernel[0] * kernel[1], _element_bytes(dtype))


def _resize(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    del peaks
    batch, channels, height, width, out_height, out_width = x
    mode, dtype = s
    return ops.Resize(
        batch, channels, height * width, out_height * out_width, MODES[mode], element_bytes=_element_bytes(dtype)
    )  # fmt: skip


def _mode(row: Row) -> tuple[str]:
    mode = word(row, "mode", "bilinear") or "bilinear"
    if mode not in MODES:
        raise InputError(f"column mode: unknown mode '{mode}'{did_you_mean(mode, MODES)} (known: {', '.join(MODES)})")
    return (mode,)


def _batch_norm(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    del peaks
    batch, channels, height, width = x
    return ops.BatchNorm(batch * height * width, channels, element_bytes=_element_bytes(s[-1]))


def _embedding_bag(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    del peaks
    return ops.EmbeddingBag(*x, element_bytes=_element_bytes(s[-1]))


def _matmul(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    form = runnable_format(s[-1], peaks)
    return ops.BatchedMatmul(*x, dtype=form.compute, element_bytes=form.activation.bytes_per_element)


def _element_bytes(dtype: str) -> float:
    return find_format(dtype).activation.bytes_per_element


_SIDES = ("batch", "in_channels", "out_channels", "height", "width", "groups")
LAYER_KINDS: dict[str, Kind] = {
    "conv2d": Kind(columns(*_SIDES, groups=1), _windows, _convolution(ops.Conv), _check_convolution),
    "conv_transpose2d": Kind(columns(*_SIDES, groups=1), _windows, _convolution(ops.TransposedConv), _check_groups),
    "pool": Kind(columns("batch", "channels", "height", "width"), _pool_windows, _pool, _check_window),
    "batchnorm": Kind(columns("batch", "channels", "height", "width", height=1, width=1), lambda _: (), _batch_norm),
    "resize": Kind(columns("batch", "channels", "height", "width", "out_height", "out_width"), _mode, _resize),
    "embedding_bag": Kind(
        columns("batch", "tables", "rows", "lookups", "width", tables=1, lookups=1), lambda _: (), _embedding_bag
    ),
    "batched_matmul": Kind(columns("batch", "m", "n", "k"), lambda _: (), _matmul),
}
"""The ops by name. Padding is that of each end; kernel, stride, padding and dilation are one number or HxW."""
