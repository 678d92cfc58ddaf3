"""Model families: files that read the configs of the model types they register, imported when one is asked for.

``homes.py`` says which file reads which type; a new family is a file and a line there.
"""

from __future__ import annotations

from perfmodel.workloads.families.registry import ADAPTERS, Adapter, Layer, Skeleton

__all__ = ["ADAPTERS", "Adapter", "Layer", "Skeleton"]
