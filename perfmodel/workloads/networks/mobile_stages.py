"""A notation for stages of mobile blocks, and how they are scaled in width and depth.

A stage is a text of blocks with commas between, ``"ir k5 s2 e6 c40 q.25, ir x3 k5 e3 c40"``; ``"4*(mq c80, ui c80)"``
repeats several. The first word of a block is its kind, the others say in any order:

====  ====================================  ====  ====================================================================
cN    channels that leave                   aN    ir: kernels of the expansion; ui: the depthwise one before it
xN    how often (the stride only once)      pN    ir, ds: kernels of the projection; ui: the depthwise one after it
kN    depthwise kernel (ir, ds, ui),        gN    channels a group (1: depthwise)
      expanding (er) or only kernel (cn)    mN    experts whose kernels are mixed for each image (CondConv)
sN    stride                                iN    er: the expansion counts from these channels
eN    expansion                             wN    expanded channels, instead of eN
qN    squeeze-and-excitation to this part   rN    channels that it squeezes to, instead of qN
hN    mq: heads                             vN    mq: stride of keys and values
dN    mq: features of a head
====  ====================================  ====  ====================================================================

Kernels may be several, "k3.5.7": a share of the channels for each. Other words: an activation for this block ("relu"),
"noskip", "skip" (cn), "valid" (er: no padding), "s2d" (a 2x2 convolution of stride 2 to four times the channels first).

Kinds: "cn" convolution; "ds" depthwise separable; "dsa" the same with an activation at its end and no residual; "ir"
inverted residual (MobileNetV2); "er" the same with expansion and depthwise fused to one convolution; "ui" universal
inverted bottleneck (MobileNetV4); "mq" multi-query attention (MobileNetV4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil

from perfmodel.errors import InputError

ACTIVATIONS = ("relu", "relu6", "silu", "hard_swish", "gelu", "mish")
KINDS = ("cn", "ds", "dsa", "ir", "er", "ui", "mq")
_REPEATED = re.compile(r"(\d+)\*\(([^()]*)\)")
_NUMBER = re.compile(r"([acdeghikmpqrsvwx])(\d*\.?\d+(?:\.\d+)*)")


@dataclass(frozen=True)
class Item:
    """One block of a stage; the fields are those of the notation."""

    kind: str
    channels: int = 0
    repeat: int = 1
    kernels: tuple[int, ...] = (3,)
    stride: int = 1
    expand: float = 1.0
    squeeze: float = 0.0
    start: tuple[int, ...] = ()
    end: tuple[int, ...] = ()
    group: int = 0
    experts: int = 0
    counted_from: int = 0
    heads: int = 0
    head_dim: int = 0
    kv_stride: int = 1
    wide: int = 0
    squeezed: int = 0
    act: str = ""
    skip: bool = True
    s2d: bool = False
    valid: bool = False

    def expanded(self, channels: int, divisor: int = 8) -> int:
        """Return the width between expansion and projection."""
        return self.wide or divisible((self.counted_from or channels) * self.expand, divisor)


_FIELDS = {
    "c": "channels", "x": "repeat", "k": "kernels", "s": "stride", "e": "expand", "q": "squeeze", "a": "start",
    "p": "end", "g": "group", "m": "experts", "i": "counted_from", "h": "heads", "d": "head_dim", "v": "kv_stride",
    "w": "wide", "r": "squeezed",
}  # fmt: skip


def parse_stage(text: str) -> list[Item]:
    """Return the blocks that a stage's text names, not yet repeated."""
    flat = _REPEATED.sub(lambda match: ", ".join([match[2]] * int(match[1])), text)
    return [_parse_item(part.split(), text) for part in flat.split(",")]


def _parse_item(words: Sequence[str], text: str) -> Item:
    if not words or words[0] not in KINDS:
        raise InputError(f"'{text}': a block begins with one of {', '.join(KINDS)}")
    fields: dict[str, object] = {"skip": words[0] not in ("cn", "dsa")}
    for word in words[1:]:
        match = _NUMBER.fullmatch(word)
        if match and match[1] in "kap":
            fields[_FIELDS[match[1]]] = tuple(int(k) for k in match[2].split(".") if int(k))
        elif match and match[2].count(".") < 2:
            fields[_FIELDS[match[1]]] = float(match[2]) if match[1] in "eq" else int(match[2])
        elif word in ACTIVATIONS:
            fields["act"] = word
        elif word in {"skip", "noskip"}:
            fields["skip"] = word == "skip"
        elif word in {"s2d", "valid"}:
            fields[word] = True
        else:
            raise InputError(f"'{text}': '{word}' is no word of the notation")
    item = Item(words[0], **fields)  # type: ignore[arg-type]
    if item.channels < 1 or item.stride not in {1, 2} or item.repeat < 1:
        raise InputError(f"'{text}': a block needs channels (c16), a stride of 1 or 2, and is there at least once")
    return item


def unroll(items: Sequence[Item], depth: float, rounding: str) -> list[Item]:
    """Return a stage's blocks one by one, ``depth`` times as many, the stride only at the first of each.

    ``rounding`` "ceil" is EfficientNet's, "round" keeps short stages short. What is added is shared out from the last
    block on, so that the first one, which changes the width, is repeated last.
    """
    left = sum(item.repeat for item in items)
    scaled = max(1, round(left * depth)) if rounding == "round" else ceil(left * depth)
    counts: list[int] = []
    for item in reversed(items):
        counts.append(max(1, round(item.repeat / left * scaled)))
        left, scaled = left - item.repeat, scaled - counts[-1]
    blocks = [item for item, count in zip(items, reversed(counts), strict=True) for _ in range(count)]
    return [replace(item, stride=item.stride if i == 0 else 1) for i, item in enumerate(blocks)]


def divisible(value: float, divisor: int = 8, limit: float = 0.9) -> int:
    """Return the multiple of ``divisor`` nearest to a width, but no less than ``limit`` of it."""
    near = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return near + divisor if near < limit * value else near
