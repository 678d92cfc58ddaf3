"""The names that the nodes of a graph see, and the tensors that its file stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from perfmodel.workloads.importers.graphs.tensors import AnyTensor, Malformed, Tensor, checked
from perfmodel.workloads.importers.graphs.writer import Writer
from perfmodel.workloads.importers.onnx_file import shape_of, small_value, type_name

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, NodeProto, TensorProto, TypeProto

_DEEPEST = 32
_NUMBERS = {"value_int": "i", "value_ints": "ints", "value_float": "f", "value_floats": "floats"}


@dataclass
class Scope:
    """The tensors so far by name, those that are stored and not yet read, and what the file declares of others.

    ``outer`` is the scope around a branch's, ``attributes`` those of the function that is being gone through.
    """

    prefix: str = ""
    outer: Scope | None = None
    tensors: dict[str, AnyTensor] = field(default_factory=dict[str, "AnyTensor"])
    stored: dict[str, TensorProto] = field(default_factory=dict[str, "TensorProto"])
    declared: dict[str, TypeProto] = field(default_factory=dict[str, "TypeProto"])
    attributes: Mapping[str, AttributeProto] = field(default_factory=dict[str, "AttributeProto"])
    opsets: Mapping[str, int] = field(default_factory=dict[str, int])
    depth: int = 0

    def holder(self, name: str) -> Scope | None:
        """Return the scope that knows a name."""
        scope: Scope | None = self
        while scope is not None and name not in scope.tensors and name not in scope.stored:
            scope = scope.outer
        return scope

    def inside(self, node: NodeProto, **fields: Any) -> Scope:
        """Return the scope of a function's body or a branch."""
        if self.depth >= _DEEPEST:
            raise Malformed(f"functions and branches are nested deeper than {_DEEPEST}: one calls itself")
        name = node.name or next(iter(node.output), "")
        return Scope(f"{self.prefix}{name}/", depth=self.depth + 1, **fields)

    def fill(self, graph: GraphProto, write: Writer) -> None:
        """Take in what a graph stores and declares."""
        for tensor in graph.initializer:
            if tensor.name in self.stored:
                raise Malformed(f"is stored twice: '{tensor.name[:60]!r}'")
            self.stored[tensor.name] = tensor
        for sparse in graph.sparse_initializer:
            name = sparse.values.name
            self.tensors[name] = write.stored(self.prefix + name, checked(sparse.dims), "float32")
        for value in (*graph.value_info, *graph.output):
            self.declared[value.name] = value.type

    def get(self, name: str, write: Writer) -> AnyTensor | None:
        """Return the tensor of a name, None if there is none."""
        holder = self.holder(name)
        if holder is None:
            return None
        if name not in holder.tensors:
            holder.tensors[name] = stored_tensor(holder.stored[name], holder.prefix + name, write)
        return holder.tensors[name]

    def of_node(self, node: NodeProto) -> dict[str, AttributeProto]:
        """Return a node's attributes; one that refers to the function's stands for that."""
        found: dict[str, AttributeProto] = {}
        for attribute in node.attribute:
            if not attribute.ref_attr_name:
                found[attribute.name] = attribute
            elif attribute.ref_attr_name in self.attributes:
                found[attribute.name] = self.attributes[attribute.ref_attr_name]
        return found


def stored_tensor(proto: TensorProto, name: str, write: Writer) -> Tensor:
    """Return a tensor that a file stores, with its values if they are few."""
    shape, dtype = shape_of(proto), type_name(proto.data_type) or "float32"
    tensor = write.stored(name, shape, dtype)
    return Tensor(shape, None, small_value(proto), tensor.weights, dtype)


def constant(attributes: Mapping[str, AttributeProto], name: str, write: Writer) -> Tensor:
    """Return the tensor of a Constant node."""
    import numpy as np

    if "value" in attributes:
        return stored_tensor(attributes["value"].t, name, write)
    for key, kind in _NUMBERS.items():
        if key in attributes:
            dtype = "int64" if "int" in key else "float32"
            value = np.array(getattr(attributes[key], kind), dtype=dtype)
            return Tensor(checked(value.shape), None, value, frozenset(), dtype)
    if "sparse_value" in attributes:
        return write.stored(name, checked(attributes["sparse_value"].sparse_tensor.dims), "float32")
    return Tensor((), dtype="object")  # a text


def filled(attributes: Mapping[str, AttributeProto], shape: Tensor, name: str, write: Writer) -> Tensor | None:
    """Return the tensor of a ConstantOfShape node: weights that were left out of the file, or a few equal numbers."""
    import numpy as np
    from onnx.numpy_helper import to_array

    if shape.value is None:
        return None
    sizes = checked(shape.value.reshape(-1))
    value = attributes.get("value")
    dtype = (type_name(value.t.data_type) if value is not None else "") or "float32"
    tensor = write.stored(name, sizes, dtype)
    number = to_array(value.t).reshape(-1)[:1] if value is not None else np.zeros(1, np.float32)
    known = np.full(sizes, number[0]) if tensor.elements <= 1024 and number.size else None
    return Tensor(sizes, None, known, tensor.weights, dtype)
