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
from perfmodel.ops.elementwise import (
    Activation,
    Add,
    AddRmsNorm,
    Embedding,
    GatedActivation,
    LayerNorm,
    Quantise,
    RmsNorm,
    Rope,
    Softmax,
)
from perfmodel.ops.linear import Linear
from perfmodel.ops.lora import LoraPair
from perfmodel.ops.moe import Experts
from perfmodel.ops.recurrence import CausalConv, ScanDecode, ScanPrefill
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
    "CausalConv",
    "Collective",
    "CompressedCore",
    "CompressedCoreDecode",
    "Embedding",
    "ExpertExchange",
    "Experts",
    "GatedActivation",
    "IndexScores",
    "LayerNorm",
    "Linear",
    "LoraPair",
    "MlaDecode",
    "MlaPrefill",
    "Operator",
    "Quantise",
    "ReduceScatter",
    "RmsNorm",
    "Rope",
    "Routing",
    "ScanDecode",
    "ScanPrefill",
    "SendRecv",
    "Softmax",
    "SparseLatent",
    "SparseLatentDecode",
    "parse_routing",
    "register",
]
