"""Vision towers from their dimensions: a transformer over an image's patches, and what projects its output."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.modules import layer_parts
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LayerGroup, Tower

USUAL_IMAGE = 1024
"""Pixels a side of the image that a tower of any resolution is counted for."""
VISION_IGNORED = word_set(
    """
hidden_act hidden_activation norm_eps layer_norm_eps attention_dropout rope_theta rope_parameters dropout projection_dim
initializer_range model_type num_channels max_position_embeddings hidden_dropout
"""
)


def vit_layers(width: int, heads: int, inner: int, count: int, *, bias: bool = True) -> LayerGroup:
    """Return the layers of a ViT: LayerNorms with biases, full attention, two matrices; biases all over or none."""
    mixer = GroupedQueryAttention(
        heads, heads, width // heads, qkv_bias=bias, output_bias=bias, rotated=False, causal=False
    )
    return LayerGroup(count, mixer, DenseFfn(inner, gated=False, bias=bias), norms=4)


def tower(
    name: str, hidden: int, layers: Sequence[LayerGroup], *, tokens: int, matrices: Sequence[tuple[int, int, int]] = (),
    other: int = 0, output_tokens: int = 0,
) -> Tower:  # fmt: skip
    """Return a tower with its parameters: those of its layers and ``matrices``, and ``other`` (tables, norms)."""
    inside = sum(group.count * each for group in layers for _, _, each in layer_parts(group, hidden))
    beside = sum(k * n for _, k, n in matrices)
    return Tower(name, inside + beside + other, hidden, tuple(layers), tokens, 0, tuple(matrices), output_tokens)


_QWEN3_VISION = {
    "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "in_channels": 3, "patch_size": 16,
    "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 3584, "num_position_embeddings": 2304,
    "deepstack_visual_indexes": [],
}  # fmt: skip


def qwen3_tower(fields: ConfigFields, *, deep: Sequence[int] = ()) -> Tower:
    """Return the ViT of Qwen3-VL and Qwen3.5: a merger of 2x2 patches, and one more for each deep feature."""
    v = ConfigFields(fields.source, _QWEN3_VISION | {"deepstack_visual_indexes": list(deep)}, fields.used)
    width, merge = v.whole("hidden_size"), v.whole("spatial_merge_size", most=64)
    patches = (USUAL_IMAGE // v.whole("patch_size", most=4096)) ** 2
    pixels = v.whole("in_channels", most=64) * v.whole("temporal_patch_size", most=64) * v.whole("patch_size") ** 2
    merged, out, rows = width * merge**2, v.whole("out_hidden_size"), patches // merge**2
    mergers = 1 + len(v.wholes("deepstack_visual_indexes") or ())
    layers = vit_layers(width, _heads(v, "num_heads", width), v.whole("intermediate_size"), v.whole("depth", most=4096))
    tables = width + v.whole("num_position_embeddings") * width + 2 * width
    projections = mergers * (merged + out) + (mergers - 1) * 2 * merged
    matrices = [(patches, pixels, width)] + [(rows, merged, merged), (rows, merged, out)] * mergers
    return tower(
        "vision", width, [layers], tokens=patches, matrices=matrices, other=tables + projections, output_tokens=rows
    )


def _heads(v: ConfigFields, key: str, width: int) -> int:
    heads = v.whole(key, most=65536)
    if width % heads:
        raise v.fault(key, f"must divide the width {width}, not {heads}")
    return heads


_SIGLIP = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_channels": 3, "image_size": 224,
           "patch_size": 16, "num_attention_heads": 12, "vision_use_head": True}  # fmt: skip


def siglip_tower(fields: ConfigFields) -> Tower:
    """Return SigLIP's ViT; with a head, a layer more that pools by a learned query.

    Omits the query's attention, 4*patches*width flops.
    """
    v = ConfigFields(fields.source, _SIGLIP, fields.used)
    width, patch = v.whole("hidden_size"), v.whole("patch_size", most=4096)
    patches = (v.whole("image_size") // patch) ** 2
    heads, inner = _heads(v, "num_attention_heads", width), v.whole("intermediate_size")
    layers = [vit_layers(width, heads, inner, v.whole("num_hidden_layers", most=4096))]
    tables = width + patches * width + 2 * width
    matrices = [(patches, v.whole("num_channels", most=64) * patch**2, width)]
    if v.flag("vision_use_head"):
        keys, query, output = (patches, width, 2 * width), (1, width, width), (1, width, width)
        matrices += [keys, query, output, (1, width, inner), (1, inner, width)]
        tables += 4 * width + 3 * width + inner + width  # biases; a learned query and one norm
    return tower("vision", width, layers, tokens=patches, matrices=matrices, other=tables)


_CLIP = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_channels": 3, "image_size": 224,
         "patch_size": 32, "num_attention_heads": 12}  # fmt: skip


def clip_tower(fields: ConfigFields) -> Tower:
    """Return CLIP's ViT: a class token, a norm before the layers and one after."""
    v = ConfigFields(fields.source, _CLIP, fields.used)
    width, patch = v.whole("hidden_size"), v.whole("patch_size", most=4096)
    patches = (v.whole("image_size") // patch) ** 2
    layers = vit_layers(
        width,
        _heads(v, "num_attention_heads", width),
        v.whole("intermediate_size"),
        v.whole("num_hidden_layers", most=4096),
    )
    matrices = [(patches, v.whole("num_channels", most=64) * patch * patch, width)]
    other = width + (patches + 1) * width + 4 * width
    return tower("vision", width, [layers], tokens=patches + 1, matrices=matrices, other=other)


_LLAMA4_VISION = {
    "hidden_size": 768, "num_hidden_layers": 34, "intermediate_size": 5632, "num_channels": 3, "patch_size": 14,
    "image_size": 448, "pixel_shuffle_ratio": 0.5, "projector_input_dim": 4096, "projector_output_dim": 4096,
    "vision_output_dim": 7680, "num_attention_heads": 16,
}  # fmt: skip


def llama4_tower(fields: ConfigFields, hidden: int) -> tuple[Tower, Tower]:
    """Return Llama 4's ViT with its pixel shuffle, and the projection to the language model's width."""
    v = ConfigFields(fields.source, _LLAMA4_VISION, fields.used)
    width, patch = v.whole("hidden_size"), v.whole("patch_size", most=4096)
    patches = (v.whole("image_size") // patch) ** 2
    inner, into, out = v.whole("intermediate_size"), v.whole("projector_input_dim"), v.whole("projector_output_dim")
    layers = vit_layers(width, _heads(v, "num_attention_heads", width), inner, v.whole("num_hidden_layers", most=4096))
    rows = patches // 4  # the shuffle puts 2x2 patches into one row
    matrices = [
        (patches, v.whole("num_channels", most=64) * patch * patch, width),
        (rows, inner, into),
        (rows, out, out),
    ]
    other = width + (patches + 1) * width + 4 * width
    vision = tower("vision", width, [layers], tokens=patches + 1, matrices=matrices, other=other, output_tokens=rows)
    projected = [(rows, v.whole("vision_output_dim"), hidden)]
    return vision, tower("projector", hidden, (), tokens=0, matrices=projected, output_tokens=rows)


_GEMMA4_VISION = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 16, "num_attention_heads": 12,
    "num_key_value_heads": 12, "head_dim": 64, "patch_size": 16, "position_embedding_size": 10240,
    "pooling_kernel_size": 3, "attention_bias": False,
}  # fmt: skip


def gemma4_tower(fields: ConfigFields, hidden: int, tokens: int) -> tuple[Tower, Tower]:
    """Return Gemma 4's ViT, which pools ``k x k`` patches to ``tokens`` soft tokens, and the projection after it."""
    v = ConfigFields(fields.source, _GEMMA4_VISION, fields.used)
    width, pool = v.whole("hidden_size"), v.whole("pooling_kernel_size", most=64)
    heads, kv_heads = v.whole("num_attention_heads", most=65536), v.whole("num_key_value_heads", most=65536)
    if heads % kv_heads:
        raise v.fault("num_key_value_heads", f"must divide num_attention_heads {heads}, not {kv_heads}")
    v.flag("attention_bias")  # read, and not used, by the layers
    mixer = GroupedQueryAttention(heads, kv_heads, v.whole("head_dim", most=65536), qk_norm="head", causal=False)
    count = v.whole("num_hidden_layers", most=4096)
    layers = LayerGroup(count, mixer, DenseFfn(v.whole("intermediate_size")), norms=4, norm_operators=4)
    patches = tokens * pool * pool
    matrices = [(patches, 3 * v.whole("patch_size", most=4096) ** 2, width)]
    table = 2 * v.whole("position_embedding_size") * width
    vision = tower("vision", width, [layers], tokens=patches, matrices=matrices, other=table, output_tokens=tokens)
    return vision, tower("projector", hidden, (), tokens=0, matrices=[(tokens, width, hidden)], output_tokens=tokens)
