"""The builder that families use, with the blocks that many of them share."""

from __future__ import annotations

from math import log2, prod

from perfmodel import ops
from perfmodel.numeric import Number
from perfmodel.workloads.building.layers import Layers
from perfmodel.workloads.building.mixing import Mixing
from perfmodel.workloads.building.nodes import Value
from perfmodel.workloads.building.sizes import Sizes
from perfmodel.workloads.building.views import Views
from perfmodel.workloads.building.windows import Windows


class Builder(Windows, Layers, Views, Mixing):
    """Writes a network down: layers, and blocks made of them."""

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

    def learned(self, x: Value, count: Number, *, name: str = "position") -> Value:
        """Add learned numbers to ``x``, such as an embedding of positions."""
        return self.scale(x, parameters=count, name=name)
