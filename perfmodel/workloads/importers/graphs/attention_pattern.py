"""Two products with a softmax between them, as exporters write attention, as the one operator that runtimes run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from perfmodel import ops
from perfmodel.formats import FLOAT16
from perfmodel.workloads.importers.graphs.batch import Drawn
from perfmodel.workloads.importers.graphs.tensors import Shape
from perfmodel.workloads.importers.graphs.writer import Draft

_BETWEEN = (ops.Scale, ops.Add, ops.Multiply)
_MOST_BETWEEN = 8
_WIDEST = 256
"""Of a head, in FlashAttention (Dao 2023)."""


@dataclass(frozen=True)
class _Found:
    """Indices of drafts: both products, and all that stands between them (the softmax too)."""

    scores: int
    mix: int
    between: tuple[int, ...]


def with_attention(drawn: Drawn) -> Drawn:
    """Return a graph with each ``softmax(scale * Q @ K + mask) @ V`` as one operator.

    Nothing else may read what stands between the products; scaling and masking are part of the operator then. Heads
    wider than attention kernels take (attention over channels) stay apart. The products' flops stay what they were.
    """
    drafts = drawn.drafts
    reads = Counter(value for draft in drafts for value in set(draft.inputs))
    reads.update(drawn.outputs)
    reader = {value: index for index, draft in enumerate(drafts) for value in draft.inputs}
    softmaxes = [index for index, draft in enumerate(drafts) if isinstance(draft.operator, ops.Softmax)]
    matches = (_match(drafts, reads, reader, index) for index in softmaxes)
    found = [match for match in matches if match is not None]
    return _replaced(drawn, found) if found else drawn


def _match(drafts: Sequence[Draft], reads: Counter[int], reader: dict[int, int], softmax: int) -> _Found | None:
    before = _back(drafts, reads, softmax)
    if before is None:
        return None
    scores, between = before
    after, place = [softmax], softmax
    while reads[place] == 1 and place in reader and drafts[reader[place]].operator is None:
        place = reader[place]
        after.append(place)
    if reads[place] != 1 or place not in reader:
        return None
    following = reader[place]
    first, second, soft = drafts[scores].operator, drafts[following].operator, drafts[softmax].operator
    if not (isinstance(first, ops.BatchedMatmul) and isinstance(second, ops.BatchedMatmul)):
        return None
    assert isinstance(soft, ops.Softmax)
    fits = (first.batch, first.m, first.n) == (second.batch, second.m, second.k) and soft.cols == first.n
    if (
        not fits
        or max(first.k, second.n) > _WIDEST
        or drafts[following].inputs[0] != place
        or drafts[following].inputs.count(place) != 1
    ):
        return None
    return _Found(scores, following, (*between, *after))


def _back(drafts: Sequence[Draft], reads: Counter[int], softmax: int) -> tuple[int, list[int]] | None:
    """Return the product whose result a softmax is of, and what stands between."""
    between: list[int] = []
    place = softmax
    elements = _elements(drafts[softmax].shape)
    for _ in range(_MOST_BETWEEN):
        inputs = [i for i in drafts[place].inputs if i >= 0 and _elements(drafts[i].shape) == elements]
        inputs = [i for i in inputs if reads[i] == 1 and _leads(drafts, i)]
        if len(inputs) != 1:
            return None
        place = inputs[0]
        if isinstance(drafts[place].operator, ops.BatchedMatmul):
            return place, between
        between.append(place)
    return None


def _leads(drafts: Sequence[Draft], index: int) -> bool:
    op = drafts[index].operator
    return op is None or isinstance(op, (ops.BatchedMatmul, *_BETWEEN))


def _elements(shape: Shape) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _replaced(drawn: Drawn, found: Iterable[_Found]) -> Drawn:
    """Return the graph with each match as one operator in the place of its second product."""
    new: dict[int, Draft] = {}
    gone: set[int] = set()
    for match in found:
        inside = {match.scores, *match.between}
        parts = [drawn.drafts[i] for i in (match.scores, *match.between, match.mix)]
        read = dict.fromkeys(value for part in parts for value in part.inputs if value not in inside)
        new[match.mix] = replace(
            drawn.drafts[match.mix], operator=_operator(drawn.drafts, match), inputs=tuple(read),
            parameters=sum(part.parameters for part in parts), kind="attention",
        )  # fmt: skip
        gone |= inside
    place, places = 0, dict[int, int]()
    for index in range(len(drawn.drafts)):
        if index not in gone:
            places[index] = place
            place += 1
    drafts = [
        replace(draft, inputs=tuple(places.get(value, value) for value in draft.inputs))
        for draft in (new.get(index, drawn.drafts[index]) for index in places)
    ]
    outputs = tuple(places.get(value, value) for value in drawn.outputs)
    return replace(drawn, drafts=drafts, outputs=outputs)


def _operator(drafts: Sequence[Draft], match: _Found) -> ops.Operator:
    first, second = drafts[match.scores].operator, drafts[match.mix].operator
    assert isinstance(first, ops.BatchedMatmul)
    assert isinstance(second, ops.BatchedMatmul)
    shape = drafts[match.scores].shape
    heads = shape[1] if len(shape) == 4 and first.batch == shape[0] * shape[1] else 1
    width, odd = divmod(first.k + second.n, 2)
    return ops.AttentionPrefill(
        first.batch // heads, first.m, first.n, heads, heads, width + odd / 2 if odd else width, causal=False,
        dtype="float16", cache=FLOAT16, writes_cache=False, fused=True,
    )  # fmt: skip
