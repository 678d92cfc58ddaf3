"""How families write down their networks: layer by layer, shapes worked out on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log2, prod
from typing import Any

from perfmodel import ops
from perfmodel.errors import SpecError
from perfmodel.formats import FLOAT16
from perfmodel.numeric import Number
from perfmodel.ops.conv import HALF
from perfmodel.workloads.network import Exit, Network, Node, Shape

Sizes = int | Sequence[int]
MOST_NODES = 100_000
"""Many more layers than any network has: a slip of the pen must not fill the memory."""


@dataclass(frozen=True)
class Value:
    """A tensor inside a builder: its index (see :class:`perfmodel.workloads.network.Node`) and its shape."""

    index: int
    shape: Shape

    @property
    def channels(self) -> Number:
        """Return the first dimension: the channels of an image."""
        return self.shape[0]

    @property
    def width(self) -> Number:
        """Return the last dimension: the features of tokens or of a vector."""
        *_, width = self.shape
        return width


class Builder:
    """Collects a network's nodes. Images are (channels, [frames,] height, width), tokens (..., tokens, width).

    Every layer takes a :class:`Value` and returns one. Names are those of the open scopes and the layer's own,
    joined by points.
    """

    def __init__(self, name: str, family: str, *inputs: Shape) -> None:
        self.name, self.family = name, family
        self._inputs = inputs
        self._nodes: list[Node] = []
        self._scopes: list[str] = []
        self._block = ""
        self._taken: set[str] = set()
        self._exits: list[Exit] = []

    def input(self, index: int = 0) -> Value:
        """Return an input of the network."""
        return Value(-1 - index, self._inputs[index])

    @contextmanager
    def scope(self, name: object) -> Iterator[None]:
        """Open a scope: the names of what is added inside begin with it."""
        self._scopes.append(str(name))
        yield
        self._scopes.pop()

    @contextmanager
    def block(self, name: object) -> Iterator[None]:
        """Open a scope that is one block of the network: what tables, cuts and fused blocks speak of."""
        outer = self._block
        with self.scope(name):
            self._block = outer or ".".join(self._scopes)
            yield
        self._block = outer

    @contextmanager
    def _together(self, name: str) -> Iterator[None]:
        """Make what is added inside one block, unless a block is open, without a scope of its own."""
        outer = self._block
        self._block = outer or ".".join((*self._scopes, name))
        yield
        self._block = outer

    def node(
        self,
        name: str,
        operator: ops.Operator | None,
        inputs: Sequence[Value],
        shape: Shape,
        parameters: Number = 0,
        kind: str = "",
    ) -> Value:
        """Add a node of any operator; the layers below are made of this."""
        full = plain = ".".join((*self._scopes, name))
        number = 1
        while full in self._taken:
            number += 1
            full = f"{plain}_{number}"
        self._taken.add(full)
        if len(self._nodes) >= MOST_NODES:
            raise SpecError(f"{self.name} has more than {MOST_NODES} layers; is a depth too large?")
        if any(isinstance(n, int) and n < 1 for n in shape):
            raise SpecError(f"{self.name}: '{full}' leaves {shape}: nothing; is the image too small?")
        block = self._block or (self._scopes[0] if self._scopes else full)
        self._nodes.append(Node(full, operator, tuple(v.index for v in inputs), shape, parameters, kind, block))
        return Value(len(self._nodes) - 1, shape)

    def graft(
        self, network: Network, inputs: Sequence[Value], wanted: Sequence[int] | None = None, *, learned: bool = True
    ) -> list[Value]:
        """Add the nodes of another network that make its values ``wanted`` (None: its outputs), and return those.

        ``inputs`` stand for the network's inputs. Not ``learned``: the parameters are those of an earlier copy.
        """
        wanted = network.outputs if wanted is None else wanted
        needed = {index for index in wanted if index >= 0}
        for index in reversed(range(len(network.nodes))):
            if index in needed:
                needed.update(i for i in network.nodes[index].inputs if i >= 0)
        places = {-1 - i: value for i, value in enumerate(inputs)}
        outer = self._block
        for index in sorted(needed):
            node = network.nodes[index]
            self._block = outer or ".".join((*self._scopes, node.block))
            read, count = [places[i] for i in node.inputs], node.parameters if learned else 0
            places[index] = self.node(node.name, node.operator, read, node.shape, count, node.kind)
        self._block = outer
        return [places[index] for index in wanted]

    def exit(self, name: str, value: Value) -> None:
        """Say that a sample may leave after ``value``, a classifier's result."""
        self._exits.append(Exit(name, value.index))

    def build(self, *outputs: Value, sample: str = "image", covers: str = "", notes: tuple[str, ...] = ()) -> Network:
        """Return the network."""
        return Network(
            self.name, self.family, tuple(self._nodes), self._inputs, tuple(v.index for v in outputs), sample,
            tuple(self._exits), covers=covers, notes=notes,
        )  # fmt: skip

    # ---- convolutions and dense layers

    def conv(
        self,
        x: Value,
        channels: Number,
        kernel: Sizes = 1,
        stride: Sizes = 1,
        padding: Sizes | str | None = None,
        *,
        groups: Number = 1,
        dilation: Sizes = 1,
        bias: bool = True,
        parameters: Number = 0,
        name: str = "conv",
    ) -> Value:
        """Add a convolution. ``padding`` of each end: None keeps the size at stride 1, "same" is TensorFlow's.

        ``parameters``: learned numbers besides weights and bias, such as gains of standardised weights.
        """
        fields = self._window(x, kernel, stride, padding, dilation)
        whole = all(isinstance(number, int) for number in (groups, x.channels, channels))
        if whole and (groups < 1 or x.channels % groups or channels % groups):
            raise SpecError(f"{self.name}: '{name}': {groups} groups do not divide {x.channels} to {channels} channels")
        op = ops.Conv(1, groups, x.channels // groups, channels // groups, *fields)
        return self._convolved(x, op, channels, bias, name, extra=parameters)

    def conv_transpose(
        self,
        x: Value,
        channels: Number,
        kernel: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        *,
        output_padding: Sizes = 0,
        groups: Number = 1,
        bias: bool = True,
        name: str = "conv_transpose",
    ) -> Value:
        """Add a transposed convolution."""
        fields = self._window(x, kernel, stride, padding, 1)
        extra = _three(output_padding, len(x.shape) - 1, 0)
        op = ops.TransposedConv(
            1, groups, x.channels // groups, channels // groups, *fields, output_padding=extra
        )  # fmt: skip
        return self._convolved(x, op, channels, bias, name)

    def deform_conv(
        self, x: Value, offsets: Value, channels: Number, kernel: Sizes = 3, stride: Sizes = 1, padding: Sizes = 1,
        *, groups: Number = 1, offset_groups: int = 1, masked: bool = True, bias: bool = True, name: str = "deform",
    ) -> Value:  # fmt: skip
        """Add a deformable convolution; ``offsets`` is what the convolution that predicts them leaves."""
        fields = self._window(x, kernel, stride, padding, 1)
        op = ops.DeformableConv(
            1, groups, x.channels // groups, channels // groups, *fields, offset_groups=offset_groups, masked=masked
        )
        return self._convolved(x, op, channels, bias, name, offsets)

    def _window(
        self, x: Value, kernel: Sizes, stride: Sizes, padding: Sizes | str | None, dilation: Sizes
    ) -> tuple[Any, ...]:
        """Return the fields of a convolution that say where its windows lie, from height on."""
        sides = len(x.shape) - 1
        k, s, d = _three(kernel, sides, 1), _three(stride, sides, 1), _three(dilation, sides, 1)
        t, h, w = _sides(x.shape)
        if padding == "same":
            p = tuple(_same_padding(n, k[i], s[i], d[i]) for i, n in enumerate((t, h, w)))
        elif padding is None or isinstance(padding, str):
            p = tuple(d[i] * (k[i] - 1) for i in range(3))
        else:
            p = tuple(2 * n for n in _three(padding, sides, 0))
        return h, w, t, k, s, p, d

    def _convolved(
        self, x: Value, op: ops.Operator, channels: Number, bias: bool, name: str, *more: Value, extra: Number = 0
    ) -> Value:  # fmt: skip
        assert isinstance(op, (ops.Conv, ops.TransposedConv, ops.DeformableConv))
        sides = tuple(_whole(n) for n in op.sides())
        shape = (channels, *sides[4 - len(x.shape) :])
        if any(isinstance(n, int) and n < 1 for n in shape):
            raise SpecError(f"{self.name}: '{name}' leaves nothing of an input of {x.shape}; is the image too small?")
        return self.node(name, op, (x, *more), shape, op.weights + (channels if bias else 0) + extra)

    def linear(self, x: Value, features: Number, *, bias: bool = True, name: str = "linear") -> Value:
        """Add a dense layer over the last dimension; one without features (``classes`` 0) is left out."""
        if isinstance(features, int) and features == 0:
            return x
        op = ops.Linear(prod(x.shape[:-1], start=1), features, x.width, HALF)
        count = x.width * features + (features if bias else 0)
        return self.node(name, op, (x,), (*x.shape[:-1], features), count)

    # ---- norms and element-wise layers

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

    # ---- pooling, resizing, joining, views

    def max_pool(
        self, x: Value, kernel: Sizes, stride: Sizes | None = None, padding: Sizes | str = 0, *, ceil: bool = False,
        name: str = "pool",
    ) -> Value:  # fmt: skip
        """Add a maximum over windows (``ceil``: a last window that hangs over the edge counts too)."""
        return self._pooled(x, kernel, stride, padding, ceil, name)

    avg_pool = max_pool

    def _pooled(
        self, x: Value, kernel: Sizes, stride: Sizes | None, padding: Sizes | str, ceil: bool, name: str
    ) -> Value:  # fmt: skip
        sides = len(x.shape) - 1
        k = _three(kernel, sides, 1)
        s = k if stride is None else _three(stride, sides, 1)
        sizes = _sides(x.shape)
        if isinstance(padding, str):
            p = tuple(_same_padding(n, k[i], s[i], 1) for i, n in enumerate(sizes))
        else:
            p = tuple(2 * n for n in _three(padding, sides, 0))
        out = tuple(_pool_side(n, k[i], s[i], p[i], ceil) for i, n in enumerate(sizes))
        if any(isinstance(n, int) and n < 1 for n in out):
            raise SpecError(f"{self.name}: '{name}' leaves nothing of an input of {x.shape}; is the image too small?")
        op = ops.Pool(1, x.channels, prod(sizes, start=1), prod(out, start=1), prod(k))
        return self.node(name, op, (x,), (x.channels, *out[-sides:]))

    def blur_pool(self, x: Value, stride: int = 2, *, taps: int = 3, name: str = "blur") -> Value:
        """Add a depthwise convolution with a fixed binomial kernel, against aliasing (Zhang 2019, arXiv 1904.11486)."""
        fields = self._window(x, taps, stride, (stride + taps - 2) // 2, 1)
        op = ops.Conv(1, x.channels, 1, 1, *fields)
        _, height, width = (_whole(n) for n in op.sides())
        return self.node(name, op, (x,), (x.channels, height, width))

    def global_pool(self, x: Value, *, keep: bool = False, name: str = "pool") -> Value:
        """Add the mean over all positions: a vector of the channels (``keep``: an image of one position)."""
        positions = prod(x.shape[1:], start=1)
        shape = (x.channels, *(1 for _ in x.shape[1:])) if keep else (x.channels,)
        return self.node(name, ops.Pool(1, x.channels, positions, 1, positions), (x,), shape)

    def token_pool(self, x: Value, *, name: str = "pool") -> Value:
        """Add the mean over tokens: a vector of the width."""
        tokens = prod(x.shape[:-1], start=1)
        return self.node(name, ops.Pool(1, x.width, tokens, 1, tokens), (x,), (x.width,))

    def adaptive_pool(self, x: Value, size: Sizes, *, name: str = "pool") -> Value:
        """Add a mean over as many windows as give ``size`` positions a side."""
        out = _three(size, len(x.shape) - 1, 1)
        inputs, outputs = prod(x.shape[1:], start=1), prod(out)
        op = ops.Pool(1, x.channels, inputs, outputs, max(1, inputs // outputs))
        return self.node(name, op, (x,), (x.channels, *out[-(len(x.shape) - 1) :]))

    def resize(self, x: Value, size: Sizes, mode: str = "bilinear", *, name: str = "resize") -> Value:
        """Add an interpolation to ``size``: nearest, bilinear or bicubic."""
        out = _three(size, len(x.shape) - 1, 1)
        taps = {"nearest": 1, "bilinear": 4, "bicubic": 16}[mode]
        op = ops.Resize(1, x.channels, prod(x.shape[1:], start=1), prod(out), taps)
        return self.node(name, op, (x,), (x.channels, *out[-(len(x.shape) - 1) :]))

    def concat(self, values: Sequence[Value], axis: int = 0, *, name: str = "concat") -> Value:
        """Add a concatenation along one dimension."""
        first = values[0].shape
        axis %= len(first)
        joined = tuple(sum(v.shape[axis] for v in values) if i == axis else n for i, n in enumerate(first))
        return self.node(name, ops.Copy(prod(joined) // joined[0], joined[0]), values, joined)

    def view(self, x: Value, shape: Shape, *, name: str = "view") -> Value:
        """Add a view of another shape (a part of the elements: a slice): nothing runs."""
        return self.node(name, None, (x,), shape)

    def flatten(self, x: Value, *, name: str = "flatten") -> Value:
        """Add a view as one vector."""
        return self.view(x, (prod(x.shape, start=1),), name=name)

    def tokens(self, x: Value, *, name: str = "tokens") -> Value:
        """Add a view of an image as tokens: (positions, channels)."""
        return self.view(x, (prod(x.shape[1:], start=1), x.channels), name=name)

    def image(self, x: Value, height: Number, width: Number, *, name: str = "image") -> Value:
        """Add a view of tokens as an image."""
        return self.view(x, (x.width, height, width), name=name)

    def split(self, x: Value, sizes: Sequence[Number], axis: int = 0, *, name: str = "split") -> list[Value]:
        """Add views of parts along one dimension."""
        axis %= len(x.shape)
        return [
            self.view(x, tuple(size if i == axis else n for i, n in enumerate(x.shape)), name=f"{name}{index}")
            for index, size in enumerate(sizes)
        ]

    # ---- attention, products, tables

    def attend(
        self, inputs: Sequence[Value], shape: Shape, *, heads: Number, head_dim: Number, q_tokens: Number,
        kv_tokens: Number | None = None, windows: Number = 1, kv_heads: Number | None = None, fused: bool = True,
        causal: bool = False, parameters: Number = 0, name: str = "attend",
    ) -> Value:  # fmt: skip
        """Add softmax attention of ``q_tokens`` over ``kv_tokens`` in each of ``windows``; ``shape`` is the result's.

        ``inputs`` are the values that hold queries, keys and values. ``parameters`` count position biases.
        """
        op = ops.AttentionPrefill(
            windows, q_tokens, q_tokens if kv_tokens is None else kv_tokens, heads,
            heads if kv_heads is None else kv_heads, head_dim, causal=causal, dtype="float16", cache=FLOAT16,
            writes_cache=False, fused=fused,
        )  # fmt: skip
        return self.node(name, op, inputs, shape, parameters)

    def self_attention(
        self, x: Value, heads: int, *, head_dim: int | None = None, qkv_bias: bool = True, bias: bool = True,
        windows: int = 1, causal: bool = False, parameters: Number = 0, qk_norm: bool = False, name: str = "attn",
    ) -> Value:  # fmt: skip
        """Add multi-head attention of tokens with themselves: qkv, attention, projection."""
        inner = heads * (x.width // heads if head_dim is None else head_dim)
        tokens = prod(x.shape[:-1], start=1) // windows
        with self.scope(name):
            qkv = self.linear(x, 3 * inner, bias=qkv_bias, name="qkv")
            if qk_norm:
                qkv = self.node(
                    "qk_norm", ops.LayerNorm(2 * tokens * windows * heads, inner // heads), (qkv,), qkv.shape,
                    4 * (inner // heads),
                )  # fmt: skip
            mixed = self.attend(
                (qkv,), (*x.shape[:-1], inner), heads=heads, head_dim=inner // heads, q_tokens=tokens,
                windows=windows, causal=causal, parameters=parameters,
            )  # fmt: skip
            return self.linear(mixed, x.width, bias=bias, name="proj")

    def mlp(self, x: Value, hidden: Number, *, act: str = "gelu", bias: bool = True, name: str = "mlp") -> Value:
        """Add two dense layers with an activation between them."""
        with self.scope(name):
            y = self.linear(x, hidden, bias=bias, name="fc1")
            y = self.act(y, act)
            return self.linear(y, x.width, bias=bias, name="fc2")

    def matmul(self, a: Value, b: Value, shape: Shape, *, batch: Number, m: Number, n: Number, k: Number,
               name: str = "matmul") -> Value:  # fmt: skip
        """Add ``batch`` products ``[m,k] x [k,n]`` of two activations."""
        return self.node(name, ops.BatchedMatmul(batch, m, n, k), (a, b), shape)

    def embedding_bag(
        self, x: Value, tables: int, rows: Number, lookups: Number, width: Number, *, name: str = "embedding_bag"
    ) -> Value:
        """Add sums of looked-up rows of ``tables`` tables of ``rows`` rows each."""
        op = ops.EmbeddingBag(1, tables, rows, lookups, width)
        return self.node(name, op, (x,), (tables, width), tables * rows * width)

    def embedding(self, x: Value, rows: Number, width: Number, tokens: Number, *, name: str = "embedding") -> Value:
        """Add a look-up of one row a token."""
        return self.node(name, ops.Embedding(tokens, width, table_rows=rows), (x,), (tokens, width), rows * width)

    def learned(self, x: Value, count: Number, *, name: str = "position") -> Value:
        """Add learned numbers to ``x``, such as an embedding of positions."""
        return self.scale(x, parameters=count, name=name)

    # ---- blocks that many families share

    def conv_bn(
        self, x: Value, channels: Number, kernel: Sizes = 1, stride: Sizes = 1, padding: Sizes | str | None = None,
        *, groups: Number = 1, dilation: Sizes = 1, act: str = "relu", name: str = "conv",
    ) -> Value:  # fmt: skip
        """Add a convolution without bias, its batch norm, and an activation (``act`` "" for none)."""
        with self._together(name):
            y = self.conv(x, channels, kernel, stride, padding, groups=groups, dilation=dilation, bias=False, name=name)
            y = self.batch_norm(y, name=f"{name}_bn")
            return self.act(y, act, name=f"{name}_act") if act else y

    def squeeze_excite(
        self, x: Value, reduced: Number, *, act: str = "relu", gate: str = "sigmoid", name: str = "se"
    ) -> Value:
        """Add squeeze-and-excitation: mean of each channel, two 1x1 layers with biases, a gate on each channel."""
        with self.scope(name):
            y = self.global_pool(x, keep=True)
            y = self.act(self.conv(y, reduced, name="reduce"), act)
            y = self.act(self.conv(y, x.channels, name="expand"), gate, name="gate")
            return self.scale(x, y)

    def channel_attention(
        self, x: Value, *, gamma: int = 2, beta: int = 1, gate: str = "sigmoid", name: str = "eca"
    ) -> Value:
        """Add efficient channel attention (arXiv 1910.03151): means, a convolution over channels, a gate on each."""
        assert isinstance(x.channels, int)
        taps = int(abs(log2(x.channels) + beta) / gamma)
        with self.scope(name):
            y = self.view(self.global_pool(x), (1, x.channels))
            y = self.conv(y, 1, max(taps if taps % 2 else taps + 1, 3), bias=False)
            return self.scale(x, self.act(y, gate, name="gate"))


def _three(sizes: Sizes, sides: int, filler: int) -> tuple[int, int, int]:
    """Return sizes of (frames, height, width): one number for each of the ``sides`` there are, fillers before them."""
    given = (sizes,) * sides if isinstance(sizes, int) else tuple(sizes)
    if not isinstance(sizes, int) and len(given) != sides:
        raise SpecError(f"{tuple(given)} does not say {sides} sizes")
    t, h, w = (*(filler for _ in range(3 - sides)), *given)
    return t, h, w


def _sides(shape: Shape) -> tuple[Number, Number, Number]:
    """Return (frames, height, width) of an image or sequence of channels."""
    t, h, w = (*(1 for _ in range(4 - len(shape))), *shape[1:])
    return t, h, w


def _same_padding(size: Number, kernel: int, stride: int, dilation: int) -> Number:
    """Return TensorFlow's SAME padding of both ends: ``max((ceil(n/s) - 1)*s + d*(k-1) + 1 - n, 0)``."""
    return max((-(-size // stride) - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)


def _pool_side(size: Number, kernel: int, stride: int, padding: Number, ceil: bool) -> Number:
    span = size + padding - kernel
    count = -(-span // stride) + 1 if ceil else span // stride + 1
    if ceil and (count - 1) * stride >= size + padding / 2:
        count -= 1  # the last window would begin in the padding
    return count


def _whole(value: Number) -> Number:
    """Return a whole float as an int; symbols and arrays as they are."""
    return int(value) if isinstance(value, float) else value
