"""Grids of answers: every combination of plans, batches and lengths; of networks, of sizes and precisions."""

from perfmodel.sweeps.grid import Sweep, sweep
from perfmodel.sweeps.networks import sweep_network

__all__ = ["Sweep", "sweep", "sweep_network"]
