"""Networks of dense layers or recurrences over tokens: MLP-Mixer, ResMLP, gMLP, Sequencer."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import dense, gated
from perfmodel.workloads.networks.vit_tokens import classifier, one_of


@family("mixer")
def mixer(
    name: str, width: int, depth: int, *, block: str = "mixer", patch: int = 16, token_ratio: float = 0.5,
    channel_ratio: float = 4.0, gate: bool = False, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a network of patches whose blocks mix tokens and channels by dense layers.

    ``block`` is "mixer" (two layers over tokens, inside ``token_ratio`` times ``width``; then two over channels),
    "resmlp" (one layer over tokens, gains and shifts instead of norms) or "gmlp" (one feed-forward layer with a gate
    that a layer over tokens computes). ``gate`` has gated layers. Source: Tolstikhin et al. 2021 (arXiv 2105.01601),
    table 1; ResMLP (arXiv 2105.03404), section 2; gMLP (arXiv 2105.08050), table 1; timm models/mlp_mixer.py.
    """
    b = Builder(name, "mixer", (3, image, image))
    x = b.tokens(b.conv(b.input(), width, patch, patch, 0, name="stem"))
    one_of("block", block, "mixer", "resmlp", "gmlp")
    hidden = int(width * channel_ratio)
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            if block == "mixer":
                x = _mixer_block(b, x, int(width * token_ratio), hidden, gate)
            elif block == "resmlp":
                x = _resmlp_block(b, x, hidden)
            else:
                x = _gmlp_block(b, x, hidden)
    x = _affine(b, x, "norm") if block == "resmlp" else b.layer_norm(x)
    return b.build(classifier(b, b.token_pool(x), classes))


def _mixer_block(b: Builder, x: Value, over_tokens: int, over_channels: int, gate: bool) -> Value:
    tokens, width = x.shape
    y = b.copy(b.layer_norm(x, name="norm1"), (width, tokens), name="transpose")
    y = _mlp(b, y, over_tokens, gate, "mlp_tokens")
    x = b.add(x, b.copy(y, (tokens, width), name="transpose_back"), name="add1")
    return b.add(x, _mlp(b, b.layer_norm(x, name="norm2"), over_channels, gate, "mlp_channels"), name="add2")


def _mlp(b: Builder, x: Value, hidden: int, gate: bool, name: str) -> Value:
    """Add two dense layers; with a gate, half of ``hidden`` gates the other half."""
    if not gate:
        return b.mlp(x, hidden, name=name)
    with b.scope(name):
        return b.linear(gated(b, x, hidden // 2, packed=True), x.width, name="fc2")


def _affine(b: Builder, x: Value, name: str) -> Value:
    return b.scale(x, parameters=2 * x.width, name=name)


def _resmlp_block(b: Builder, x: Value, hidden: int) -> Value:
    tokens, width = x.shape
    y = b.copy(_affine(b, x, "norm1"), (width, tokens), name="transpose")
    y = b.copy(b.linear(y, tokens, name="linear_tokens"), (tokens, width), name="transpose_back")
    x = b.add(x, b.scale(y, parameters=width, name="ls1"), name="add1")
    y = b.mlp(_affine(b, x, "norm2"), hidden, name="mlp_channels")
    return b.add(x, b.scale(y, parameters=width, name="ls2"), name="add2")


def _gmlp_block(b: Builder, x: Value, hidden: int) -> Value:
    tokens, width = x.shape
    with b.scope("mlp_channels"):
        y = b.act(b.linear(b.layer_norm(x), hidden, name="fc1"), "gelu")
        u, v = b.split(y, (hidden // 2, hidden // 2), axis=-1)
        with b.scope("gate"):
            v = b.copy(b.layer_norm(v), (hidden // 2, tokens), name="transpose")
            v = b.linear(v, tokens, name="proj")
            y = b.multiply(u, b.copy(v, (tokens, hidden // 2), name="transpose_back"))
        return b.add(x, b.linear(y, width, name="fc2"))


@family("sequencer")
def sequencer(
    name: str, widths: Sequence[int], depths: Sequence[int], hidden: Sequence[int], *,
    patches: Sequence[int] = (7, 2, 1, 1), mlp_ratio: float = 3.0, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a Sequencer: LSTMs along rows and columns, both ways, mix the tokens of each stage.

    ``patches`` are the sides of the patches of each stage, ``hidden`` the widths of its LSTMs. Omits that the steps of
    a recurrence wait for each other. Source: Tatsunami and Taki 2022 (arXiv 2205.01972); timm
    models/sequencer.py.
    """
    b = Builder(name, "sequencer", (3, image, image))
    x = b.input()
    for stage, width in enumerate(widths):
        x = b.conv(x, width, patches[stage], patches[stage], 0, name=f"stages.{stage}.downsample")
        _, rows, columns = x.shape
        x = b.tokens(x)
        for index in range(depths[stage]):
            with b.block(f"stages.{stage}.blocks.{index}"):
                x = b.add(x, _lstm2d(b, b.layer_norm(x, name="norm1"), hidden[stage]), name="add1")
                y = b.mlp(b.layer_norm(x, name="norm2"), int(width * mlp_ratio), name="mlp_channels")
                x = b.add(x, y, name="add2")
        if stage + 1 < len(widths):
            x = b.image(x, rows, columns)
    return b.build(classifier(b, b.token_pool(b.layer_norm(x)), classes))


def _lstm2d(b: Builder, x: Value, hidden: int) -> Value:
    """Add two bidirectional LSTMs, along columns and along rows, and a layer that joins them.

    An LSTM multiplies the input by eight blocks of weights (four gates, two ways) and its state by as many.
    """
    tokens, width = x.shape
    both: list[Value] = []
    with b.scope("rnn_tokens"):
        for name in ("rnn_v", "rnn_h"):
            with b.scope(name):
                y = b.copy(x, name="order") if name == "rnn_v" else x
                y = dense(b, (y,), width, (tokens, 8 * hidden), 16 * hidden, name="input")
                states = dense(b, (y,), hidden, (tokens, 8 * hidden), 0, name="recurrence")
                gates = b.node("gates", ops.GatedActivation(tokens, 4 * hidden), (states,), (tokens, 2 * hidden))
                both.append(gates)
        return b.linear(b.concat(both, axis=-1), width, name="fc")
