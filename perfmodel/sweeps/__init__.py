"""Grids of answers: every combination of plans, batches and lengths."""

from perfmodel.sweeps.grid import Sweep, sweep

__all__ = ["Sweep", "sweep"]
