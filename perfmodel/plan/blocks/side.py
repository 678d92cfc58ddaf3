"""An input of each layer's own: per-layer embeddings, gated by the residual and projected into it (Gemma 3n and 4)."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator


def side_input(rank: Rank, width: int, count: float) -> Iterator[StepOperator]:
    """Yield a layer's gather from its own table, the gate and the projection of ``width`` to the residual."""
    if width:
        hidden = rank.model.hidden
        yield StepOperator("side_embedding", "ffn", ops.Embedding(rank.tokens, width), count)
        yield rank.linear("side_model_proj", "ffn", width, hidden, count)
        yield rank.linear("side_gate_proj", "ffn", width, hidden, count)
        yield StepOperator("side_activation", "ffn", ops.GatedActivation(rank.tokens, width), count)
        yield rank.linear("side_proj", "ffn", hidden, width, count)
