"""ONNX's products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

from perfmodel import ops
from perfmodel.workloads.importers.graphs.layers import activation, copied, elementwise, product
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor
from perfmodel.workloads.importers.graphs.writer import Writer
from perfmodel.workloads.importers.onnx_ops.call import MICROSOFT, Call, Result, lowers


def turned(tensor: Tensor, wanted: bool, *, batch_too: bool = False) -> Tensor:
    """Return a tensor as a product that transposes its operand reads it; nothing moves."""
    if not wanted and not batch_too:
        return tensor
    if tensor.rank < 2:
        raise Malformed("transposes an operand of one dimension")
    shape = tensor.shape
    if batch_too:  # the batch dimension stands beside the matrix's
        shape = (*shape[1:-1], shape[0], shape[-1])
    if wanted:
        shape = (*shape[:-2], shape[-1], shape[-2])
    return replace(tensor, shape=shape, value=None)


@lowers("MatMul")
def matmul(c: Call) -> Result:
    """Lower a product."""
    return product(c.write, c.x, c.need(1))


@lowers("MatMulInteger")
def matmul_integer(c: Call) -> Result:
    """Lower a product of 8-bit numbers into 32 bits."""
    return product(c.write, c.x, c.need(1))


@lowers("QLinearMatMul")
def quantised_matmul(c: Call) -> Result:
    """Lower a product of 8-bit numbers: a, its scale and zero, b, its scale and zero, y's."""
    return product(c.write, c.x, c.need(3))


@lowers("Gemm")
def gemm(c: Call) -> Result:
    """Lower ``A @ B + C``, either operand transposed."""
    a, b = turned(c.x, c.flag("transA")), turned(c.need(1), c.flag("transB"))
    if a.rank != 2 or b.rank != 2:
        raise Malformed(f"needs two matrices, not tensors of {a.rank} and {b.rank} dimensions")
    return product(c.write, a, b, c.get(2))


@lowers("FusedMatMul", "TransposeMatMul", domain=MICROSOFT)
def fused_matmul(c: Call) -> Result:
    """Lower a product with its transpositions."""
    a = turned(c.x, c.flag("transA"), batch_too=c.flag("transBatchA"))
    b = turned(c.need(1), c.flag("transB"), batch_too=c.flag("transBatchB"))
    return product(c.write, a, b)


@lowers("FusedGemm", domain=MICROSOFT)
def fused_gemm(c: Call) -> Result:
    """Lower ``A @ B + C`` with its activation."""
    y = gemm(c)
    kind = c.text("activation")
    return activation(c.write, y, kind.lower()) if kind and isinstance(y, Tensor) else y


@lowers("MatMulNBits", domain=MICROSOFT)
def matmul_few_bits(c: Call) -> Result:
    """Lower a dense layer whose K x N weights are packed in blocks of a few bits."""
    x, k, n = c.x, c.int("K"), c.int("N")
    if not x.rank or x.shape[-1] != k or n < 1:
        raise Malformed(f"has weights of {k} x {n} for an input of {x.shape[-1] if x.rank else 1} features")
    op = ops.Linear(prod(x.shape[:-1]), n, k, ops.conv.HALF)
    bias = c.get(5)
    return c.write.node(
        op, (x, c.get(1), bias), (*x.shape[:-1], n), weights=(bias,), parameters=c.write.packed(c.get(1), k * n)
    )


@lowers("Einsum")
def einsum(c: Call) -> Result:
    """Lower a contraction by its letters; of more than two operands, two at a time from the left."""
    return contracted(c.write, c.text("equation"), c.there())


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
    w: Writer, pair: tuple[Tensor, Tensor], terms: tuple[list[str], list[str]], out: list[str], sizes: dict[str, int]
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
    if b.fixed and batch == 1:
        op: ops.Operator = ops.Linear(m, n, k, ops.conv.HALF)
    elif a.fixed and batch == 1:
        op = ops.Linear(n, m, k, ops.conv.HALF)
    else:
        op = ops.BatchedMatmul(batch, m, n, k)
    return w.node(op, (a, b), shape, weights=(a, b))


def _letters(equation: str, tensors: Sequence[Tensor]) -> tuple[list[list[str]], list[str], dict[str, int]]:
    """Return the letters of each operand and of the result, and their sizes; "..." becomes "0", "1", ... from behind."""
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


def _spread(text: str, rank: int) -> list[str]:
    before, dots, after = text.partition("...")
    hidden = rank - len(before) - len(after)
    if hidden < 0 or (hidden and not dots) or "." in before + after:
        raise Malformed(f"term '{text[:40]}' does not fit an operand of {rank} dimensions")
    return [*before, *(str(i) for i in reversed(range(hidden))), *after]
