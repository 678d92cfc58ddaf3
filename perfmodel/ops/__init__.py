"""Operators: shapes in, typed counts out. One file per operator family; importing this package registers them all."""

from perfmodel.ops.attention import AttentionDecode, AttentionPrefill, MlaDecode, MlaPrefill
from perfmodel.ops.base import OPERATORS, Operator, register
from perfmodel.ops.collectives import (
    AllGather,
    AllReduce,
    AllToAll,
    Collective,
    ExpertExchange,
    ReduceScatter,
    SendRecv,
)
from perfmodel.ops.conv import Conv, DeformableConv, TransposedConv
from perfmodel.ops.elementwise import (
    Activation,
    Add,
    AddRmsNorm,
    BatchNorm,
    Copy,
    Embedding,
    GatedActivation,
    GroupNorm,
    LayerNorm,
    Multiply,
    Quantise,
    RmsNorm,
    Rope,
    Scale,
    Softmax,
)
from perfmodel.ops.fused import Fused
from perfmodel.ops.linear import Linear
from perfmodel.ops.lora import LoraPair
from perfmodel.ops.moe import Experts
from perfmodel.ops.products import BatchedMatmul, EmbeddingBag
from perfmodel.ops.recurrence import CausalConv, ScanDecode, ScanPrefill
from perfmodel.ops.resample import Pool, Resize
from perfmodel.ops.routing import Routing, parse_routing
from perfmodel.ops.sparse import (
    CompressedCore,
    CompressedCoreDecode,
    IndexScores,
    SparseLatent,
    SparseLatentDecode,
)

__all__ = [
    "OPERATORS",
    "Activation",
    "Add",
    "AddRmsNorm",
    "AllGather",
    "AllReduce",
    "AllToAll",
    "AttentionDecode",
    "AttentionPrefill",
    "BatchNorm",
    "BatchedMatmul",
    "CausalConv",
    "Collective",
    "CompressedCore",
    "CompressedCoreDecode",
    "Conv",
    "Copy",
    "DeformableConv",
    "Embedding",
    "EmbeddingBag",
    "ExpertExchange",
    "Experts",
    "Fused",
    "GatedActivation",
    "GroupNorm",
    "IndexScores",
    "LayerNorm",
    "Linear",
    "LoraPair",
    "MlaDecode",
    "MlaPrefill",
    "Multiply",
    "Operator",
    "Pool",
    "Quantise",
    "ReduceScatter",
    "Resize",
    "RmsNorm",
    "Rope",
    "Routing",
    "Scale",
    "ScanDecode",
    "ScanPrefill",
    "SendRecv",
    "Softmax",
    "SparseLatent",
    "SparseLatentDecode",
    "TransposedConv",
    "parse_routing",
    "register",
]
