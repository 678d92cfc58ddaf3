"""Whole generators of images and videos: text encoders, a denoiser that runs once a step, a decoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perfmodel.errors import SpecError
from perfmodel.workloads.network import Network, NetworkPipeline, Stage
from perfmodel.workloads.networks.library import built, family_fields, find_variant, load_network
from perfmodel.workloads.networks.registry import FAMILIES, family

Part = str | Mapping[str, Any]
"""A network of the library, or a mapping of its name under ``network`` and of fields that are other than its own."""


@family("diffusion")
def diffusion(
    name: str,
    denoiser: Part,
    *,
    decoder: Part = "",
    encoders: Sequence[Part] = (),
    steps: int = 50,
    guidance: bool = True,
    refiner: Part = "",
    refiner_share: float = 0.2,
    height: int = 1024,
    width: int = 1024,
    frames: int = 0,
    text_tokens: int = 77,
    more_text_tokens: int = 0,
    tile: Sequence[int] = (),
    tile_stride: Sequence[int] = (),
) -> NetworkPipeline:
    """Return what makes one image (or video of ``frames``) of ``height`` by ``width`` pixels from a prompt.

    ``encoders`` run once, the ``denoiser`` ``steps`` times, the ``decoder`` once. ``guidance`` without a classifier:
    the denoiser sees two copies, with and without the prompt, and two prompts are encoded (models whose guidance is
    distilled or that need none: false). The ``refiner`` takes over the last ``refiner_share`` of the steps.
    ``text_tokens`` are what the encoders read (CLIP always its own 77) and, with ``more_text_tokens``, what the
    denoiser sees; an encoder's ``more_tokens`` are those of a template around the prompt. ``tile`` and ``tile_stride``
    of (frames, height, width): the decoder works on overlapping tiles. Source: Ho and Salimans 2022 (arXiv 2207.12598),
    algorithm 2; diffusers' pipelines. Omits tokenizers, safety checkers and the arithmetic of samplers.
    """
    copies = 2.0 if guidance else 1.0
    sizes = {"height": height, "width": width} | ({"frames": frames} if frames else {})
    stages = [Stage(_encoder(part, text_tokens), 1.0, copies) for part in encoders]
    seen = {**sizes, "text_tokens": text_tokens + more_text_tokens}
    late = steps * refiner_share if refiner else 0.0
    stages.append(Stage(_part(denoiser, seen), steps - late, copies))
    if refiner:
        stages.append(Stage(_part(refiner, seen), late, copies))
    if decoder:
        stages.append(_decoder(decoder, sizes, tile, tile_stride))
    return NetworkPipeline(name, "diffusion", tuple(stages), "video" if frames else "image")


def _part(part: Part, fields: Mapping[str, Any]) -> Network:
    """Return a network of the library with those of ``fields`` that its family has and the part does not state."""
    stated = {} if isinstance(part, str) else dict(part)
    name = part if isinstance(part, str) else str(stated.pop("network", ""))
    variant = find_variant(name)
    if variant is None:
        network = load_network(name)  # says which names are near
    else:
        known = family_fields(FAMILIES[variant.family])
        network = built(variant, {k: v for k, v in fields.items() if k in known} | stated)
    if not isinstance(network, Network):
        raise SpecError(f"'{name}' is a pipeline; a part of one is a network")
    return network


def _encoder(part: Part, text_tokens: int) -> Network:
    stated = {"network": part} if isinstance(part, str) else dict(part)
    tokens = text_tokens + int(stated.pop("more_tokens", 0))
    variant = find_variant(str(stated.get("network", "")))
    fixed = variant is not None and variant.family == "clip_text"
    return _part(stated, {} if fixed else {"text_tokens": tokens})


def _decoder(part: Part, sizes: Mapping[str, int], tile: Sequence[int], stride: Sequence[int]) -> Stage:
    """Return the decoder's stage: the whole latent at once, or as many tiles as cover it and their overlaps."""
    if not tile:
        return Stage(_part(part, sizes))
    steps = stride or tile
    sides = (sizes.get("frames", 1), sizes["height"], sizes["width"])
    cut = tuple(min(t, n) for t, n in zip(tile, sides, strict=True))
    repeat = 1.0
    for size, side, step in zip(cut, sides, steps, strict=True):
        repeat *= sum(min(size, side - start) for start in range(0, side, step if size < side else side)) / size
    frames = {"frames": cut[0]} if "frames" in sizes else {}
    return Stage(_part(part, {"height": cut[1], "width": cut[2], **frames}), repeat)
