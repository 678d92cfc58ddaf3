"""``kind: estimate``: what ``perfmodel estimate`` says of a language model or a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.asking import estimate
from perfmodel.errors import InputError
from perfmodel.plan.words import plan_from
from perfmodel.reproductions.registry import kind
from perfmodel.serving.scenario import Pool

SUMS = ("expected_s", "bound_s", "flops", "bytes", "link_bytes", "compute_s", "memory_s", "link_s")


@kind("estimate")
def estimated(
    *, model: str, device: str, prefill: Mapping[str, Any] | None = None, decode: Mapping[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:  # fmt: skip
    """Return the report of an estimate; ``by_kind``, ``by_part`` and ``by_phase`` sum its operators.

    ``prefill`` and ``decode`` are pools: their ``workers``, and the fields of the plan of one.
    """
    pools = {f"{name}_pool": pool_of(stated) for name, stated in (("prefill", prefill), ("decode", decode)) if stated}
    report = estimate(model, device, **options, **pools, **({"mode": "disagg"} if pools else {})).report()
    by_kind: dict[str, dict[str, float]] = {}
    by_phase: dict[str, dict[str, float]] = {}
    by_part: dict[str, dict[str, float]] = {}
    for row in report["operators"]:
        for sums, key in ((by_kind, row["kind"]), (by_phase, row["phase"]), (by_part, row["part"])):
            total = sums.setdefault(key, dict.fromkeys((*SUMS, "kernels"), 0.0))
            for name in SUMS:
                total[name] += float(row.get(name) or 0.0)
            total["kernels"] += float(row.get("repeat") or 0.0)
    return {**report, "by_kind": by_kind, "by_phase": by_phase, "by_part": by_part}


def pool_of(stated: Mapping[str, Any]) -> Pool:
    """Return a pool of ``workers`` that each follow the plan of the other fields."""
    fields = dict(stated)
    workers = fields.pop("workers", 1)
    if not isinstance(workers, int) or workers < 1:
        raise InputError(f"workers of a pool must be a whole number, not {workers!r}")
    return Pool(workers, plan_from(fields))
