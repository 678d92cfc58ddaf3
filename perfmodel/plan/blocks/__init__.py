"""The blocks of a layer as operators of one device: one file a kind of attention or feed-forward network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from perfmodel.plan.blocks.compressed import compressed_attention
from perfmodel.plan.blocks.dense import dense_ffn
from perfmodel.plan.blocks.experts import experts_ffn
from perfmodel.plan.blocks.grouped_query import grouped_query_attention
from perfmodel.plan.blocks.latent import latent_attention
from perfmodel.plan.blocks.linear import linear_block
from perfmodel.plan.blocks.memory import memory_ffn
from perfmodel.plan.blocks.recurrent import recurrent_mixer
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import (
    CompressedAttention,
    DenseFfn,
    GroupedQueryAttention,
    LatentAttention,
    LinearBlock,
    MemoryFfn,
    MoeFfn,
    RecurrentMixer,
)

Block = Callable[[Rank, Any, float], Iterator[StepOperator]]
"""(device, the block's part of the model, layers) -> operators."""

MIXERS: dict[type, Block] = {
    GroupedQueryAttention: grouped_query_attention,
    LatentAttention: latent_attention,
    CompressedAttention: compressed_attention,
    RecurrentMixer: recurrent_mixer,
    LinearBlock: linear_block,
}
FFNS: dict[type, Block] = {
    DenseFfn: dense_ffn,
    MoeFfn: experts_ffn,
    LinearBlock: linear_block,
    MemoryFfn: memory_ffn,
}
