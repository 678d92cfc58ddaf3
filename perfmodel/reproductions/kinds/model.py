"""``kind: model``: what ``perfmodel model show`` counts of a language model."""

from __future__ import annotations

from typing import Any

from perfmodel.reproductions.registry import kind
from perfmodel.workloads import parameters as p
from perfmodel.workloads.library import load_model


@kind("model")
def model(*, model: str) -> dict[str, Any]:
    """Return parameters, active ones a token, bytes of weights, and bytes of the cache a token."""
    found = load_model(model)
    return {
        "parameters": p.parameters(found), "active_parameters_per_token": p.active_parameters_per_token(found),
        "kv_bytes_per_token": p.kv_bytes_per_token(found), "weights_bytes": p.weights_bytes(found),
        "state_bytes_per_sequence": p.state_bytes_per_sequence(found), "hidden": found.hidden,
        "layers": found.layer_count, "vocabulary": found.vocabulary,
    }  # fmt: skip
