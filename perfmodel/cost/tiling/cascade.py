"""How often a cascade of Einsums must pass over a rank, and what that costs in buffer or in traffic.

A line is ``NAME[rank,...] = ...`` with the tensors that it reads in the same form; a rank of an input that the output
lacks is reduced. A running reduction keeps its rank (``RM[m,p] = running max(S[m,p])``): its value is there at every
step, so that nothing has to wait for the end.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from perfmodel.errors import InputError, did_you_mean

_TENSOR = re.compile(r"([A-Za-z_]\w*)\s*\[([^\]]*)\]")


@dataclass(frozen=True)
class Tensor:
    """A name and its ranks, as one Einsum writes or reads it."""

    name: str
    ranks: tuple[str, ...]


@dataclass(frozen=True)
class Einsum:
    """One line of a cascade: what it writes, and what it reads."""

    output: Tensor
    inputs: tuple[Tensor, ...]


@dataclass(frozen=True)
class Fiber:
    """A tensor that is needed again in a later pass: where it was made, where used last, and its words a point."""

    name: str
    made_in_pass: int
    passes: tuple[int, ...]
    words: int
    is_input: bool


@dataclass(frozen=True)
class Passes:
    """What a cascade needs over one rank, for ``tile`` points of its other ranks at a time.

    ``buffer_words`` is what must stay on the chip so that every tensor moves once; ``refetched_words`` what moves
    beyond that over the whole cascade where it does not stay (inputs read again, intermediates written and read).
    """

    rank: str
    passes: int
    fibers: tuple[Fiber, ...]
    buffer_words: int
    refetched_words: int


CASCADES: dict[str, str] = {
    "attention-3-pass": """
        QK[m,p] = Q[e,p] * K[e,m]
        GM[p] = max(QK[m,p])
        SN[m,p] = exp(QK[m,p] - GM[p])
        SD[p] = sum(SN[m,p])
        A[m,p] = SN[m,p] / SD[p]
        AV[f,p] = A[m,p] * V[f,m]
    """,
    "attention-2-pass": """
        QK[m,p] = Q[e,p] * K[e,m]
        GM[p] = max(QK[m,p])
        SN[m,p] = exp(QK[m,p] - GM[p])
        SD[p] = sum(SN[m,p])
        SNV[f,p] = SN[m,p] * V[f,m]
        AV[f,p] = SNV[f,p] / SD[p]
    """,
    "attention-1-pass": """
        QK[m,p] = Q[e,p] * K[e,m]
        RM[m,p] = running max(QK[m,p])
        SN[m,p] = exp(QK[m,p] - RM[m,p])
        RD[m,p] = running rescaled sum(SN[m,p], RM[m,p])
        RNV[m,f,p] = running rescaled sum(SN[m,p] * V[f,m], RM[m,p])
        AV[f,p] = last(RNV[m,f,p]) / last(RD[m,p])
    """,
    "layernorm": """
        MU[p] = mean(X[d,p])
        D[d,p] = X[d,p] - MU[p]
        VAR[p] = mean(D[d,p] * D[d,p])
        Y[d,p] = D[d,p] / sqrt(VAR[p]) * G[d]
    """,
    "layernorm-moments": """
        S1[p] = sum(X[d,p])
        S2[p] = sum(X[d,p] * X[d,p])
        Y[d,p] = (X[d,p] - S1[p]) / sqrt(S2[p] - S1[p]) * G[d]
    """,
    "rmsnorm": """
        S2[p] = sum(X[d,p] * X[d,p])
        Y[d,p] = X[d,p] / sqrt(S2[p]) * G[d]
    """,
}
"""Cascades by name. Source: those of attention, Nayak et al., "FuseMax" (arXiv 2406.10491), sections 3 and 4."""


def parse_cascade(text: str) -> list[Einsum]:
    """Return the Einsums of a text, a line each; :class:`InputError` names the line that is none."""
    found: list[Einsum] = []
    for number, line in enumerate(text.splitlines(), 1):
        body = line.partition("#")[0].strip()
        if not body:
            continue
        left, equals, right = body.partition("=")
        output = _TENSOR.fullmatch(left.strip())
        inputs = [_tensor(match) for match in _TENSOR.finditer(right)]
        if not equals or output is None or not inputs:
            raise InputError(f"line {number} of the cascade is not 'NAME[ranks] = ... NAME[ranks] ...': {body}")
        found.append(Einsum(_tensor(output), tuple(inputs)))
    if not found:
        raise InputError("the cascade has no line")
    return found


def _tensor(match: re.Match[str]) -> Tensor:
    return Tensor(match[1], tuple(rank.strip() for rank in match[2].split(",") if rank.strip()))


def passes_over(cascade: Sequence[Einsum], rank: str, extents: Mapping[str, int], tile: int = 1) -> Passes:
    """Return the passes that a cascade makes over ``rank``, what lives across them, and its cost.

    An Einsum runs in the pass of its latest input along the rank; one that reads a value reduced over the whole rank
    runs in the pass after that reduction. A tensor along the rank that a later pass reads again needs
    ``extent(rank)*other extents`` words in the buffer (``tile`` points at a time of the largest other rank), or moves
    again: an input once for each further pass, an intermediate also to be written. What one pass hands to the next is
    held, and a tensor gives its place to the one made of it. ``extents`` has every rank's size.
    Source: FuseMax (arXiv 2406.10491), section 3.
    """
    _check_extents(cascade, rank, extents)
    made: dict[str, int] = {}
    ready: dict[str, int] = {}  # the first pass in which a tensor without the rank may be read
    used: dict[str, set[int]] = {}
    shapes: dict[str, Tensor] = {}
    for einsum in cascade:
        now = max([1, *(made.get(t.name, 1) if rank in t.ranks else ready.get(t.name, 1) for t in einsum.inputs)])
        along = [t for t in einsum.inputs if rank in t.ranks]
        for t in along:
            used.setdefault(t.name, set()).add(now)
            shapes[t.name] = t
        shapes[einsum.output.name] = einsum.output
        if rank in einsum.output.ranks:
            made[einsum.output.name] = now
        else:
            ready[einsum.output.name] = now + 1 if along else now  # reduced, so whole only when the pass has ended
    written = {einsum.output.name for einsum in cascade}
    fibers = [
        Fiber(name, made.get(name, min(when)), tuple(sorted(when)), _words(shapes[name], rank, extents, tile),
              name not in written)
        for name, when in used.items()
        if len({*when, made.get(name, min(when))}) > 1
    ]  # fmt: skip
    passes = max([1, *made.values(), *(p for when in used.values() for p in when)])
    held = max(
        (sum(f.words for f in fibers if f.made_in_pass <= p < max(f.passes)) for p in range(1, passes)), default=0
    )
    return Passes(rank, passes, tuple(fibers), held, _refetched(fibers, shapes, extents))


def _refetched(fibers: Sequence[Fiber], shapes: Mapping[str, Tensor], extents: Mapping[str, int]) -> int:
    moved = 0
    for fiber in fibers:
        whole = prod(extents[r] for r in shapes[fiber.name].ranks)
        later = len({p for p in fiber.passes if p > fiber.made_in_pass})
        moved += whole * (later if fiber.is_input else later + 1)
    return moved


def _words(tensor: Tensor, rank: str, extents: Mapping[str, int], tile: int) -> int:
    """Return a fiber's words for ``tile`` points of the largest of its other ranks, which is the one cut."""
    others = sorted((extents[r] for r in tensor.ranks if r != rank), reverse=True)
    return extents[rank] * prod(others[1:]) * (min(tile, others[0]) if others else 1)


def _check_extents(cascade: Sequence[Einsum], rank: str, extents: Mapping[str, int]) -> None:
    ranks = dict.fromkeys(r for einsum in cascade for t in (einsum.output, *einsum.inputs) for r in t.ranks)
    if rank not in ranks:
        raise InputError(
            f"the cascade has no rank '{rank}'{did_you_mean(rank, list(ranks))} (it has {', '.join(ranks)})"
        )
    missing = [r for r in ranks if r not in extents]
    if missing:
        raise InputError(f"no extent is given for rank {', '.join(missing)}: write {missing[0]}=1024")
