"""``kind: kernel``: what ``perfmodel kernels`` says of one row."""

from __future__ import annotations

from typing import Any

from perfmodel.reproductions.registry import kind
from perfmodel.tables.kernels import one_kernel


@kind("kernel")
def kernel(**columns: Any) -> dict[str, Any]:
    """Return the columns out of a row with these columns in: ``latency_us``, ``bound_us``, ``flops``, ``bytes`` ..."""
    return one_kernel({name: _cell(value) for name, value in columns.items()})


def _cell(value: Any) -> str:
    return f"{value:.15g}" if isinstance(value, float) else str(value)
