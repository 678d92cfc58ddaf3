"""What the adapters share of recurrent mixers: gated delta nets, Mamba-1 and Mamba-2 blocks from their dimensions."""

from __future__ import annotations

from perfmodel.workloads.spec import RecurrentMixer


def gated_delta_net(key_heads: int, value_heads: int, key_dim: int, value_dim: int, kernel: int) -> RecurrentMixer:
    """Return a gated delta net (Yang et al. 2025): queries, keys, values, an output gate, two gates a value head."""
    keys, values = key_heads * key_dim, value_heads * value_dim
    channels = 2 * keys + values
    return RecurrentMixer(
        "delta", value_heads, key_heads, key_dim, value_dim,
        in_width=channels + values + 2 * value_heads, out_in=values, gates=2 * value_heads,
        conv_channels=channels, conv_kernel=kernel, norm_width=values,
        small=channels * kernel + 2 * value_heads + value_dim,
    )  # fmt: skip


def mamba2_block(
    hidden: int, heads: int, head_dim: int, groups: int, state: int, kernel: int,
    *, conv_bias: bool, bias: bool, norm: bool = True, state_element_bytes: float = 4.0,
) -> RecurrentMixer:  # fmt: skip
    """Return a Mamba-2 block (Dao & Gu 2024): gate, x, B, C, a time step a head; ``norm`` norms the output."""
    inner = heads * head_dim
    channels = inner + 2 * groups * state
    width = inner + channels + heads
    small = channels * (kernel + conv_bias) + 3 * heads + inner * norm + (width + hidden) * bias
    return RecurrentMixer(
        "decay", heads, groups, state, head_dim, in_width=width, out_in=inner, gates=heads, conv_channels=channels,
        conv_kernel=kernel, small=small, norm_width=inner * norm, state_element_bytes=state_element_bytes,
    )  # fmt: skip


def mamba1_block(
    hidden: int, inner: int, state: int, rank: int, kernel: int, *, conv_bias: bool, bias: bool, norms: bool = False
) -> RecurrentMixer:
    """Return a Mamba-1 block (Gu & Dao 2023): x and gate in, then time step, B and C from x; ``norms`` are Jamba's."""
    middle = ((inner, rank + 2 * state), (rank, inner))
    small = inner * (kernel + conv_bias) + inner * state + inner  # convolution, A, D
    small += inner + (2 * inner + hidden) * bias + (rank + 2 * state) * norms  # the time step's bias
    return RecurrentMixer(
        "element", inner, 1, state, 1, in_width=2 * inner, out_in=inner, gates=2 * inner, middle=middle,
        conv_channels=inner, conv_kernel=kernel, small=small,
    )  # fmt: skip
