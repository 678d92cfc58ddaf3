"""ATen's operators that make each element of one or of several."""

from __future__ import annotations

from math import prod

from perfmodel import ops
from perfmodel.workloads.importers.aten.call import AtenCall, lowers
from perfmodel.workloads.importers.graphs.layers import activation, elementwise, softmax
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor, axis_of, rows_and_columns

_KINDS = {"clamp": "clip", "hardtanh": "clip", "relu6": "clip", "silu": "swish", "_prelu_kernel": "prelu"}


@lowers(
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bernoulli", "bitwise_not", "ceil", "celu", "clamp",
    "clamp_max", "clamp_min", "clip", "cos", "cosh", "cumprod", "cumsum", "elu", "erf", "erfc", "erfinv", "exp", "exp2",
    "expm1", "floor", "frac", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "isinf", "isnan",
    "leaky_relu", "log", "log10", "log1p", "log2", "log_sigmoid", "logical_not", "logit", "mish", "nan_to_num", "neg",
    "negative", "normal_functional", "rand_like", "randn_like", "reciprocal", "relu", "relu6", "round", "rrelu",
    "rsqrt", "selu", "sgn", "sigmoid", "sign", "silu", "sin", "sinc", "sinh", "softplus", "softshrink", "softsign",
    "special_erf", "special_expit", "sqrt", "square", "tan", "tanh", "threshold", "trunc", "tril", "triu",
)  # fmt: skip
def unary(c: AtenCall) -> Tensor:
    """Lower an activation."""
    return activation(c.write, c.x, _KINDS.get(c.op, c.op), dtype=c.out.dtype)


@lowers("prelu", "_prelu_kernel")
def prelu(c: AtenCall) -> Tensor:
    """Lower an activation with learned slopes."""
    return activation(c.write, c.x, "prelu", (c.need(1, "weight"),))


@lowers("glu")
def glu(c: AtenCall) -> Tensor:
    """Lower a gated activation of two halves."""
    return c.write.node(ops.GatedActivation(*rows_and_columns(c.shape)), (c.x,), c.shape, kind="glu")


@lowers(
    "__and__", "__or__", "__xor__", "addcdiv", "addcmul", "add", "atan2", "bitwise_and", "bitwise_or", "bitwise_xor",
    "copysign", "div", "divide", "eq", "floor_divide", "fmax", "fmin", "fmod", "ge", "greater", "greater_equal", "gt",
    "hypot", "le", "less", "less_equal", "lerp", "logical_and", "logical_or", "logical_xor", "lt", "masked_fill",
    "maximum", "minimum", "mul", "multiply", "ne", "not_equal", "remainder", "rsub", "sub", "subtract", "true_divide",
    "where", "xlogy",
)  # fmt: skip
def several(c: AtenCall) -> Tensor:
    """Lower a sum, product ... of two tensors, or of one and a number."""
    tensors = c.tensors()
    if not tensors:
        raise Malformed("has no tensor")
    kind = {"subtract": "sub", "rsub": "sub", "multiply": "mul", "divide": "div"}.get(c.op, c.op)
    return elementwise(c.write, tensors, kind, c.shape, dtype=c.out.dtype)


@lowers("pow", "float_power")
def power(c: AtenCall) -> Tensor:
    """Lower a power."""
    return c.write.node(ops.Activation(*rows_and_columns(c.shape)), c.tensors(), c.shape, kind="pow")


@lowers("softmax", "_softmax", "log_softmax", "_log_softmax", "_safe_softmax", "softmin")
def soft(c: AtenCall) -> Tensor:
    """Lower a softmax over an axis."""
    return softmax(c.write, c.x, c.whole(1, "dim", -1), kind="logsoftmax" if "log" in c.op else "softmax")


@lowers("normalize", "cosine_similarity")
def plain_norm(c: AtenCall) -> Tensor:
    """Lower a norm that learns nothing."""
    x = c.x
    axis = axis_of(c.whole(2, "dim", 1), max(x.rank, 1))
    columns = x.shape[axis] if x.rank else 1
    return c.write.node(ops.LayerNorm(prod(x.shape) // max(columns, 1), columns), c.tensors(), c.shape, kind=c.op)
