"""The grid of kernels that ``perfmodel measure`` times: rows in the columns of ``perfmodel kernels``.

Shapes are those of language models of 1 to 70 billion parameters, from one token to thousands, so that launch, memory,
cache and arithmetic each decide some of them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WEIGHTS = ((4096, 4096), (14336, 4096), (4096, 14336), (1024, 8192), (28672, 8192))
_TOKENS = (1, 16, 64, 256, 1024, 4096, 16384)
_QUICK_WEIGHTS, _QUICK_TOKENS = _WEIGHTS[:3], (1, 32, 512, 4096)
_HEADS = ((32, 8, 128), (32, 32, 128), (16, 2, 64))
_PROMPTS = ((1, 128), (1, 1024), (8, 1024), (1, 4096), (2, 8192), (32, 512), (1, 16384))
_CACHES = ((1, 512), (1, 8192), (16, 1024), (64, 2048), (16, 16384), (256, 1024), (1, 65536))
_ROWS = ((1, 64), (64, 1024), (1024, 4096), (4096, 4096), (8192, 8192), (32768, 8192))


@dataclass(frozen=True)
class Case:
    """One kernel to time: ``op`` and its shape as in a table of kernels; ``flops`` and ``bytes`` size the loop."""

    op: str
    dtype: str
    shape: tuple[tuple[str, int], ...]
    flops: float
    bytes: float

    def __getitem__(self, name: str) -> int:
        """Return a number of the shape."""
        return dict(self.shape)[name]


def grid(dtype: str, quick: bool, most_bytes: float) -> list[Case]:
    """Return the cases that need at most ``most_bytes`` of memory, in an order that is even wherever it is cut off."""
    size = 4 if dtype == "float32" else 2
    classes = [list(_gemms(dtype, size, quick)), list(_prefills(dtype, size, quick)),
               list(_decodes(dtype, size, quick)), list(_copies(dtype, size, quick))]  # fmt: skip
    kept = [_spread([case for case in cases if case.bytes <= most_bytes]) for cases in classes]
    found = [case for turn in itertools.zip_longest(*kept) for case in turn]
    return [case for case in found if case is not None]


def _spread(cases: Sequence[Case]) -> list[Case]:
    """Return cases ordered so that each beginning of the list spans the sizes: ends, middle, quarters, and so on."""
    rest = sorted(cases, key=lambda case: (case.flops + case.bytes, case.shape))
    found: list[Case] = []
    steps = 1
    while len(found) < len(rest):
        for i in range(steps + 1):
            case = rest[round(i * (len(rest) - 1) / steps)]
            if case not in found:
                found.append(case)
        steps *= 2
    return found


def _gemms(dtype: str, size: int, quick: bool) -> Iterator[Case]:
    for (n, k), m in itertools.product(*((_QUICK_WEIGHTS, _QUICK_TOKENS) if quick else (_WEIGHTS, _TOKENS))):
        moved = float(size) * (m * n + m * k + 5 * n * k)  # five copies of the weights
        yield Case("gemm", dtype, (("m", m), ("n", n), ("k", k)), 2.0 * m * n * k, moved)


def _prefills(dtype: str, size: int, quick: bool) -> Iterator[Case]:
    for (heads, kv_heads, dim), (batch, tokens) in itertools.product(_HEADS[: 1 if quick else 3], _PROMPTS):
        shape = (("batch", batch), ("q_tokens", tokens), ("kv_tokens", tokens), ("heads", heads),
                 ("kv_heads", kv_heads), ("head_dim", dim))  # fmt: skip
        moved = 2.0 * size * batch * tokens * dim * (heads + kv_heads)
        yield Case("attention_prefill", dtype, shape, 2.0 * batch * heads * tokens * tokens * dim, moved)


def _decodes(dtype: str, size: int, quick: bool) -> Iterator[Case]:
    for (heads, kv_heads, dim), (batch, tokens) in itertools.product(_HEADS[: 1 if quick else 3], _CACHES):
        shape = (("batch", batch), ("kv_tokens", tokens), ("heads", heads), ("kv_heads", kv_heads), ("head_dim", dim))
        moved = 2.0 * size * batch * tokens * kv_heads * dim
        yield Case("attention_decode", dtype, shape, 4.0 * batch * heads * tokens * dim, moved)


def _copies(dtype: str, size: int, quick: bool) -> Iterator[Case]:
    for op, streams in (("activation", 2), ("add", 3)):
        for rows, cols in _ROWS[:: 1 if op == "activation" or not quick else 2]:
            yield Case(op, dtype, (("rows", rows), ("cols", cols)), 0.0, float(streams) * size * rows * cols)
