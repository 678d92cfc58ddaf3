"""perfmodel: how fast, how big, how much energy and money a neural network costs on a machine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from perfmodel.api import Estimate
    from perfmodel.asking import estimate, sweep
    from perfmodel.comparison import Comparison, compare
    from perfmodel.devices import load_device
    from perfmodel.errors import PerfmodelError
    from perfmodel.network_api import NetworkEstimate, estimate_network
    from perfmodel.sweeps import Sweep
    from perfmodel.workloads.kinds import load_model
    from perfmodel.workloads.networks.library import load_network

_WHERE = {
    "Comparison": "perfmodel.comparison",
    "Estimate": "perfmodel.api",
    "NetworkEstimate": "perfmodel.network_api",
    "PerfmodelError": "perfmodel.errors",
    "Sweep": "perfmodel.sweeps",
    "compare": "perfmodel.comparison",
    "estimate": "perfmodel.asking",
    "estimate_network": "perfmodel.network_api",
    "load_device": "perfmodel.devices",
    "load_model": "perfmodel.workloads.kinds",
    "load_network": "perfmodel.workloads.networks.library",
    "sweep": "perfmodel.asking",
}
__all__ = [
    "Comparison",
    "Estimate",
    "NetworkEstimate",
    "PerfmodelError",
    "Sweep",
    "__version__",
    "compare",
    "estimate",
    "estimate_network",
    "load_device",
    "load_model",
    "load_network",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: a bare import of perfmodel costs nothing."""
    if name not in _WHERE:
        raise AttributeError(f"module 'perfmodel' has no attribute '{name}'")
    return getattr(import_module(_WHERE[name]), name)
