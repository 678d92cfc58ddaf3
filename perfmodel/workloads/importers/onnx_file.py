"""Reading an ONNX file: its graph as the onnx package parses it, without the weights, and the hash of what was read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import InputError, SpecError
from perfmodel.workloads.importers.graphs.tensors import MOST_VALUES, Malformed, checked, plain_name
from perfmodel.workloads.importers.onnx_wire import skeleton

if TYPE_CHECKING:
    from onnx import FunctionProto, GraphProto, ModelProto, TensorProto

MEND = "install it with: pip install 'perfmodel[onnx]'"


@dataclass(frozen=True)
class OnnxFile:
    """An ONNX file as read: ``opsets`` by domain, ``functions`` by (domain, name)."""

    path: Path
    graph: GraphProto
    opsets: Mapping[str, int]
    functions: Mapping[tuple[str, str], FunctionProto]
    hash: str

    def fault(self, message: str, field: str = "") -> SpecError:
        """Return the error for something wrong in the file."""
        return SpecError(message, str(self.path), field=field)


def read_onnx(path: str | Path) -> OnnxFile:
    """Return the graph of an ONNX file. External data is not opened: shapes are all that is needed.

    Errors: :class:`InputError` without the onnx package; :class:`SpecError` for anything that is no ONNX file.
    """
    try:
        from google.protobuf.message import DecodeError
        from onnx import ModelProto
    except ImportError:
        raise InputError(f"reading '{path}' needs the onnx package: {MEND}") from None
    file = Path(path).expanduser()
    raw = skeleton(file)
    model = ModelProto()
    try:
        model.ParseFromString(raw)
    except DecodeError:
        raise SpecError("is no ONNX file, or is damaged: its message cannot be read", str(file)) from None
    if not model.HasField("graph") or not model.graph.node:
        raise SpecError("holds no graph with nodes: this is no ONNX network", str(file))
    functions = {(domain_of(f.domain), f.name): f for f in model.functions}
    digest = hashlib.sha256(raw).hexdigest()[:16]
    return OnnxFile(file, model.graph, _opsets(model, file), functions, digest)


def _opsets(model: ModelProto, path: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in model.opset_import:
        if not 0 < entry.version < 2**31:
            raise SpecError(f"has version {entry.version} of the operator set '{plain_name(entry.domain)}'", str(path))
        found[domain_of(entry.domain)] = entry.version
    return found or {"": 1}


def domain_of(name: str) -> str:
    """Return a domain under the one name of its two that is used here: the standard's own is empty."""
    return "" if name == "ai.onnx" else name


def type_name(code: int) -> str:
    """Return numpy's name of an element type, "" for one that is not known."""
    from onnx import TensorProto

    name = TensorProto.DataType.Name(code) if code in TensorProto.DataType.values() else ""
    return {"FLOAT": "float32", "DOUBLE": "float64", "UNDEFINED": ""}.get(name, name.lower())


def type_code(name: str) -> int:
    """Return the code of an element type by numpy's name; that of a float for one that is not known."""
    from onnx import TensorProto

    known = {"float32": "FLOAT", "float64": "DOUBLE"}.get(name, name.upper())
    return TensorProto.DataType.Value(known) if known in TensorProto.DataType.keys() else 1  # noqa: SIM118


def shape_of(tensor: TensorProto) -> tuple[int, ...]:
    """Return a stored tensor's shape."""
    return checked(tensor.dims, f"stored tensor '{plain_name(tensor.name, 60)}'")


def small_value(tensor: TensorProto) -> Any:
    """Return a stored tensor's numbers where there are few and they are in the file, else None."""
    from onnx import TensorProto
    from onnx.numpy_helper import to_array

    shape = shape_of(tensor)
    count = 1
    for size in shape:
        count *= size
    if count > MOST_VALUES or tensor.data_location == TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING:
        return None
    if not tensor.raw_data and not any((
        tensor.float_data, tensor.int32_data, tensor.int64_data, tensor.double_data, tensor.uint64_data
    )) and count:  # fmt: skip
        return None
    try:
        found = to_array(tensor)
        return None if found.dtype.kind == "c" else found
    except (ValueError, TypeError, KeyError):
        raise Malformed(
            f"stored tensor '{plain_name(tensor.name, 60)}' does not hold the {count} numbers that its shape says"
        ) from None
