"""Dense layers, norms and element-wise layers."""

from __future__ import annotations

from math import prod

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.ops.conv import HALF
from perfmodel.workloads.building.nodes import NodeBuilder, Value
from perfmodel.workloads.network import Shape


class Layers(NodeBuilder):
    """Layers that work on rows: what they leave has the shape of what they get, but for the last dimension."""

    def linear(self, x: Value, features: Number, *, bias: bool = True, name: str = "linear") -> Value:
        """Add a dense layer over the last dimension; one without features (``classes`` 0) is left out."""
        if isinstance(features, int) and features == 0:
            return x
        op = ops.Linear(prod(x.shape[:-1], start=1), features, x.width, HALF)
        count = x.width * features + (features if bias else 0)
        return self.node(name, op, (x,), (*x.shape[:-1], features), count)

    def batch_norm(self, x: Value, *, affine: bool = True, name: str = "bn") -> Value:
        """Add a batch norm over channels (over features, if ``x`` is a vector or tokens)."""
        channels = x.channels if len(x.shape) > 2 else x.width
        op = ops.BatchNorm(*self._rows(x))
        return self.node(name, op, (x,), x.shape, 2 * channels if affine else 0)

    def layer_norm(self, x: Value, *, channels_first: bool = False, bias: bool = True, name: str = "norm") -> Value:
        """Add a layer norm over the last dimension, or over the channels of an image."""
        width = x.channels if channels_first else x.width
        op = ops.LayerNorm(prod(x.shape, start=1) // width, width)
        return self.node(name, op, (x,), x.shape, width * (2 if bias else 1))

    def rms_norm(self, x: Value, *, affine: bool = True, name: str = "norm") -> Value:
        """Add a root-mean-square norm over the last dimension."""
        op = ops.RmsNorm(prod(x.shape[:-1], start=1), x.width)
        return self.node(name, op, (x,), x.shape, x.width if affine else 0)

    def group_norm(self, x: Value, groups: int, *, name: str = "norm") -> Value:
        """Add a group norm over the channels of an image (one group: over everything)."""
        op = ops.GroupNorm(groups, prod(x.shape, start=1) // groups)
        return self.node(name, op, (x,), x.shape, 2 * x.channels)

    def act(self, x: Value, kind: str = "relu", *, parameters: Number = 0, name: str = "act") -> Value:
        """Add an activation, or anything else that turns each element into one."""
        return self.node(name, ops.Activation(*self._rows(x)), (x,), x.shape, parameters, kind)

    def softmax(self, x: Value, *, name: str = "softmax") -> Value:
        """Add a softmax over the last dimension."""
        return self.node(name, ops.Softmax(prod(x.shape[:-1], start=1), x.width), (x,), x.shape)

    def add(self, a: Value, b: Value, *, name: str = "add") -> Value:
        """Add the sum of two tensors of one shape."""
        return self.node(name, ops.Add(*self._rows(a)), (a, b), a.shape)

    def multiply(self, a: Value, b: Value, *, name: str = "multiply") -> Value:
        """Add the product of two tensors of one shape."""
        return self.node(name, ops.Multiply(*self._rows(a)), (a, b), a.shape)

    def scale(self, x: Value, gate: Value | None = None, *, parameters: Number = 0, name: str = "scale") -> Value:
        """Add a product (or sum) with one number a channel: a gate, or learned ``parameters``."""
        op = ops.Scale(*self._rows(x))
        return self.node(name, op, (x,) if gate is None else (x, gate), x.shape, parameters)

    def copy(self, x: Value, shape: Shape | None = None, *, name: str = "copy") -> Value:
        """Add a movement of elements: a transposition, a shuffle, a padding, perhaps to another ``shape``."""
        left = Value(0, x.shape if shape is None else shape)
        return self.node(name, ops.Copy(prod(left.shape[:-1], start=1), left.width), (x,), left.shape)

    @staticmethod
    def _rows(x: Value) -> tuple[Number, Number]:
        """Return rows and columns of a tensor for operators that work on rows."""
        if len(x.shape) > 2:
            return prod(x.shape[1:], start=1), x.channels
        return prod(x.shape[:-1], start=1), x.width
