"""From the words of the command line to a network's estimate: what the commands share that take a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perfmodel.cli.question import changes, real
from perfmodel.errors import InputError


def ask(
    model: str, device: str, *, batch: str = "1", image: str = "", precision: str = "", layers: str = "",
    fusion: str = "", sparsity: str = "", engine: str = "", dp: str = "1", change: Sequence[str] | None = None,
    power_limit: str = "", price_kind: str = "cloud_hour", usd_per_hour: str = "", usd_per_kwh: str = "",
) -> Any:  # fmt: skip
    """Return the estimate (:class:`perfmodel.network_api.NetworkEstimate`) that the words ask for."""
    from perfmodel.network_api import estimate_network

    return estimate_network(
        model, device, batch=batch, image=image or None, precision=precision, layers=layer_precisions(layers),
        fusion=fusion, sparsity=sparsity or "dense", engine=engine, dp=dp, changes=changes(change),
        power_limit_w=real("--power-limit", power_limit), price_kind=price_kind,
        usd_per_device_hour=real("--usd-per-hour", usd_per_hour), usd_per_kwh=real("--usd-per-kwh", usd_per_kwh),
    )  # fmt: skip


def layer_precisions(text: str) -> list[tuple[str, str]]:
    """Return the pairs of ``--layers fc=float16,layer1.*=int8``, in their order."""
    found: list[tuple[str, str]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        pattern, equals, precision = (piece.strip() for piece in part.rpartition("="))
        if not equals or not pattern or not precision:
            raise InputError(f"--layers: '{part}' is not PATTERN=PRECISION, such as layer1.*=int8")
        found.append((pattern, precision))
    return found
