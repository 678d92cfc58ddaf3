"""Networks of diffusion against the modules of diffusers and transformers: parameters exact, flops equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network
from tests.diffusion_oracle import Call, counted, decoder, diffusers, meta, text_encoder, torch, transformer, unet

pytestmark = pytest.mark.slow

XL: dict[str, Any] = {
    "down": (0, 1, 1), "block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048, "use_linear_projection": True, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
SD2: dict[str, Any] = {
    "cross_attention_dim": 1024,
    "attention_head_dim": (5, 10, 20, 20),
    "use_linear_projection": True,
}
SD1: dict[str, Any] = {"cross_attention_dim": 768}
UNETS: dict[str, dict[str, Any]] = {
    "stable-diffusion-1.5-unet": SD1,
    "stable-diffusion-1.5-inpainting-unet": {**SD1, "in_channels": 9},
    "instruct-pix2pix-unet": {**SD1, "in_channels": 8},
    "lcm-dreamshaper-v7-unet": {**SD1, "time_cond_proj_dim": 256},
    "bk-sdm-base-unet": {**SD1, "layers_per_block": 1},
    "bk-sdm-small-unet": {**SD1, "layers_per_block": 1, "mid_block_type": None},
    "bk-sdm-tiny-unet": {
        **SD1, "layers_per_block": 1, "mid_block_type": None, "down": (1, 1, 1), "block_out_channels": (320, 640, 1280),
    },
    "stable-diffusion-2.1-unet": SD2,
    "stable-diffusion-2.1-base-unet": SD2,
    "stable-diffusion-2-inpainting-unet": {**SD2, "in_channels": 9},
    "stable-diffusion-2-depth-unet": {**SD2, "in_channels": 5},
    "sdxl-unet": {**XL, "transformer_layers_per_block": (1, 2, 10)},
    "sdxl-inpainting-unet": {**XL, "transformer_layers_per_block": (1, 2, 10), "in_channels": 9},
    "lcm-sdxl-unet": {**XL, "transformer_layers_per_block": (1, 2, 10), "time_cond_proj_dim": 256},
    "sdxl-refiner-unet": {
        "down": (0, 1, 1, 0), "block_out_channels": (384, 768, 1536, 1536), "transformer_layers_per_block": 4,
        "attention_head_dim": (6, 12, 24, 24), "cross_attention_dim": 1280, "use_linear_projection": True,
        "projection_class_embeddings_input_dim": 2560,
    },
    "ssd-1b-unet": {
        **XL, "mid_block_type": "UNetMidBlock2D", "transformer_layers_per_block": [0, [2, 2], [4, 4]],
        "reverse_transformer_layers_per_block": [[4, 4, 10], [2, 1, 1], 0],
    },
    "segmind-vega-unet": {
        **XL, "mid_block_type": "UNetMidBlock2D", "transformer_layers_per_block": [0, [1, 1], [2, 2]],
        "reverse_transformer_layers_per_block": [[2, 2, 2], [1, 1, 1], 0],
    },
    "koala-700m-unet": {
        **XL, "layers_per_block": 1, "mid_block_type": None, "transformer_layers_per_block": (1, 2, 5)
    },
    "koala-1b-unet": {**XL, "layers_per_block": 1, "transformer_layers_per_block": (1, 2, 6)},
}  # fmt: skip

SD3: dict[str, Any] = {
    "kind": "SD3Transformer2DModel", "num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536,
    "pooled_projection_dim": 2048, "pos_embed_max_size": 384,
}  # fmt: skip
FLUX: dict[str, Any] = {"kind": "FluxTransformer2DModel", "pooled_projection_dim": 768}
FLUX2: dict[str, Any] = {"kind": "Flux2Transformer2DModel"}
PIXART: dict[str, Any] = {"kind": "PixArtTransformer2DModel", "caption_channels": 4096}
WAN: dict[str, Any] = {"kind": "WanTransformer3DModel"}
COG: dict[str, Any] = {"kind": "CogVideoXTransformer3DModel"}
COG5: dict[str, Any] = {
    **COG, "num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True
}  # fmt: skip
KLEIN: dict[str, Any] = {**FLUX2, "guidance_embeds": False}
TRANSFORMERS: dict[str, dict[str, Any]] = {
    "stable-diffusion-3-medium-transformer": SD3,
    "stable-diffusion-3.5-medium-transformer": {
        **SD3, "qk_norm": "rms_norm", "dual_attention_layers": tuple(range(13))
    },
    "stable-diffusion-3.5-large-transformer": {
        **SD3, "qk_norm": "rms_norm", "num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432
    },
    "flux.1-dev-transformer": {**FLUX, "guidance_embeds": True},
    "flux.1-schnell-transformer": FLUX,
    "flux.1-fill-dev-transformer": {**FLUX, "guidance_embeds": True, "in_channels": 384, "out_channels": 64},
    "flux.1-lite-8b-transformer": {**FLUX, "guidance_embeds": True, "num_layers": 8},
    "flux.2-dev-transformer": {**FLUX2, "guidance_embeds": True},
    "flux.2-klein-4b-transformer": {
        **KLEIN, "num_layers": 5, "num_single_layers": 20, "num_attention_heads": 24, "joint_attention_dim": 7680
    },
    "flux.2-klein-9b-transformer": {
        **KLEIN, "num_layers": 8, "num_single_layers": 24, "num_attention_heads": 32, "joint_attention_dim": 12288
    },
    "qwen-image-transformer": {"kind": "QwenImageTransformer2DModel"},
    "hunyuan-video-transformer": {"kind": "HunyuanVideoTransformer3DModel"},
    "pixart-alpha-256-transformer": {**PIXART, "sample_size": 32},
    "pixart-alpha-512-transformer": {**PIXART, "sample_size": 64},
    "pixart-alpha-1024-transformer": PIXART,
    "pixart-sigma-512-transformer": {**PIXART, "sample_size": 64},
    "pixart-sigma-1024-transformer": {**PIXART, "use_additional_conditions": False},
    "wan-2.1-1.3b-transformer": {**WAN, "num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30},
    "wan-2.1-14b-transformer": WAN,
    "wan-2.1-i2v-14b-transformer": {**WAN, "in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 5120},
    "wan-2.2-t2v-a14b-high-noise-transformer": WAN,
    "wan-2.2-t2v-a14b-low-noise-transformer": WAN,
    "wan-2.2-i2v-a14b-transformer": {**WAN, "in_channels": 36},
    "wan-2.2-ti2v-5b-transformer": {
        **WAN, "num_attention_heads": 24, "ffn_dim": 14336, "num_layers": 30, "in_channels": 48, "out_channels": 48
    },
    "ltx-video-2b-transformer": {"kind": "LTXVideoTransformer3DModel"},
    "ltx-video-13b-transformer": {
        "kind": "LTXVideoTransformer3DModel", "attention_head_dim": 128, "cross_attention_dim": 4096, "num_layers": 48
    },
    "cogvideox-2b-transformer": COG,
    "cogvideox-5b-transformer": COG5,
    "cogvideox-1.5-5b-transformer": {**COG5, "patch_size_t": 2},
}  # fmt: skip

KL: dict[str, Any] = {
    "kind": "AutoencoderKL", "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
DECODERS: dict[str, dict[str, Any]] = {
    "stable-diffusion-1.5-vae-decoder": KL,
    "stable-diffusion-2.1-vae-decoder": KL,
    "sdxl-vae-decoder": KL,
    "stable-diffusion-3-vae-decoder": {
        **KL, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False
    },
    "flux.2-vae-decoder": {"kind": "AutoencoderKLFlux2"},
    "wan-2.1-vae-decoder": {"kind": "AutoencoderKLWan"},
    "wan-2.2-vae-decoder": {
        "kind": "AutoencoderKLWan", "base_dim": 160, "decoder_base_dim": 256, "z_dim": 48, "is_residual": True,
        "in_channels": 12, "out_channels": 12, "patch_size": 2, "latents_mean": [0.0] * 48, "latents_std": [1.0] * 48,
    },
    "qwen-image-vae-decoder": {"kind": "AutoencoderKLQwenImage"},
    "hunyuan-video-vae-decoder": {"kind": "AutoencoderKLHunyuanVideo"},
    "cogvideox-vae-decoder": {
        "kind": "AutoencoderKLCogVideoX", "block_out_channels": (128, 256, 256, 512), "layers_per_block": 3,
        "down_block_types": ("CogVideoXDownBlock3D",) * 4, "up_block_types": ("CogVideoXUpBlock3D",) * 4,
    },
    "ltx-video-vae-decoder": {"kind": "AutoencoderKLLTXVideo"},
    "mochi-1-vae-decoder": {"kind": "AutoencoderKLMochi"},
}  # fmt: skip

CLIP: dict[str, Any] = {"kind": "CLIPTextModel", "config": "CLIPTextConfig", "vocab_size": 49408}
PROJECTED: dict[str, Any] = {**CLIP, "kind": "CLIPTextModelWithProjection"}
T5: dict[str, Any] = {
    "kind": "T5EncoderModel",
    "config": "T5Config",
    "vocab_size": 32128,
    "d_kv": 64,
    "feed_forward_proj": "gated-gelu",
}
UMT5: dict[str, Any] = {**T5, "kind": "UMT5EncoderModel", "config": "UMT5Config", "vocab_size": 256384}


def clip(width: int, depth: int, heads: int) -> dict[str, Any]:
    return {
        "hidden_size": width, "num_hidden_layers": depth, "num_attention_heads": heads, "intermediate_size": 4 * width,
        "projection_dim": width,
    }  # fmt: skip


def t5(width: int, depth: int, heads: int, mlp: int) -> dict[str, Any]:
    return {"d_model": width, "num_layers": depth, "num_heads": heads, "d_ff": mlp}


def causal(kind: str, width: int, depth: int, heads: int, kv: int, mlp: int, vocabulary: int, head_dim: int) -> Any:
    return {
        "kind": f"{kind}Model", "config": f"{kind}Config", "hidden_size": width, "num_hidden_layers": depth,
        "num_attention_heads": heads, "num_key_value_heads": kv, "intermediate_size": mlp, "vocab_size": vocabulary,
        "head_dim": head_dim, "use_cache": False,
    }  # fmt: skip


ENCODERS: dict[str, dict[str, Any]] = {
    "clip-b-32-text": {**PROJECTED, **clip(512, 12, 8)},
    "clip-l-14-text": {**CLIP, **clip(768, 12, 12)},
    "clip-l-14-text-projected": {**PROJECTED, **clip(768, 12, 12)},
    "openclip-h-14-text": {**CLIP, **clip(1024, 23, 16)},
    "openclip-h-14-text-projected": {**PROJECTED, **clip(1024, 24, 16)},
    "openclip-bigg-14-text": {**PROJECTED, **clip(1280, 32, 20)},
    "t5-v1.1-small-encoder": {**T5, **t5(512, 8, 6, 1024)},
    "t5-v1.1-base-encoder": {**T5, **t5(768, 12, 12, 2048)},
    "t5-v1.1-large-encoder": {**T5, **t5(1024, 24, 16, 2816)},
    "t5-v1.1-xl-encoder": {**T5, **t5(2048, 24, 32, 5120)},
    "t5-v1.1-xxl-encoder": {**T5, **t5(4096, 24, 64, 10240)},
    "umt5-base-encoder": {**UMT5, **t5(768, 12, 12, 2048)},
    "umt5-xxl-encoder": {**UMT5, **t5(4096, 24, 64, 10240)},
    "llama-3-8b-text-encoder": causal("Llama", 4096, 32, 32, 8, 14336, 128256, 128),
    "qwen2.5-vl-7b-text-encoder": causal("Qwen2", 3584, 28, 28, 4, 18944, 152064, 128),
    "qwen3-4b-text-encoder": causal("Qwen3", 2560, 36, 32, 8, 9728, 151936, 128),
    "qwen3-8b-text-encoder": causal("Qwen3", 4096, 36, 32, 8, 12288, 151936, 128),
    "mistral-small-24b-text-encoder": causal("Mistral", 5120, 40, 32, 8, 32768, 131072, 128),
    "gemma-2-2b-text-encoder": causal("Gemma2", 2304, 26, 8, 4, 9216, 256000, 256),
}
OTHER_SIZE = {"height": 352, "width": 608}


def agrees(network: Network, call: Callable[[Network, Mapping[str, Any]], Call], config: Mapping[str, Any]) -> None:
    oracle = counted(call(network, config))
    assert network.parameters == oracle.parameters
    assert network.matmul_flops == oracle.flops


def loaded(name: str, **changes: Any) -> Network:
    network = load_network(name, **changes)
    assert isinstance(network, Network)
    return network


@pytest.mark.parametrize("name", UNETS)
@pytest.mark.parametrize("changes", [{}, {"height": 328, "width": 264, "text_tokens": 154}], ids=["own", "other"])
def test_unets(name: str, changes: dict[str, int]) -> None:
    agrees(loaded(name, **changes), unet, UNETS[name])


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("other", [False, True], ids=["own", "other"])
def test_transformers(name: str, other: bool) -> None:
    video = len(loaded(name).inputs[0]) == 4
    changes = OTHER_SIZE | ({"frames": 25} if video else {"text_tokens": 77}) if other else {}
    agrees(loaded(name, **changes), transformer, TRANSFORMERS[name])


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("other", [False, True], ids=["own", "other"])
def test_decoders(name: str, other: bool) -> None:
    video = len(loaded(name).inputs[0]) == 4
    frames = {"frames": 1 if name.startswith("qwen") else 17} if video else {}  # odd numbers of latent ones
    changes = OTHER_SIZE | frames if other else frames
    agrees(loaded(name, **changes), decoder, DECODERS[name])


@pytest.mark.parametrize("name", ENCODERS)
def test_text_encoders(name: str) -> None:
    """Half of a causal model's scores are masked: they are counted there, and not here."""
    network = loaded(name) if "clip" in name else loaded(name, text_tokens=93)
    oracle = counted(text_encoder(network, ENCODERS[name]))
    masked = 0
    for node in network.nodes:
        if node.operator is not None and getattr(node.operator, "causal", False):
            at = node.operator.numbers()
            masked += 2 * at["heads"] * at["head_dim"] * at["q_tokens"] * (at["q_tokens"] - 1)
    assert network.parameters == oracle.parameters
    assert network.matmul_flops == oracle.flops - masked


@pytest.mark.parametrize(("height", "layers"), [(256, 28), (512, 28), (192, 3)])
def test_dit(height: int, layers: int) -> None:
    """diffusers embeds time and class in each layer again; the paper's implementation does once."""
    network = loaded("dit-xl-2", height=height, depth=layers)
    module = meta(diffusers.DiTTransformer2DModel, out_channels=8, sample_size=height // 8, num_layers=layers)
    time = 256 * 1152 + 1152 + 1152 * 1152 + 1152
    arguments = {
        "hidden_states": torch.empty(1, 4, height // 8, height // 8, device="meta"),
        "timestep": torch.empty(1, device="meta"),
        "class_labels": torch.zeros(1, device="meta", dtype=torch.long),
    }
    oracle = counted(Call(module, arguments))
    assert network.parameters == oracle.parameters - (layers - 1) * (time + 1001 * 1152)
    assert network.matmul_flops == oracle.flops - layers * 2 * (256 * 1152 + 1152 * 1152)


def test_mochi() -> None:
    """Mochi's attention picks tokens by a mask, so that a small one runs on real numbers."""
    small = {"hidden": 128, "depth": 3, "heads": 4, "text_hidden": 48, "context": 64, "frames": 13, "text_tokens": 20}
    network = loaded("mochi-1-transformer", height=64, width=96, **small)
    options = {"attention_head_dim": 32, "num_layers": 3, "pooled_projection_dim": 48, "text_embed_dim": 64}
    module = diffusers.MochiTransformer3DModel(num_attention_heads=4, max_sequence_length=20, **options)
    arguments = {
        "hidden_states": torch.zeros(1, *network.inputs[0]), "encoder_hidden_states": torch.ones(1, 20, 64),
        "timestep": torch.zeros(1), "encoder_attention_mask": torch.ones(1, 20),
    }  # fmt: skip
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        oracle = counted(Call(module, arguments))
    assert (network.parameters, network.matmul_flops) == (oracle.parameters, oracle.flops)
    big = meta(diffusers.MochiTransformer3DModel)
    assert loaded("mochi-1-transformer").parameters == sum(p.numel() for p in big.parameters())
