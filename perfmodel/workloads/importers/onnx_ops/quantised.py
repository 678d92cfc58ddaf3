"""Conversions between numbers and their 8-bit or 4-bit stand-ins, and ONNX Runtime's operators on these."""

from __future__ import annotations

from dataclasses import replace

from perfmodel import ops
from perfmodel.workloads.importers.graphs.layers import activation, elementwise, pooled, product
from perfmodel.workloads.importers.graphs.tensors import Malformed, rows_and_columns
from perfmodel.workloads.importers.onnx_ops.attention import with_projection
from perfmodel.workloads.importers.onnx_ops.call import MICROSOFT, Call, Result, lowers
from perfmodel.workloads.importers.onnx_ops.moves import joined
from perfmodel.workloads.importers.onnx_ops.products import turned

_NAMES = ("QuantizeLinear", "DequantizeLinear")


def _converted(c: Call) -> Result:
    """Lower a conversion; of a weight, it is the weight itself (its scales are no parameters)."""
    x, dtype = c.x, "float32"
    if c.op == "QuantizeLinear":
        zero = c.get(2)
        dtype = zero.dtype if zero is not None else "uint8"
    if x.fixed:
        return replace(x, dtype=dtype, value=None)
    return c.write.node(ops.Scale(*rows_and_columns(x.shape)), (x,), x.shape, kind="quantise", dtype=dtype)


@lowers(*_NAMES)
def convert(c: Call) -> Result:
    """Lower a conversion to or from few bits."""
    return _converted(c)


@lowers(*_NAMES, domain=MICROSOFT)
def convert_there(c: Call) -> Result:
    """Lower a conversion to or from few bits."""
    return _converted(c)


@lowers("DynamicQuantizeLinear")
def dynamic(c: Call) -> Result:
    """Lower a conversion to 8 bits whose scale is found on the way: y, its scale and zero."""
    y = c.write.node(ops.Scale(*rows_and_columns(c.x.shape)), (c.x,), c.x.shape, kind="quantise", dtype="uint8")
    return [y, c.write.view(y, (), dtype="float32"), c.write.view(y, (), dtype="uint8")]


@lowers("QLinearAdd", "QLinearMul", domain=MICROSOFT)
def binary(c: Call) -> Result:
    """Lower a sum or product: a, its scale and zero, b, its scale and zero, y's."""
    return elementwise(c.write, (c.x, c.need(3)), "add" if c.op == "QLinearAdd" else "mul")


@lowers("QLinearSigmoid", "QLinearLeakyRelu", "QLinearSoftmax", domain=MICROSOFT)
def unary(c: Call) -> Result:
    """Lower an activation of 8-bit numbers."""
    return activation(c.write, c.x, c.op.removeprefix("QLinear").lower())


@lowers("QLinearGlobalAveragePool", domain=MICROSOFT)
def whole_pool(c: Call) -> Result:
    """Lower a mean over all positions."""
    x = c.x
    if c.flag("channels_last") and x.rank > 2:
        raise Malformed("has its channels last, which no operator here has")
    count = max(x.elements // max(x.shape[0] * x.shape[1], 1), 1) if x.rank > 2 else 1
    return pooled(c.write, x, (1,) * (x.rank - 2), count)


@lowers("QLinearConcat", domain=MICROSOFT)
def concat(c: Call) -> Result:
    """Lower a concatenation: y's scale and zero, then three inputs a part."""
    parts = [t for t in c.inputs[2::3] if t is not None]
    return joined(c, parts, c.int("axis", 0))


@lowers("QGemm", domain=MICROSOFT)
def gemm(c: Call) -> Result:
    """Lower ``A @ B + C``: a, its scale and zero, b, its scale and zero, bias, y's."""
    return product(c.write, turned(c.x, c.flag("transA")), turned(c.need(3), c.flag("transB")), c.get(6))


@lowers("DynamicQuantizeMatMul", "MatMulIntegerToFloat", domain=MICROSOFT)
def matmul(c: Call) -> Result:
    """Lower a product with 8-bit weights: a, b, scales and zeros; the bias comes last."""
    place = 4 if c.op == "DynamicQuantizeMatMul" else 6
    return product(c.write, c.x, c.need(1), c.get(place))


@lowers("QAttention", domain=MICROSOFT)
def attention(c: Call) -> Result:
    """Lower ONNX Runtime's attention with 8-bit weights: input, weights, bias, scales, mask, zeros, past."""
    plain = replace(c, inputs=(c.get(0), c.get(1), c.get(2), c.get(5), c.get(8), None))
    return with_projection(plain)
