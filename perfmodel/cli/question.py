"""From the words of the command line to the arguments of :func:`perfmodel.estimate`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.errors import InputError

_POOL_COUNTS = ("workers", "tp", "attention_dp", "moe_tp", "ep")


def options(
    *, precision: str = "", moe_precision: str = "", kv: str = "", phase: str = "serve", static: bool = False,
    engine: str = "", mode: str = "", routing: str = "uniform",
) -> dict[str, Any]:  # fmt: skip
    """Return the options of a question; an empty precision is the checkpoint's."""
    return {
        "precision": precision or None,
        "moe_precision": moe_precision or None,
        "kv_precision": kv or None,
        "phase": phase,
        "static": static,
        "engine": engine,
        "mode": mode or "agg",
        "routing": routing,
    }


def pools(mode: str, words: Mapping[str, str]) -> dict[str, Any]:
    """Return mode and pools from words such as ``{"prefill_workers": "2", "decode_tp": "4"}``; empty ones are unset.

    A pool implies mode disagg; a count of a pool that is not stated is 1.
    """
    stated = {name: text for name, text in words.items() if text}
    if not stated:
        return {}
    if mode not in ("", "disagg"):
        raise InputError(f"--{next(iter(stated)).replace('_', '-')} needs --mode disagg")
    return {"mode": "disagg", "prefill_pool": _pool("prefill", stated), "decode_pool": _pool("decode", stated)}


def _pool(name: str, words: Mapping[str, str]) -> Any:
    from perfmodel.arguments import whole
    from perfmodel.plan.parallelism import Plan
    from perfmodel.serving.scenario import Pool

    count = {
        what: whole(f"--{name}-{what.replace('_', '-')}", words.get(f"{name}_{what}") or 1) for what in _POOL_COUNTS
    }
    moe_tp = count["moe_tp"] if f"{name}_moe_tp" in words else None
    return Pool(
        count["workers"], Plan(tp=count["tp"], attention_dp=count["attention_dp"], ep=count["ep"], moe_tp=moe_tp)
    )
