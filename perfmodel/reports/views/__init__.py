"""The views of an estimate's page, in order; a view is one file with one function from a report to a :class:`View`."""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.reports.ops_table import of_network
from perfmodel.reports.text import Report
from perfmodel.reports.views.blocks import blocks_view
from perfmodel.reports.views.breakdown import breakdown_view
from perfmodel.reports.views.memory import memory_view
from perfmodel.reports.views.roofline import roofline_view
from perfmodel.reports.views.view import View

ESTIMATE_VIEWS: tuple[Callable[[Report], View], ...] = (roofline_view, breakdown_view, memory_view)
"""What an estimate's page shows below the answer."""

NETWORK_VIEWS: tuple[Callable[[Report], View], ...] = (roofline_view, blocks_view, breakdown_view, memory_view)
"""The same for networks, which have blocks."""


def views_of(report: Report) -> list[View]:
    """Return the views of an estimate's page."""
    return [make(report) for make in (NETWORK_VIEWS if of_network(report) else ESTIMATE_VIEWS)]


__all__ = [
    "ESTIMATE_VIEWS", "NETWORK_VIEWS", "View", "blocks_view", "breakdown_view", "memory_view", "roofline_view",
    "views_of",
]  # fmt: skip
