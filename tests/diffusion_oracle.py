"""Modules of diffusers and transformers as an oracle of the networks of diffusion, built on the meta device.

Each function returns the module of a network of the library and what it is called with; sizes are read from the
network's inputs. Needs torch, diffusers and transformers; tests that import this skip where they are not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import pytest

from perfmodel.workloads.network import Network
from tests.vision_oracle import Counted, torch

diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"


class Call(NamedTuple):
    """A module, the method that is called, its arguments, and whose parameters count (None: the module's)."""

    module: Any
    arguments: Mapping[str, Any]
    method: str = ""
    parts: tuple[str, ...] = ()


def counted(call: Call) -> Counted:
    """Return parameters and flops of a call."""
    counter_of_flops = import_module("torch.utils.flop_counter").FlopCounterMode
    module = call.module.eval()
    run = getattr(module, call.method) if call.method else module
    with counter_of_flops(display=False) as counter, torch.no_grad():
        run(**call.arguments)
    owners = [getattr(module, part) for part in call.parts] if call.parts else [module]
    parameters = sum(p.numel() for owner in owners if owner is not None for p in owner.parameters())
    return Counted(parameters, counter.get_total_flops())


def meta(build: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Return a module built on the meta device."""
    with torch.device("meta"):
        return build(*arguments, **options)


def empty(*shape: Any) -> Any:
    """Return a tensor of a batch of one."""
    return torch.empty((1, *(int(n) for n in shape)), device="meta")


def whole(*shape: Any) -> Any:
    """Return a tensor of whole numbers of a batch of one."""
    return torch.zeros((1, *(int(n) for n in shape)), device="meta", dtype=torch.long)


def unet(network: Network, config: Mapping[str, Any]) -> Call:
    """Return a UNet; ``down`` says which of its levels attend."""
    options = dict(config)
    down = [CROSS if level else PLAIN for level in options.pop("down", (1, 1, 1, 0))]
    up = ["CrossAttnUpBlock2D" if kind == CROSS else "UpBlock2D" for kind in reversed(down)]
    options.setdefault("attention_head_dim", 8)
    added = options.get("projection_class_embeddings_input_dim", 0)
    if added:
        options |= {"addition_embed_type": "text_time", "addition_time_embed_dim": 256}
    module = meta(
        diffusers.UNet2DConditionModel, down_block_types=tuple(down), up_block_types=tuple(up), **options
    )  # fmt: skip
    arguments: dict[str, Any] = {
        "sample": empty(*network.inputs[0]), "timestep": empty(), "encoder_hidden_states": empty(*network.inputs[2])
    }  # fmt: skip
    if added:
        arguments["added_cond_kwargs"] = {"text_embeds": empty(1280), "time_ids": empty((added - 1280) // 256)}
    if options.get("time_cond_proj_dim"):
        arguments["timestep_cond"] = empty(options["time_cond_proj_dim"])
    return Call(module, arguments)


def transformer(network: Network, config: Mapping[str, Any]) -> Call:
    """Return a transformer of diffusers named by ``kind``; its arguments are those that its kind takes."""
    options = dict(config)
    kind = options.pop("kind")
    latent, tokens = network.inputs[0], network.inputs[2]
    arguments: dict[str, Any] = {"timestep": empty(), "encoder_hidden_states": empty(*tokens)}
    arguments |= _OTHERS.get(kind, lambda network, options: {})(network, options)
    arguments.setdefault("hidden_states", empty(*latent))
    module = meta(getattr(diffusers, kind), **options)
    if kind == "QwenImageTransformer2DModel":  # its tables of positions are read as numbers
        module.pos_embed = type(module.pos_embed)(theta=10000, axes_dim=[16, 56, 56], scale_rope=True)
    return Call(module, arguments)


def _packed(network: Network) -> tuple[int, Any]:
    channels, height, width = (int(n) for n in network.inputs[0])
    positions = (height // 2) * (width // 2)
    return positions, empty(positions, 4 * channels)


def _flux(network: Network, options: Mapping[str, Any]) -> dict[str, Any]:
    positions, packed = _packed(network)
    axes = 4 if "pooled_projection_dim" not in options else 3
    found = {
        "hidden_states": packed, "img_ids": empty(positions, axes)[0],
        "txt_ids": empty(network.inputs[2][0], axes)[0], "guidance": empty(),
    }  # fmt: skip
    found["guidance"] = empty() if options.get("guidance_embeds") else None
    return found | ({"pooled_projections": empty(options["pooled_projection_dim"])} if axes == 3 else {})


def _qwen(network: Network, options: Mapping[str, Any]) -> dict[str, Any]:
    _, height, width = (int(n) for n in network.inputs[0])
    return {"hidden_states": _packed(network)[1], "img_shapes": [[(1, height // 2, width // 2)]]}


def _ltx(network: Network, options: Mapping[str, Any]) -> dict[str, Any]:
    channels, frames, height, width = (int(n) for n in network.inputs[0])
    return {
        "hidden_states": empty(frames * height * width, channels), "num_frames": frames, "height": height,
        "width": width, "encoder_attention_mask": empty(network.inputs[2][0]),
    }  # fmt: skip


def _wan(network: Network, options: Mapping[str, Any]) -> dict[str, Any]:
    _, frames, height, width = (int(n) for n in network.inputs[0])
    found: dict[str, Any] = {}
    if options.get("image_dim"):
        found["encoder_hidden_states_image"] = empty(*network.inputs[3])
    if options.get("in_channels") == 48:
        found["timestep"] = empty(frames * (height // 2) * (width // 2))
    return found


_OTHERS: dict[str, Callable[[Network, Mapping[str, Any]], dict[str, Any]]] = {
    "SD3Transformer2DModel": lambda network, options: {"pooled_projections": empty(2048)},
    "FluxTransformer2DModel": _flux,
    "Flux2Transformer2DModel": _flux,
    "QwenImageTransformer2DModel": _qwen,
    "HunyuanVideoTransformer3DModel": lambda network, options: {
        "pooled_projections": empty(768), "guidance": empty(), "encoder_attention_mask": empty(network.inputs[2][0]),
    },
    "PixArtTransformer2DModel": lambda network, options: {
        "added_cond_kwargs": {"resolution": empty(2), "aspect_ratio": empty(1)}
    },
    "WanTransformer3DModel": _wan,
    "LTXVideoTransformer3DModel": _ltx,
    "CogVideoXTransformer3DModel": lambda network, options: {
        "hidden_states": empty(*(network.inputs[0][i] for i in (1, 0, 2, 3)))
    },
}  # fmt: skip


def decoder(network: Network, config: Mapping[str, Any]) -> Call:
    """Return the decoder of an autoencoder named by ``kind``."""
    options = dict(config)
    module = meta(getattr(diffusers, options.pop("kind")), **options)
    if hasattr(module, "use_framewise_decoding"):
        module.use_framewise_decoding = False
    parts = ("decoder", "post_quant_conv") if hasattr(module, "post_quant_conv") else ("decoder",)
    return Call(module, {"z": empty(*network.inputs[0])}, "decode", parts)


def text_encoder(network: Network, config: Mapping[str, Any]) -> Call:
    """Return a text encoder of transformers: ``kind`` names the module, ``config`` its configuration's class."""
    options = dict(config)
    kind, settings = options.pop("kind"), options.pop("config")
    module = meta(getattr(transformers, kind), getattr(transformers, settings)(**options))
    arguments = {"input_ids": whole(*network.inputs[0])}
    if not options.get("use_cache", True):  # a mask of four dimensions is used as it is: no numbers are read from it
        (tokens,) = network.inputs[0]
        arguments["attention_mask"] = empty(1, tokens, tokens)
    return Call(module, arguments)
