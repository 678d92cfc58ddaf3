"""A block that is one square matrix, or nothing at all."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import LinearBlock


def linear_block(rank: Rank, b: LinearBlock, count: float) -> Iterator[StepOperator]:
    """Yield the matrix, which stands for a block that a search found to matter little (Puzzle, Bercovich 2024)."""
    if b.outputs:
        yield rank.linear("linear_block", "ffn", b.outputs / rank.plan.tp, rank.model.hidden, count)
