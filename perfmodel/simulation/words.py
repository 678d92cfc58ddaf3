"""From the words of a command or of a file to what replicas have beside their devices."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

from perfmodel.arguments import positive, share, whole
from perfmodel.devices import Device
from perfmodel.errors import InputError, did_you_mean
from perfmodel.serving.scenario import Setup
from perfmodel.simulation.equipment import Equipment
from perfmodel.simulation.prefixes import CacheTier
from perfmodel.simulation.requests import Asked
from perfmodel.units import stated_quantity
from perfmodel.workloads.exits import with_exit
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import LanguageModel, Lora

TARGETS = ("attention", "all")
LINK_EFFICIENCY = 0.8
"""Share of a host link's raw rate that pinned copies reach (assumed, as ``perfmodel offload`` does)."""
HOST_LATENCY_S, FLASH_LATENCY_S = 10e-6, 100e-6
"""Latency of one load from host memory and from flash (assumed, as ``perfmodel offload`` does)."""


def equipment_from(
    device: Device, *, host: str = "", flash: str = "", link: str = "", link_efficiency: Any = LINK_EFFICIENCY,
    compress: Any = 1.0, adapters: Any = 0, lora_rank: Any = 16, lora_targets: str = "attention",
    draft: Setup | None = None, draft_tokens: Any = 0, acceptance: Any = 0.8, acceptance_spread: Any = 0.0,
    block: Any = 0, passes: Any = 0, seed: Any = 0,
) -> Equipment:  # fmt: skip
    """Return the equipment that words state: sizes such as ``256GB``, perhaps with their rate, ``2TB@7GB/s``.

    ``link`` is what a device receives from its host (its own host link, if empty). Errors: :class:`InputError`.
    """
    efficiency = share("link_efficiency", link_efficiency)
    if not efficiency:
        raise InputError("link_efficiency must be above 0")
    rate = stated_quantity("link", link, "bytes_per_s", "32GB/s") if link else _host_rate(device)
    tiers = _tiers(host, flash, efficiency, positive("compress", compress) or 1.0)
    if tiers and rate is None:
        raise InputError(f"{device.name} states no link to a host; give link, such as 32GB/s")
    drafts = whole("draft_tokens", draft_tokens or 0, least=0)
    if draft is not None and not drafts:
        raise InputError("a model that drafts needs to be told how many tokens a step: draft_tokens, such as 4")
    return Equipment(
        link_bytes_per_s=None if rate is None else rate * efficiency,
        swap_bytes=tiers[0].capacity_bytes if host else inf,
        tiers=tiers,
        lora=_lora(adapters, lora_rank, lora_targets),
        draft=draft,
        draft_tokens=drafts if draft is not None else 0,
        acceptance=share("acceptance", acceptance),
        acceptance_spread=share("acceptance_spread", acceptance_spread or 0.0),
        block=_block(block, passes),
        seed=whole("seed", seed, least=0),
    )


def exiting(model: str | Path | LanguageModel, words: str) -> str | Path | LanguageModel:
    """Return the model, or with words such as ``16=0.4`` the one whose tokens leave early. Errors: InputError."""
    if not words:
        return model
    layer, equals, leaving = words.partition("=")
    if not equals:
        raise InputError(f"an exit is LAYER=SHARE, such as 16=0.4, not '{words}'")
    whole_model = model if isinstance(model, LanguageModel) else load_model(str(model))
    return with_exit(whole_model, whole("exit layer", layer), share("exit share", leaving))


def asked_from(documents: Any = 0, adapters: Any = 0, zipf: Any = 1.0) -> Asked:
    """Return what requests ask for beside tokens. Errors: :class:`InputError`."""
    return Asked(
        whole("documents", documents or 0, least=0), whole("adapters", adapters or 0, least=0), positive("zipf", zipf)
    )


def _lora(adapters: Any, rank: Any, targets: str) -> Lora | None:
    if not whole("adapters", adapters or 0, least=0):
        return None
    if targets not in TARGETS:
        raise InputError(
            f"unknown lora_targets '{targets}'{did_you_mean(targets, TARGETS)} (one of {', '.join(TARGETS)})"
        )
    return Lora(whole("lora_rank", rank), targets=targets)


def _block(block: Any, passes: Any) -> tuple[int, int] | None:
    size = whole("block", block or 0, least=0)
    if not size:
        return None
    return size, whole("passes", passes or max(size // 2, 1))


def _host_rate(device: Device) -> float | None:
    found = device.link("host")
    return None if found is None else found.bandwidth_bytes_per_s


def _tiers(host: str, flash: str, efficiency: float, compression: float) -> tuple[CacheTier, ...]:
    found: list[CacheTier] = []
    for name, text, latency in (("host", host, HOST_LATENCY_S), ("flash", flash, FLASH_LATENCY_S)):
        if not text:
            continue
        size, at, rate = text.partition("@")
        if name == "flash" and not at:
            raise InputError("flash needs its rate: SIZE@RATE, such as 2TB@7GB/s")
        speed = stated_quantity(name, rate, "bytes_per_s", "7GB/s") * efficiency if at else inf
        found.append(CacheTier(name, stated_quantity(name, size, "bytes", "256GB"), speed, latency, compression))
    return tuple(found)
