"""Text encoders that condition networks of diffusion: CLIP's, T5's encoder, and decoder-only language models."""

from __future__ import annotations

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.diffusion_parts import gated_mlp
from perfmodel.workloads.networks.registry import family


@family("clip_text")
def clip_text(
    name: str,
    hidden: int,
    depth: int,
    heads: int,
    *,
    act: str = "quick_gelu",
    projection: int = 0,
    mlp_ratio: float = 4.0,
    vocabulary: int = 49408,
    positions: int = 77,
    text_tokens: int = 77,
) -> Network:
    """Return the text transformer of CLIP: causal, pre-norm, learned positions.

    ``depth`` layers are those that run (some uses leave the last out), ``projection`` the width that the last token is
    projected to (0: it is not). Source: Radford et al. 2021 (arXiv 2103.00020), section 2.4; transformers
    models/clip/modeling_clip.py.
    """
    b = Builder(name, "clip_text", (text_tokens,))
    x = b.embedding(b.input(), vocabulary, hidden, text_tokens)
    x = b.learned(x, positions * hidden)
    for index in range(depth):
        with b.block(f"layers.{index}"):
            x = b.add(x, b.self_attention(b.layer_norm(x, name="norm1"), heads, causal=True), name="add1")
            x = b.add(x, b.mlp(b.layer_norm(x, name="norm2"), int(hidden * mlp_ratio), act=act), name="add2")
    x = b.layer_norm(x, name="final_norm")
    if not projection:
        return b.build(x, sample="prompt")
    last = b.view(x, (1, hidden), name="last_token")
    return b.build(x, b.linear(last, projection, bias=False, name="projection"), sample="prompt")


@family("t5_encoder")
def t5_encoder(
    name: str,
    hidden: int,
    depth: int,
    heads: int,
    mlp: int,
    *,
    head_dim: int = 64,
    gated: bool = True,
    vocabulary: int = 32128,
    buckets: int = 32,
    every_layer_positions: bool = False,
    text_tokens: int = 512,
) -> Network:
    """Return the encoder half of T5: root-mean-square norms, no biases, relative positions in ``buckets``.

    ``mlp`` width of the feed-forward layer, ``gated`` that of version 1.1, ``every_layer_positions``: each layer has
    position biases of its own (UMT5), not the first alone. Source: Raffel et al. 2019 (arXiv 1910.10683), section 2.1;
    UniMax (arXiv 2304.09151); transformers models/t5/modeling_t5.py. The bias of positions counts as read by attention.
    """
    b = Builder(name, "t5_encoder", (text_tokens,))
    x = b.embedding(b.input(), vocabulary, hidden, text_tokens)
    for index in range(depth):
        bias = buckets * heads if index == 0 or every_layer_positions else 0
        with b.block(f"layers.{index}"):
            y = b.rms_norm(x, name="norm1")
            y = b.self_attention(y, heads, head_dim=head_dim, qkv_bias=False, bias=False, parameters=bias)
            x = b.add(x, y, name="add1")
            y = b.rms_norm(x, name="norm2")
            y = gated_mlp(b, y, mlp, act="gelu") if gated else b.mlp(y, mlp, act="relu", bias=False)
            x = b.add(x, y, name="add2")
    return b.build(b.rms_norm(x, name="final_norm"), sample="prompt")


@family("causal_text_encoder")
def causal_text_encoder(
    name: str,
    hidden: int,
    depth: int,
    heads: int,
    kv_heads: int,
    mlp: int,
    *,
    head_dim: int = 0,
    act: str = "silu",
    qkv_bias: bool = False,
    qk_norm: bool = False,
    post_norms: bool = False,
    vocabulary: int = 128256,
    final_norm: bool = True,
    text_tokens: int = 256,
) -> Network:
    """Return a decoder-only language model that reads a prompt once and leaves its last hidden states.

    Grouped queries, rotary positions, gated feed-forward layers of ``mlp``; ``post_norms``: norms after attention
    and feed-forward too (Gemma 2 and later). The head over the vocabulary does not run and is not counted. Source:
    Touvron et al. 2023 (arXiv 2302.13971), section 2.2; transformers models/llama/modeling_llama.py.
    """
    b = Builder(name, "causal_text_encoder", (text_tokens,))
    x = b.embedding(b.input(), vocabulary, hidden, text_tokens)
    head_dim = head_dim or hidden // heads
    for index in range(depth):
        with b.block(f"layers.{index}"):
            y = b.rms_norm(x, name="norm1")
            y = _causal_attention(b, y, heads, kv_heads, head_dim, qkv_bias, qk_norm)
            x = b.add(x, b.rms_norm(y, name="norm1_after") if post_norms else y, name="add1")
            y = gated_mlp(b, b.rms_norm(x, name="norm2"), mlp, act=act)
            x = b.add(x, b.rms_norm(y, name="norm2_after") if post_norms else y, name="add2")
    return b.build(b.rms_norm(x, name="final_norm") if final_norm else x, sample="prompt")


def _causal_attention(
    b: Builder, x: Value, heads: int, kv_heads: int, head_dim: int, qkv_bias: bool, qk_norm: bool
) -> Value:  # fmt: skip
    tokens, inner, kv = x.shape[0], heads * head_dim, kv_heads * head_dim
    with b.scope("attn"):
        qkv = b.linear(x, inner + 2 * kv, bias=qkv_bias, name="qkv")
        if qk_norm:
            rows = tokens * (heads + kv_heads)
            qkv = b.node("qk_norm", ops.RmsNorm(rows, head_dim), (qkv,), qkv.shape, 2 * head_dim)
        qkv = b.node("rope", ops.Rope(tokens, inner + kv), (qkv,), qkv.shape)
        y = b.attend(
            (qkv,), (tokens, inner), heads=heads, head_dim=head_dim, q_tokens=tokens, kv_heads=kv_heads, causal=True
        )
        return b.linear(y, x.width, bias=False, name="proj")
