"""The views of an estimate's page, in order."""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.reports.ops_table import of_network
from perfmodel.reports.text import Report
from perfmodel.reports.views.blocks import blocks_view
from perfmodel.reports.views.breakdown import breakdown_view
from perfmodel.reports.views.energy_flow import energy_view
from perfmodel.reports.views.gap import gap_view
from perfmodel.reports.views.growth import growth_view
from perfmodel.reports.views.memory import memory_view
from perfmodel.reports.views.roofline import roofline_view
from perfmodel.reports.views.tiers import tiers_view
from perfmodel.reports.views.timeline import timeline_view
from perfmodel.reports.views.utilisation import utilisation_view
from perfmodel.reports.views.view import View

ESTIMATE_VIEWS: tuple[Callable[[Report], View], ...] = (
    roofline_view, tiers_view, breakdown_view, gap_view, timeline_view, memory_view, growth_view, energy_view,
    utilisation_view,
)  # fmt: skip
"""What an estimate's page shows below the answer."""

NETWORK_VIEWS: tuple[Callable[[Report], View], ...] = (
    roofline_view, blocks_view, breakdown_view, gap_view, memory_view,
)  # fmt: skip
"""The same for networks, which have blocks."""


def views_of(report: Report) -> list[View]:
    """Return the views of an estimate's page."""
    return [make(report) for make in (NETWORK_VIEWS if of_network(report) else ESTIMATE_VIEWS)]


__all__ = ["ESTIMATE_VIEWS", "NETWORK_VIEWS", "views_of"]
