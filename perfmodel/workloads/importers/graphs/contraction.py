"""Contractions written in letters, as einsum has them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel import ops
from perfmodel.workloads.importers.graphs.layers import copied, elementwise, grouped
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor
from perfmodel.workloads.importers.graphs.writer import Writer

Letters = list[str]


def contracted(w: Writer, equation: str, tensors: Sequence[Tensor]) -> Tensor:
    """Add the contraction that an equation of letters says."""
    terms, out, sizes = _letters(equation, tensors)
    if len(terms) == 1:
        return copied(w, tensors, tuple(sizes[letter] for letter in out), "einsum")
    result, letters = tensors[0], terms[0]
    for place in range(1, len(terms)):
        later = {letter for term in terms[place + 1 :] for letter in term} | set(out)
        left = [letter for letter in dict.fromkeys((*letters, *terms[place])) if letter in later]
        left = out if place == len(terms) - 1 else left
        result = _contraction(w, (result, tensors[place]), (letters, terms[place]), left, sizes)
        letters = left
    return result


def _contraction(
    w: Writer, pair: tuple[Tensor, Tensor], terms: tuple[Letters, Letters], out: Letters, sizes: dict[str, int]
) -> Tensor:
    """Add a contraction of two tensors: letters of both and the result are batches, of both only are summed."""
    (a, b), left, right = pair, set(terms[0]), set(terms[1])
    shape = tuple(sizes[letter] for letter in out)
    summed = (left & right) - set(out)
    if not summed:
        return elementwise(w, (a, b), "einsum", shape)
    both = [letter for letter in out if letter in left and letter in right]
    batch = prod(sizes[letter] for letter in both)
    m = prod(sizes[letter] for letter in out if letter in left - right)
    n = prod(sizes[letter] for letter in out if letter in right - left)
    k = prod(sizes[letter] for letter in summed)
    if b.fixed:
        op = grouped(batch, batch, m, n, k)
    elif a.fixed:
        op = grouped(batch, batch, n, m, k)
    else:
        op = ops.BatchedMatmul(batch, m, n, k)
    return w.node(op, (a, b), shape, weights=(a, b))


def _letters(equation: str, tensors: Sequence[Tensor]) -> tuple[list[Letters], Letters, dict[str, int]]:
    """Return the letters of each operand and of the result, and their sizes; "..." becomes digits from behind."""
    left, arrow, right = equation.replace(" ", "").partition("->")
    texts = left.split(",")
    if len(texts) != len(tensors) or not all(c.isalpha() or c in ".,->" for c in equation.replace(" ", "")):
        raise Malformed(f"equation '{equation[:60]}' does not fit {len(tensors)} operands")
    terms = [_spread(text, tensor.rank) for text, tensor in zip(texts, tensors, strict=True)]
    sizes: dict[str, int] = {}
    for term, tensor in zip(terms, tensors, strict=True):
        for letter, size in zip(term, tensor.shape, strict=True):
            known = sizes.setdefault(letter, size)
            if 1 not in (known, size) and known != size:
                raise Malformed(f"equation '{equation[:60]}': '{letter}' is {known} and {size}")
            sizes[letter] = max(known, size)
    dots = sorted((letter for letter in sizes if letter.isdigit()), key=int, reverse=True)
    if arrow:
        before, ellipsis, after = right.partition("...")
        out = [*before, *(dots if ellipsis else []), *after]
    else:
        counts = "".join(texts).replace(".", "")
        out = [*dots, *sorted(letter for letter in set(counts) if counts.count(letter) == 1)]
    if len(set(out)) != len(out) or not sizes.keys() >= set(out):
        raise Malformed(f"equation '{equation[:60]}' has a result that its operands do not make")
    return terms, out, sizes


def _spread(text: str, rank: int) -> Letters:
    before, dots, after = text.partition("...")
    hidden = rank - len(before) - len(after)
    if hidden < 0 or (hidden and not dots) or "." in before + after:
        raise Malformed(f"term '{text[:40]}' does not fit an operand of {rank} dimensions")
    return [*before, *(str(i) for i in reversed(range(hidden))), *after]
