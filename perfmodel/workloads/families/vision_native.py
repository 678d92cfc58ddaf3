"""Vision towers of newer models: rotated patches, images of any size, and mergers of neighbouring patches."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.parts import pair
from perfmodel.workloads.families.vision import USUAL_IMAGE, tower
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LayerGroup, Tower

_MOST_LAYERS = 4096
_MOST_HEADS = 65536


def _heads(v: ConfigFields, key: str, width: int) -> int:
    heads = v.whole(key, most=_MOST_HEADS)
    if width % heads:
        raise v.fault(key, f"must divide the width {width}, not {heads}")
    return heads


def _channels(v: ConfigFields) -> int:
    """Return ``in_channels``; ``in_chans``, which the published configs have beside or instead of it, must agree."""
    return v.whole("in_channels", "in_chans", most=64)


def _usual_side(patch: int, merge: int) -> int:
    """Return the patches a side of the usual image: the nearest whole number of merged ones, as processors resize."""
    block = patch * merge
    return max((2 * USUAL_IMAGE + block) // (2 * block), 1) * merge


_QWEN2 = {"depth": 32, "embed_dim": 1280, "hidden_size": 3584, "mlp_ratio": 4, "num_heads": 16, "in_channels": 3,
          "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2}  # fmt: skip


def qwen2_tower(fields: ConfigFields) -> Tower:
    """Return Qwen2-VL's ViT: rotated patches of two frames, and a merger of 2x2 patches."""
    v = ConfigFields(fields.source, _QWEN2, fields.used)
    width, heads = v.whole("embed_dim"), _heads(v, "num_heads", v.whole("embed_dim"))
    ffn = DenseFfn(width * v.whole("mlp_ratio", most=_MOST_HEADS), gated=False, bias=True)
    mixer = GroupedQueryAttention(heads, heads, width // heads, qkv_bias=True, output_bias=True, causal=False)
    layers = LayerGroup(v.whole("depth", most=_MOST_LAYERS), mixer, ffn, norms=4)
    return _merged(v, width, [layers], out=v.whole("hidden_size"), norms=2)


def _merged(v: ConfigFields, width: int, layers: Sequence[LayerGroup], *, out: int, norms: int) -> Tower:
    """Return a Qwen ViT of these layers: patches without a bias, and ``norms`` vectors and two matrices to merge."""
    patch, merge = v.whole("patch_size", most=4096), v.whole("spatial_merge_size", most=64)
    patches = _usual_side(patch, merge) ** 2
    pixels = _channels(v) * v.whole("temporal_patch_size", most=64) * patch**2
    merged, rows = width * merge**2, patches // merge**2
    matrices = [(patches, pixels, width), (rows, merged, merged), (rows, merged, out)]
    other = norms * width + merged + out
    return tower("vision", width, layers, tokens=patches, matrices=matrices, other=other, output_tokens=rows)


_QWEN25 = {"depth": 32, "hidden_size": 3584, "intermediate_size": 3420, "num_heads": 16, "in_channels": 3,
           "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 112,
           "out_hidden_size": 3584, "fullatt_block_indexes": [7, 15, 23, 31]}  # fmt: skip


def qwen25_tower(fields: ConfigFields) -> Tower:
    """Return Qwen2.5-VL's ViT: RMS norms, gated networks, and attention within windows but in a few layers.

    Windows at the right and lower edge, which an image may fill in part only, are counted as whole ones.
    """
    v = ConfigFields(fields.source, _QWEN25, fields.used)
    width, heads = v.whole("hidden_size"), _heads(v, "num_heads", v.whole("hidden_size"))
    patch, merge, count = v.whole("patch_size", most=4096), v.whole("spatial_merge_size", most=64), v.whole("depth")
    blocks = v.whole("window_size") // merge // patch
    if not blocks:
        raise v.fault("window_size", f"must be at least {merge} patches of {patch} pixels")
    full = {index for index in v.wholes("fullatt_block_indexes") or () if 0 <= index < count}
    ffn = DenseFfn(v.whole("intermediate_size"), gated=True, bias=True)
    layers = [
        LayerGroup(
            number,
            GroupedQueryAttention(
                heads, heads, width // heads, window, qkv_bias=True, output_bias=True, chunked=window > 0, causal=False
            ),
            ffn,
        )
        for number, window in ((count - len(full), (blocks * merge) ** 2), (len(full), 0))
        if number
    ]
    return _merged(v, width, layers, out=v.whole("out_hidden_size"), norms=1)


_PIXTRAL = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
            "num_channels": 3, "image_size": 1024, "patch_size": 16}  # fmt: skip


def pixtral_tower(fields: ConfigFields, merge: int = 1) -> Tower:
    """Return Pixtral's ViT: Llama's layers without a mask over patches of the image in its own proportions."""
    v = ConfigFields(fields.source, _PIXTRAL, fields.used)
    width, patch = v.whole("hidden_size"), v.whole("patch_size", most=4096)
    heads, block = _heads(v, "num_attention_heads", width), patch * merge
    side = -(-min(v.whole("image_size", least=patch), USUAL_IMAGE) // block) * merge
    mixer = GroupedQueryAttention(heads, heads, width // heads, causal=False)
    ffn = DenseFfn(v.whole("intermediate_size"))
    layers = LayerGroup(v.whole("num_hidden_layers", most=_MOST_LAYERS), mixer, ffn)
    matrices = [(side**2, v.whole("num_channels", most=64) * patch**2, width)]
    return tower("vision", width, [layers], tokens=side**2, matrices=matrices, other=width, output_tokens=side**2)


_GLM4V = {"depth": 24, "hidden_size": 1536, "attention_bias": False, "num_heads": 12, "in_channels": 3,
          "image_size": 336, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
          "out_hidden_size": 4096, "intermediate_size": 13696}  # fmt: skip


def glm4v_tower(fields: ConfigFields) -> Tower:
    """Return GLM-4.1V's ViT: gated networks of the output's width, a convolution that merges, a gated projection."""
    v = ConfigFields(fields.source, _GLM4V, fields.used)
    width, out, inner = v.whole("hidden_size"), v.whole("out_hidden_size"), v.whole("intermediate_size")
    heads, patch, merge = _heads(v, "num_heads", width), v.whole("patch_size", most=4096), v.whole("spatial_merge_size")
    mixer = GroupedQueryAttention(heads, heads, width // heads, qkv_bias=v.flag("attention_bias"), causal=False)
    layers = LayerGroup(v.whole("depth", most=_MOST_LAYERS), mixer, DenseFfn(out))
    patches = _usual_side(patch, merge) ** 2
    rows = patches // merge**2
    matrices = [
        (patches, _channels(v) * v.whole("temporal_patch_size", most=64) * patch**2, width),
        (rows, width * merge**2, out), (rows, out, out), (rows, out, 2 * inner), (rows, inner, out),
    ]  # fmt: skip
    positions = (v.whole("image_size", least=patch) // patch) ** 2 * width
    other = width + positions + 2 * width + out + 2 * out  # patch bias, norms around the layers, merger's bias and norm
    return tower("vision", width, [layers], tokens=patches, matrices=matrices, other=other, output_tokens=rows)


_INTERN = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "attention_bias": False,
           "use_qk_norm": False, "intermediate_size": 4096, "norm_type": "layer_norm", "image_size": [448, 448],
           "patch_size": [14, 14], "num_channels": 3, "use_mask_token": False,
           "use_absolute_position_embeddings": True, "use_mean_pooling": True}  # fmt: skip


def internvl_tower(fields: ConfigFields) -> Tower:
    """Return InternViT for one tile of an image: a class token, and a gain on what each block adds."""
    v = ConfigFields(fields.source, _INTERN, fields.used)
    width, inner = v.whole("hidden_size"), v.whole("intermediate_size")
    (high, wide), (row, column) = pair(v, "image_size"), pair(v, "patch_size")
    heads, bias = _heads(v, "num_attention_heads", width), v.flag("attention_bias")
    patches = high // row * (wide // column)
    if not patches:
        raise v.fault("patch_size", f"must not exceed image_size {high} x {wide}, not {row} x {column}")
    norms = {"layer_norm": 4, "rms_norm": 2}.get(v.word("norm_type") or "", 0)
    if not norms:
        raise v.refusal("norm_type", "is not understood (understood: layer_norm, rms_norm)")
    mixer = GroupedQueryAttention(
        heads, heads, width // heads, qkv_bias=bias, output_bias=True, rotated=False, causal=False,
        qk_norm="full" if v.flag("use_qk_norm") else "none",
    )  # fmt: skip
    ffn = DenseFfn(inner, gated=False, bias=True)
    layers = LayerGroup(v.whole("num_hidden_layers", most=_MOST_LAYERS), mixer, ffn, norms=norms + 2)
    other = 2 * width + width * v.flag("use_mask_token") + 2 * width * (not v.flag("use_mean_pooling"))
    other += (patches + 1) * width * v.flag("use_absolute_position_embeddings")
    matrices = [(patches, v.whole("num_channels", most=64) * row * column, width)]
    return tower(
        "vision", width, [layers], tokens=patches + 1, matrices=matrices, other=other, output_tokens=patches + 1
    )


_MOON = {"patch_size": 14, "pos_emb_height": 64, "pos_emb_width": 64, "num_attention_heads": 16,
         "num_hidden_layers": 27, "hidden_size": 1152, "intermediate_size": 4304,
         "merge_kernel_size": [2, 2]}  # fmt: skip


def moon_tower(fields: ConfigFields) -> tuple[Tower, int]:
    """Return MoonViT as Kimi K2.5 has it, and how many patches are merged into one row of its output."""
    v = ConfigFields(fields.source, _MOON, fields.used)
    width, inner = v.whole("hidden_size", "vt_hidden_size"), v.whole("intermediate_size", "vt_intermediate_size")
    patch, (high, wide) = v.whole("patch_size", most=4096), pair(v, "merge_kernel_size", most=64)
    heads = v.whole("num_attention_heads", "vt_num_attention_heads", most=_MOST_HEADS)
    if width % heads:
        raise v.fault("num_attention_heads", f"must divide the width {width}, not {heads}")
    mixer = GroupedQueryAttention(heads, heads, width // heads, qkv_bias=True, output_bias=True, causal=False)
    count = v.whole("num_hidden_layers", "vt_num_hidden_layers", most=_MOST_LAYERS)
    layers = LayerGroup(count, mixer, DenseFfn(inner, gated=False, bias=True), norms=4)
    patches = _usual_side(patch, high) * _usual_side(patch, wide)
    table = v.whole("pos_emb_height", "init_pos_emb_height") * v.whole("pos_emb_width", "init_pos_emb_width") * width
    made = tower(
        "vision", width, [layers], tokens=patches, matrices=[(patches, 3 * patch**2, width)], other=table + 3 * width,
        output_tokens=patches // (high * wide),
    )  # fmt: skip
    return made, high * wide


_IDEFICS = {"hidden_size": 1152, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 16,
            "num_channels": 3, "image_size": 224, "patch_size": 32}  # fmt: skip


def idefics3_tower(fields: ConfigFields) -> Tower:
    """Return the ViT of Idefics 3 and SmolVLM for one tile of an image: SigLIP's without a head."""
    v = ConfigFields(fields.source, _IDEFICS, fields.used)
    width, patch = v.whole("hidden_size"), v.whole("patch_size", most=4096)
    heads, patches = _heads(v, "num_attention_heads", width), (v.whole("image_size", least=patch) // patch) ** 2
    mixer = GroupedQueryAttention(
        heads, heads, width // heads, qkv_bias=True, output_bias=True, rotated=False, causal=False
    )
    ffn = DenseFfn(v.whole("intermediate_size"), gated=False, bias=True)
    layers = LayerGroup(v.whole("num_hidden_layers", most=_MOST_LAYERS), mixer, ffn, norms=4)
    matrices = [(patches, v.whole("num_channels", most=64) * patch**2, width)]
    other = width + patches * width + 2 * width
    return tower("vision", width, [layers], tokens=patches, matrices=matrices, other=other, output_tokens=patches)
