"""How ONNX operators become nodes of a network, one file a subject; importing this package enters them all."""

from perfmodel.workloads.importers.onnx_ops import (
    attention,
    control,
    convolutions,
    elementwise,
    indexing,
    moves,
    norms,
    pools,
    products,
    quantised,
    recurrent,
)
from perfmodel.workloads.importers.onnx_ops.call import LOWERINGS, Call

__all__ = [
    "LOWERINGS",
    "Call",
    "attention",
    "control",
    "convolutions",
    "elementwise",
    "indexing",
    "moves",
    "norms",
    "pools",
    "products",
    "quantised",
    "recurrent",
]
