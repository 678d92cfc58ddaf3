"""The blocks of a layer as operators of one device: one file a kind of attention or feed-forward network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from perfmodel.plan.blocks.dense import dense_ffn
from perfmodel.plan.blocks.experts import experts_ffn
from perfmodel.plan.blocks.grouped_query import grouped_query_attention
from perfmodel.plan.blocks.latent import latent_attention
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LatentAttention, MoeFfn

Block = Callable[[Rank, Any, float], Iterator[StepOperator]]
"""(device, the block's part of the model, layers) -> operators."""

MIXERS: dict[type, Block] = {
    GroupedQueryAttention: grouped_query_attention,
    LatentAttention: latent_attention,
}
FFNS: dict[type, Block] = {DenseFfn: dense_ffn, MoeFfn: experts_ffn}
