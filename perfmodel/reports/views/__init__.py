"""The views of an estimate's page, in order; a view is one file with one function from a report to a :class:`View`."""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.reports.text import Report
from perfmodel.reports.views.breakdown import breakdown_view
from perfmodel.reports.views.memory import memory_view
from perfmodel.reports.views.roofline import roofline_view
from perfmodel.reports.views.view import View

ESTIMATE_VIEWS: tuple[Callable[[Report], View], ...] = (roofline_view, breakdown_view, memory_view)
"""What an estimate's page shows below the answer."""

__all__ = ["ESTIMATE_VIEWS", "View", "breakdown_view", "memory_view", "roofline_view"]
