"""Shapes of operators that have no lowering: what the onnx package infers for one node, or the file declares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.workloads.importers.graphs.tensors import Shape, Tensor, checked
from perfmodel.workloads.importers.onnx_file import domain_of, type_code

if TYPE_CHECKING:
    from onnx import NodeProto

_NOT_ASKED = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def inferred(node: NodeProto, inputs: Sequence[Tensor | None], opsets: Mapping[str, int]) -> list[Shape | None]:
    """Return the shapes of a node's outputs as the onnx package's own rule for its kind gives them; None: unknown."""
    from onnx import defs, shape_inference

    nothing: list[Shape | None] = [None] * len(node.output)
    domain = domain_of(node.domain)
    if node.op_type in _NOT_ASKED or domain not in opsets:
        return nothing
    try:
        schema = defs.get_schema(node.op_type, opsets[domain], domain)
        types, data = _facts(node, inputs)
        found = shape_inference.infer_node_outputs(schema, node, types, data)
    except Exception:  # noqa: BLE001 - the onnx package raises errors of several kinds of its own
        return nothing
    return [_static(found.get(name)) for name in node.output]


def _facts(node: NodeProto, inputs: Sequence[Tensor | None]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the types of a node's inputs, and the values of the small ones."""
    from onnx import helper, numpy_helper

    types: dict[str, Any] = {}
    data: dict[str, Any] = {}
    for name, tensor in zip(node.input, inputs, strict=True):
        if tensor is None:
            continue
        types[name] = helper.make_tensor_type_proto(type_code(tensor.dtype), tensor.shape)
        if tensor.value is not None and tensor.dtype in ("int64", "int32", "float32", "bool"):
            data[name] = numpy_helper.from_array(tensor.value.astype(tensor.dtype), name)
    return types, data


def _static(found: Any) -> Shape | None:
    if found is None or found.WhichOneof("value") != "tensor_type" or not found.tensor_type.HasField("shape"):
        return None
    dims = found.tensor_type.shape.dim
    return checked([dim.dim_value for dim in dims]) if all(dim.HasField("dim_value") for dim in dims) else None
