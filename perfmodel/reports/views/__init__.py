"""The views of reports; a view is one file with one function from a report to a :class:`View`.

Names are imported when they are first used: drawings need the style of this package, and views need drawings.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perfmodel.reports.views.blocks import blocks_view as blocks_view
    from perfmodel.reports.views.breakdown import breakdown_view as breakdown_view
    from perfmodel.reports.views.energy_flow import energy_view as energy_view
    from perfmodel.reports.views.every import ESTIMATE_VIEWS as ESTIMATE_VIEWS
    from perfmodel.reports.views.every import NETWORK_VIEWS as NETWORK_VIEWS
    from perfmodel.reports.views.every import views_of as views_of
    from perfmodel.reports.views.gap import gap_view as gap_view
    from perfmodel.reports.views.growth import growth_view as growth_view
    from perfmodel.reports.views.memory import memory_view as memory_view
    from perfmodel.reports.views.roofline import roofline_view as roofline_view
    from perfmodel.reports.views.tiers import tiers_view as tiers_view
    from perfmodel.reports.views.timeline import timeline_view as timeline_view
    from perfmodel.reports.views.utilisation import utilisation_view as utilisation_view
    from perfmodel.reports.views.view import View as View

_WHERE = {
    "ESTIMATE_VIEWS": "every",
    "NETWORK_VIEWS": "every",
    "View": "view",
    "blocks_view": "blocks",
    "breakdown_view": "breakdown",
    "energy_view": "energy_flow",
    "gap_view": "gap",
    "growth_view": "growth",
    "memory_view": "memory",
    "roofline_view": "roofline",
    "tiers_view": "tiers",
    "timeline_view": "timeline",
    "utilisation_view": "utilisation",
    "views_of": "every",
}
__all__ = [
    "ESTIMATE_VIEWS",
    "NETWORK_VIEWS",
    "View",
    "blocks_view",
    "breakdown_view",
    "energy_view",
    "gap_view",
    "growth_view",
    "memory_view",
    "roofline_view",
    "tiers_view",
    "timeline_view",
    "utilisation_view",
    "views_of",
]


def __getattr__(name: str) -> Any:
    """Import a view when it is first used."""
    if name not in _WHERE:
        raise AttributeError(f"module 'perfmodel.reports.views' has no attribute '{name}'")
    return getattr(import_module(f"perfmodel.reports.views.{_WHERE[name]}"), name)
