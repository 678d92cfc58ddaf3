"""``kind: plan``: what ``perfmodel plan`` would deploy."""

from __future__ import annotations

from typing import Any

from perfmodel.reproductions.registry import kind
from perfmodel.search.report import plan_report


@kind("plan")
def planned(*, model: str, device: str, **options: Any) -> dict[str, Any]:
    """Return the report of the search: ``best`` with its rates and times, of one kind of device."""
    return plan_report(model, [device], **options)
