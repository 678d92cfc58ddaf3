"""``kind: cascade``: what ``perfmodel traffic cascade`` says of the passes of a cascade of Einsums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.cost.tiling.cascade import CASCADES, parse_cascade, passes_over
from perfmodel.errors import InputError, did_you_mean
from perfmodel.formats import find_format
from perfmodel.reproductions.registry import kind


@kind("cascade")
def cascade(
    *, cascade: str, over: str, extent: Mapping[str, int], tile: int = 1, dtype: str = "float16"
) -> dict[str, Any]:
    """Return passes over a rank, bytes of buffer so that all moves once, and bytes moved again without it."""
    if cascade not in CASCADES:
        raise InputError(f"no cascade '{cascade}'{did_you_mean(cascade, CASCADES)} (known: {', '.join(CASCADES)})")
    found = passes_over(parse_cascade(CASCADES[cascade]), over, dict(extent), tile)
    each = find_format(dtype).activation.bytes_per_element
    return {"passes": found.passes, "buffer_bytes": found.buffer_words * each,
            "refetched_bytes": found.refetched_words * each}  # fmt: skip
