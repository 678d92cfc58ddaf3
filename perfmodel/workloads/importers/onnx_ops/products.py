"""ONNX's products of matrices."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from perfmodel import ops
from perfmodel.ops.conv import HALF
from perfmodel.workloads.importers.graphs.contraction import contracted
from perfmodel.workloads.importers.graphs.layers import activation, product
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor
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
    op = ops.Linear(prod(x.shape[:-1]), n, k, HALF)
    bias = c.get(5)
    return c.write.node(
        op, (x, c.get(1), bias), (*x.shape[:-1], n), weights=(bias,), parameters=c.write.packed(c.get(1), k * n)
    )


@lowers("Einsum")
def einsum(c: Call) -> Result:
    """Lower a contraction by its letters; of more than two operands, two at a time from the left."""
    return contracted(c.write, c.text("equation"), c.there())
