"""CaiT and XCiT: talking heads or attention between channels, and class attention at the end."""

from __future__ import annotations

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_blocks import scaled
from perfmodel.workloads.networks.vit_tokens import add_tokens, classifier


@family("cait")
def cait(
    name: str, width: int, depth: int, heads: int, *, patch: int = 16, class_depth: int = 2, mlp_ratio: float = 4.0,
    image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return a CaiT: blocks of patches with talking heads, then ``class_depth`` blocks in which only the class attends.

    Source: Touvron et al. 2021 (arXiv 2103.17239); timm models/cait.py.
    """
    b = Builder(name, "cait", (3, image, image))
    x = b.tokens(b.conv(b.input(), width, patch, patch, 0, name="patch_embed"))
    x = b.learned(x, x.shape[0] * width, name="pos_embed")
    hidden = int(width * mlp_ratio)
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            y = _talking_heads(b, b.layer_norm(x, name="norm1"), heads)
            x = b.add(x, scaled(b, y, True, "ls1"), name="add1")
            y = b.mlp(b.layer_norm(x, name="norm2"), hidden)
            x = b.add(x, scaled(b, y, True, "ls2"), name="add2")
    token = b.scale(b.view(x, (1, width), name="cls_token"), parameters=width, name="cls_token_expand")
    for index in range(class_depth):
        with b.block(f"blocks_token_only.{index}"):
            both = b.concat([token, x])
            y = class_attention(b, b.layer_norm(both, name="norm1"), heads)
            token = b.add(token, scaled(b, y, True, "ls1"), name="add1")
            y = b.mlp(b.layer_norm(token, name="norm2"), hidden)
            token = b.add(token, scaled(b, y, True, "ls2"), name="add2")
    x = b.layer_norm(b.concat([token, x]))
    return b.build(classifier(b, b.view(x, (width,), name="token"), classes))


@family("xcit")
def xcit(
    name: str, width: int, depth: int, heads: int, *, patch: int = 16, class_depth: int = 2, tokens_norm: bool = True,
    mlp_ratio: float = 4.0, image: int = 224, classes: int = 1000,
) -> Network:  # fmt: skip
    """Return an XCiT: patches of 16 or 8 by strided convolutions, attention between channels, local convolutions.

    ``tokens_norm``: the second norm of a class-attention block is of all tokens, not of the class only. Source:
    El-Nouby et al. 2021 (arXiv 2106.09681), section 3; timm models/xcit.py.
    """
    b = Builder(name, "xcit", (3, image, image))
    x = b.input()
    steps = {16: 4, 8: 3}[patch]
    for step in range(steps):
        act = "gelu" if step + 1 < steps else ""
        x = b.conv_bn(x, width // 2 ** (steps - 1 - step), 3, 2, act=act, name=f"patch_embed.{step}")
    _, rows, columns = x.shape
    fourier = b.node("pos_embed", ops.Conv(1, 1, 64, width, rows, columns, kernel=(1, 1, 1), padding=(0, 0, 0)), (),
                     x.shape, 65 * width)  # fmt: skip
    x = b.tokens(b.add(x, fourier, name="add_pos"))
    for index in range(depth):
        with b.block(f"blocks.{index}"):
            x = _xca_block(b, x, (int(rows), int(columns)), heads, int(width * mlp_ratio))
    x = add_tokens(b, x, 1)
    for index in range(class_depth):
        with b.block(f"cls_attn_blocks.{index}"):
            x = _class_block(b, x, heads, int(width * mlp_ratio), tokens_norm)
    return b.build(classifier(b, b.view(b.layer_norm(x), (width,), name="token"), classes))


def class_attention(b: Builder, x: Value, heads: int) -> Value:
    """Add attention of the first token over all (arXiv 2103.17239)."""
    tokens, width = x.shape
    with b.scope("attn"):
        q = b.linear(b.view(x, (1, width), name="token"), width, name="q")
        k, v = b.linear(x, width, name="k"), b.linear(x, width, name="v")
        y = b.attend([q, k, v], (1, width), heads=heads, head_dim=width // heads, q_tokens=1, kv_tokens=tokens)
        return b.linear(y, width, name="proj")


def _talking_heads(b: Builder, x: Value, heads: int) -> Value:
    """Add attention whose heads are mixed by a dense layer before the softmax and after it (arXiv 2003.02436)."""
    tokens, width = x.shape
    head = width // heads
    with b.scope("attn"):
        qkv = b.linear(x, 3 * width, name="qkv")
        q, k, v = b.split(qkv, (width,) * 3, axis=-1)
        pairs = tokens * tokens
        scores = b.matmul(q, k, (pairs, heads), batch=heads, m=tokens, n=tokens, k=head, name="scores")
        scores = b.linear(scores, heads, name="proj_l")
        scores = b.softmax(b.view(scores, (heads * tokens, tokens)))
        scores = b.linear(b.view(scores, (pairs, heads)), heads, name="proj_w")
        y = b.matmul(scores, v, (tokens, width), batch=heads, m=tokens, n=head, k=tokens, name="mix")
        return b.linear(y, width, name="proj")


def _xca_block(b: Builder, x: Value, grid: tuple[int, int], heads: int, hidden: int) -> Value:
    y = _cross_covariance(b, b.layer_norm(x, name="norm1"), heads)
    x = b.add(x, scaled(b, y, True, "gamma1"), name="add1")
    with b.scope("local_mp"):
        y = b.image(b.layer_norm(x, name="norm3"), *grid)
        y = b.conv(y, y.channels, 3, groups=y.channels, name="conv1")
        y = b.batch_norm(b.act(y, "gelu"))
        y = b.tokens(b.conv(y, y.channels, 3, groups=y.channels, name="conv2"))
    x = b.add(x, scaled(b, y, True, "gamma3"), name="add3")
    y = b.mlp(b.layer_norm(x, name="norm2"), hidden)
    return b.add(x, scaled(b, y, True, "gamma2"), name="add2")


def _cross_covariance(b: Builder, x: Value, heads: int) -> Value:
    """Add attention between the channels of each head: products of queries and keys over all tokens."""
    tokens, width = x.shape
    head = width // heads
    with b.scope("attn"):
        qkv = b.linear(x, 3 * width, name="qkv")
        qkv = b.node("normalise", ops.RmsNorm(2 * width, tokens), (qkv,), qkv.shape, heads)
        q, k, v = b.split(qkv, (width,) * 3, axis=-1)
        scores = b.matmul(q, k, (width, head), batch=heads, m=head, n=head, k=tokens, name="covariance")
        scores = b.softmax(scores)
        y = b.matmul(scores, v, (width, tokens), batch=heads, m=head, n=tokens, k=head, name="mix")
        return b.linear(b.copy(y, (tokens, width), name="tokens_first"), width, name="proj")


def _class_block(b: Builder, x: Value, heads: int, hidden: int, tokens_norm: bool) -> Value:
    tokens, width = x.shape
    y = b.layer_norm(x, name="norm1")
    rest = b.view(y, (tokens - 1, width), name="patches")
    y = b.concat([class_attention(b, y, heads), rest], name="cat1")
    x = b.add(x, scaled(b, y, True, "gamma1"), name="add1")
    if tokens_norm:
        x = b.layer_norm(x, name="norm2")
    else:
        token = b.layer_norm(b.view(x, (1, width)), name="norm2")
        x = b.concat([token, b.view(x, (tokens - 1, width))], name="cat2")
    y = b.mlp(b.view(x, (1, width)), hidden)
    y = b.concat([scaled(b, y, True, "gamma2"), b.view(x, (tokens - 1, width))], name="cat3")
    return b.add(x, y, name="add2")
