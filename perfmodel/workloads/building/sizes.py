"""Sizes of windows, paddings and what they leave."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.errors import SpecError
from perfmodel.numeric import Number
from perfmodel.workloads.network import Shape

Sizes = int | Sequence[int]


def three_sizes(sizes: Sizes, sides: int, filler: int) -> tuple[int, int, int]:
    """Return sizes of (frames, height, width): one number for each of the ``sides`` there are, fillers before them."""
    given = (sizes,) * sides if isinstance(sizes, int) else tuple(sizes)
    if not isinstance(sizes, int) and len(given) != sides:
        raise SpecError(f"{tuple(given)} does not say {sides} sizes")
    t, h, w = (*(filler for _ in range(3 - sides)), *given)
    return t, h, w


def sides_of(shape: Shape) -> tuple[Number, Number, Number]:
    """Return (frames, height, width) of an image or sequence of channels."""
    t, h, w = (*(1 for _ in range(4 - len(shape))), *shape[1:])
    return t, h, w


def same_padding(size: Number, kernel: int, stride: int, dilation: int) -> Number:
    """Return TensorFlow's SAME padding of both ends: ``max((ceil(n/s) - 1)*s + d*(k-1) + 1 - n, 0)``."""
    return max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)


def pool_side(size: Number, kernel: int, stride: int, padding: Number, ceil: bool) -> Number:
    """Return how many windows of a pool fit into a side, ``padding`` of both ends together."""
    span = size + padding - kernel
    count = -(-span // stride) + 1 if ceil else span // stride + 1
    if ceil and (count - 1) * stride >= size + padding / 2:
        count -= 1  # the last window would begin in the padding
    return count


def whole(value: Number) -> Number:
    """Return a whole float as an int; symbols and arrays as they are."""
    return int(value) if isinstance(value, float) else value
