"""ONNX's operators that make each element of one or of several."""

from __future__ import annotations

from dataclasses import replace
from math import prod

from perfmodel import ops
from perfmodel.workloads.importers.graphs.layers import activation, elementwise
from perfmodel.workloads.importers.graphs.tensors import Tensor, axis_of, broadcast, checked, rows_and_columns
from perfmodel.workloads.importers.onnx_file import type_name
from perfmodel.workloads.importers.onnx_ops.call import MICROSOFT, Call, Result, lowers

_BROADCASTS_SINCE = 7


@lowers(
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Bernoulli", "BitwiseNot", "Ceil", "Celu", "Clip", "Cos",
    "Cosh", "CumProd", "CumSum", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log",
    "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus",
    "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Affine", "ParametricSoftplus", "ScaledTanh",
)  # fmt: skip
def unary(c: Call) -> Result:
    """Lower an activation."""
    return activation(c.write, c.x, c.op.lower())


@lowers("Gelu", "FastGelu", "BiasGelu", "QuickGelu", domain=MICROSOFT)
def gelu(c: Call) -> Result:
    """Lower an activation with a bias."""
    return activation(c.write, c.x, "gelu", (c.get(1),))


@lowers("Not", "IsNaN", "IsInf")
def question(c: Call) -> Result:
    """Lower what turns each element into a truth value."""
    return activation(c.write, c.x, c.op.lower(), dtype="bool")


@lowers("LRN")
def local_norm(c: Call) -> Result:
    """Lower a norm over neighbouring channels: as much work as an activation."""
    return activation(c.write, c.x, "lrn")


@lowers("PRelu")
def prelu(c: Call) -> Result:
    """Lower an activation with learned slopes."""
    return activation(c.write, c.x, "prelu", (c.need(1),))


@lowers("SwiGLU")
def swiglu(c: Call) -> Result:
    """Lower a gated activation of two tensors of one shape."""
    gate, x = c.x, c.need(1)
    return c.write.node(ops.GatedActivation(*rows_and_columns(x.shape)), (gate, x), x.shape, kind="swiglu")


@lowers("Add", "Sub", "Mul", "Div", "Pow", "Mod", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor")
def binary(c: Call) -> Result:
    """Lower a sum, product ... of two; before operator set 7 the result has the first one's shape."""
    a, b = c.x, c.need(1)
    if c.op == "Pow" and (a.rank == 0 or b.elements == 1):
        shape = broadcast(a.shape, b.shape)
        return c.write.node(ops.Activation(*rows_and_columns(shape)), (a, b), shape, kind="pow")
    return elementwise(c.write, (a, b), c.op.lower(), _old_shape(c))


@lowers("And", "Or", "Xor", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")
def comparison(c: Call) -> Result:
    """Lower what makes a truth value of two elements."""
    return elementwise(c.write, (c.x, c.need(1)), c.op.lower(), _old_shape(c), dtype="bool")


def _old_shape(c: Call) -> tuple[int, ...] | None:
    return c.x.shape if c.opset < _BROADCASTS_SINCE and c.flag("broadcast") else None


@lowers("Sum", "Max", "Min", "Mean")
def variadic(c: Call) -> Result:
    """Lower a sum, mean ... of any number of tensors, two at a time."""
    kind = "add" if c.op in ("Sum", "Mean") else c.op.lower()
    result = c.x
    for other in c.there()[1:]:
        result = elementwise(c.write, (result, other), kind)
    return result


@lowers("Where")
def where(c: Call) -> Result:
    """Lower a choice between two elements."""
    return elementwise(c.write, (c.x, c.need(1), c.need(2)), "where", dtype=c.need(1).dtype)


@lowers("Cast", "CastLike", "BitCast")
def cast(c: Call) -> Result:
    """Lower a change of type: a view, as the next operator reads it so."""
    dtype = type_name(c.int("to", 1)) if c.op != "CastLike" else c.need(1).dtype
    return c.write.view(c.x, c.x.shape, dtype=dtype or "float32")


@lowers("Identity", "Dropout", "OptionalGetElement")
def identity(c: Call) -> Result:
    """Lower what changes nothing when a network runs; a dropout's mask is a view."""
    x = c.x
    return [x, replace(x, dtype="bool", value=None)][: max(c.outputs, 1)]


@lowers("BiasAdd", domain=MICROSOFT)
def bias_add(c: Call) -> Result:
    """Lower ``x + bias + skip``."""
    return elementwise(c.write, c.there(), "add", c.x.shape)


@lowers("BiasSplitGelu", domain=MICROSOFT)
def bias_split_gelu(c: Call) -> Result:
    """Lower a gated activation of two halves with a bias."""
    x, bias = c.x, c.get(1)
    cols = x.shape[-1] // 2 if x.rank else 0
    return c.write.node(
        ops.GatedActivation(prod(x.shape[:-1]), cols), (x, bias), (*x.shape[:-1], cols), weights=(bias,), kind="gelu"
    )


@lowers("Trilu")
def triangle(c: Call) -> Result:
    """Lower a triangle of a matrix: all is read and written."""
    return c.write.node(ops.Copy(*rows_and_columns(c.x.shape)), (c.x,), c.x.shape, kind="trilu")


@lowers("Softmax", "LogSoftmax", "Hardmax")
def softmax(c: Call) -> Result:
    """Lower a softmax: over one axis, before operator set 13 over it and all that follow."""
    x = c.x
    if not x.rank:
        return activation(c.write, x, c.op.lower())
    old = c.opset < 13
    axis = axis_of(c.int("axis", 1 if old else -1), x.rank) if x.rank > 1 else 0
    cols = prod(x.shape[axis:]) if old else x.shape[axis]
    return c.write.node(ops.Softmax(x.elements // max(cols, 1), cols), (x,), x.shape, kind=c.op.lower())


@lowers("RandomNormalLike", "RandomUniformLike")
def random_like(c: Call) -> Result:
    """Lower noise of a tensor's shape."""
    return activation(c.write, c.x, "random")


@lowers("RandomNormal", "RandomUniform")
def random(c: Call) -> Result:
    """Lower noise of a stated shape, which no input decides."""
    return Tensor(checked(c.ints("shape") or (), "its result"))
