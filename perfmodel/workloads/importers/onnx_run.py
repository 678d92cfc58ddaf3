"""Going through an ONNX graph node by node at one batch: shapes, values of computed shapes, and the network's nodes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from perfmodel.workloads.importers.graphs.batch import Drawn
from perfmodel.workloads.importers.graphs.tensors import (
    AnyTensor,
    Malformed,
    NotCounted,
    Shape,
    Tensor,
    Unknown,
    checked,
    plain_name,
)
from perfmodel.workloads.importers.graphs.writer import Writer
from perfmodel.workloads.importers.onnx_file import OnnxFile, domain_of, type_name
from perfmodel.workloads.importers.onnx_fold import folded
from perfmodel.workloads.importers.onnx_inputs import Inputs, declared_dims
from perfmodel.workloads.importers.onnx_ops import LOWERINGS, Call
from perfmodel.workloads.importers.onnx_scope import Scope, constant, filled
from perfmodel.workloads.importers.onnx_shapes import inferred
from perfmodel.workloads.importers.onnx_wire import MOST_NODES, SCOPES

if TYPE_CHECKING:
    from onnx import FunctionProto, NodeProto

_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, AssertionError)
"""What Python raises where a file's numbers make no sense in a way that nobody has thought of."""
_MOST_SCOPES = 2000
Given = Sequence[Tensor | None]


class Run:
    """One reading of a file at ``factor`` times its batch; ``before`` is that at the batch itself."""

    def __init__(self, file: OnnxFile, inputs: Inputs, factor: int, before: Run | None = None) -> None:
        self.file, self.inputs, self.factor = file, inputs, factor
        self.write = Writer()
        self.shapes: dict[str, Shape] = {}
        self._before = before.shapes if before is not None else None
        self._count = 0
        self._at: NodeProto | None = None

    def drawn(self) -> Drawn:
        """Return the graph as read; :class:`SpecError` names the node that makes no sense."""
        try:
            return self._drawn()
        except Malformed as error:
            raise self.file.fault(plain_name(str(error), 400), self._where()) from None
        except _FAULTS as error:
            detail = plain_name(str(error), 120)
            raise self.file.fault(f"attributes and inputs do not fit together ({detail})", self._where()) from None

    def _where(self) -> str:
        if self._at is None:
            return "the graph"
        return f"node '{plain_name(_label(self._at), 60)}' ({plain_name(self._at.op_type, 40)})"

    def _drawn(self) -> Drawn:
        graph = self.file.graph
        scope = Scope(opsets=self.file.opsets)
        scope.fill(graph, self.write)
        shapes = self.inputs.shapes(self.factor)
        for place, (entry, shape) in enumerate(zip(self.inputs.entries, shapes, strict=True)):
            self._enter(scope, entry.name, Tensor(shape, -1 - place, dtype=entry.dtype))
        self._nodes(graph.node, scope)
        self._at = None
        results = [self._find(scope, value.name) for value in graph.output]
        outputs = [t.index for t in results if isinstance(t, Tensor) and t.index is not None]
        return Drawn(shapes, self.write.drafts, tuple(outputs), self.write.unsupported())

    # ---- names

    def _enter(self, scope: Scope, name: str, tensor: AnyTensor) -> None:
        if not name:
            return
        if name in scope.tensors or name in scope.stored:
            raise Malformed(f"'{plain_name(name, 60)}' is made twice; names of tensors must differ")
        scope.tensors[name] = tensor
        if isinstance(tensor, Tensor):
            self.shapes[scope.prefix + name] = tensor.shape

    def _find(self, scope: Scope, name: str) -> AnyTensor:
        found = scope.get(name, self.write)
        if found is None:
            raise Malformed(
                f"'{plain_name(name, 60)}' is read, and no node before makes it: one is missing, they are not in "
                "order, or there is a cycle"
            )
        return found

    # ---- nodes

    def _nodes(self, nodes: Sequence[NodeProto], scope: Scope) -> None:
        for node in nodes:
            self._count += 1
            if self._count > MOST_NODES:
                raise Malformed(f"unfolds to more than {MOST_NODES} nodes: no network that can be imported")
            self._at = node
            if any(isinstance(text, bytes) for text in (node.name, node.op_type, *node.input, *node.output)):
                raise Malformed("has a name that is not UTF-8")
            self.write.at(plain_name(scope.prefix + _label(node)))
            found = [self._find(scope, name) if name else None for name in node.input]
            unknown = next((t for t in found if isinstance(t, Unknown)), None)
            inputs = [t for t in found if not isinstance(t, Unknown)]
            if unknown is None:
                results = self._results(node, inputs, scope)
            else:
                results = self._missed(node, inputs, scope, (), unknown.reason)
            self._at = node
            for place, name in enumerate(node.output):
                rest = Unknown(f"result {place + 1} of '{plain_name(node.op_type, 40)}' is not lowered")
                self._enter(scope, name, results[place] if place < len(results) else rest)

    def _results(self, node: NodeProto, inputs: Given, scope: Scope) -> Sequence[AnyTensor]:
        """Return what a node makes of inputs that are all known."""
        domain = domain_of(node.domain)
        function = self.file.functions.get((domain, node.op_type))
        if function is not None:
            return self._body(node, function, inputs, scope)
        attributes = scope.of_node(node)
        name = scope.prefix + next(iter(node.output), "")
        if node.op_type == "Constant" and not domain:
            return [constant(attributes, name, self.write)]
        if node.op_type == "ConstantOfShape" and not domain and inputs and inputs[0] is not None:
            made = filled(attributes, inputs[0], name, self.write)
            return (
                [made] if made is not None else self._missed(node, inputs, scope, (), "its shape depends on the data")
            )
        before, after = self._then(node, scope)
        call = Call(
            node.op_type, domain, scope.opsets.get(domain, 1), inputs, attributes, len(node.output), self.write, before,
            after, self.inputs.batch,
        )  # fmt: skip
        if node.op_type == "If" and not domain and call.x.value is not None:
            return self._branch(node, call, scope)
        values = folded(call)
        if values is not None:
            empty = frozenset[str]()
            numbers = [t.weights for t in call.there() if t.dtype not in ("int64", "bool")]
            weights = empty if node.op_type in ("Shape", "Size") else empty.union(*numbers)
            return [Tensor(a.shape, None, a, weights, str(a.dtype)) for a in values]
        return self._operator(node, call, scope)

    def _then(self, node: NodeProto, scope: Scope) -> tuple[list[Shape | None] | None, Shape | None]:
        """Return the shapes that a node's inputs and first result had at the file's own batch."""
        if self._before is None:
            return None, None
        names = [self._before.get(scope.prefix + name) for name in node.input]
        return names, self._before.get(scope.prefix + node.output[0]) if node.output else None

    def _operator(self, node: NodeProto, call: Call, scope: Scope) -> Sequence[AnyTensor]:
        lowering = LOWERINGS.get((call.domain, call.op))
        if lowering is None:
            reason = f"of '{plain_name(call.domain, 40)}'" if call.domain else ""
            return self._missed(node, call.inputs, scope, inferred(node, call.inputs, scope.opsets), reason)
        try:
            made = lowering(call)
        except NotCounted as error:
            shapes = error.shapes or inferred(node, call.inputs, scope.opsets)
            return self._missed(node, call.inputs, scope, shapes, error.reason)
        return [made] if isinstance(made, (Tensor, Unknown)) else made

    def _missed(
        self, node: NodeProto, inputs: Given, scope: Scope, shapes: Sequence[Shape | None], reason: str
    ) -> list[AnyTensor]:
        """Report a node, and let the rest go on with its results' shapes, where these are known."""
        kind, there = plain_name(node.op_type, 40), [t for t in inputs if t is not None]
        fixed = bool(there) and all(t.fixed for t in there)
        found: list[AnyTensor] = []
        for place, name in enumerate(node.output):
            shape = shapes[place] if place < len(shapes) else None
            dtype = ""
            if shape is None:
                shape, dtype = self._declared(scope, name)
            if shape is None or 0 in shape:
                found.append(Unknown(f"its input's shape is not known after '{kind}'"))
            elif fixed:
                found.append(Tensor(shape, None, None, frozenset[str]().union(*(t.weights for t in there))))
            else:
                found.append(self.write.stand_in(kind, there, shape, dtype))
        if not fixed or any(isinstance(t, Unknown) for t in found):
            self.write.miss(kind, reason)
        return found

    def _declared(self, scope: Scope, name: str) -> tuple[Shape | None, str]:
        """Return the shape and type that the file declares for a tensor, if all its sizes are known."""
        declared = scope.declared.get(name)
        dims = declared_dims(declared, name) if declared is not None else None
        if declared is None or dims is None:
            return None, ""
        sizes = [self.inputs.size(dim, self.factor) for dim in dims]
        known = [size for size in sizes if size is not None and size > 0]
        dtype = type_name(declared.tensor_type.elem_type)
        return (checked(known), dtype) if len(known) == len(sizes) else (None, "")

    # ---- functions and branches

    def _body(self, node: NodeProto, function: FunctionProto, inputs: Given, scope: Scope) -> list[AnyTensor]:
        """Go through the body of a function of the file."""
        given = {a.name: a for a in function.attribute_proto} | scope.of_node(node)
        opsets = {domain_of(o.domain): o.version for o in function.opset_import}
        inner = scope.inside(node, attributes=given, opsets={**self.file.opsets, **opsets})
        for name, tensor in zip(function.input, inputs, strict=False):
            if tensor is not None:
                inner.tensors[name] = tensor
        self._nodes(function.node, inner)
        return [self._find(inner, name) for name in function.output]

    def _branch(self, node: NodeProto, call: Call, scope: Scope) -> list[AnyTensor]:
        """Go through the branch of a choice that shapes decide."""
        name = "then_branch" if bool(call.x.value.reshape(-1)[:1].any()) else "else_branch"
        if name not in call.attributes:
            raise Malformed(f"has no {name}")
        graph = call.attributes[name].g
        inner = scope.inside(node, outer=scope, attributes=scope.attributes, opsets=scope.opsets)
        inner.fill(graph, self.write)
        self._nodes(graph.node, inner)
        return [self._find(inner, value.name) for value in graph.output]


def _label(node: NodeProto) -> str:
    """Return a node's name, or that of its first result, or its kind, within PyTorch's modules if they are known."""
    name = node.name or next((name for name in node.output if name), "") or node.op_type
    scopes = next((entry.value for entry in node.metadata_props if entry.key == SCOPES.decode()), "")
    around = [scope for scope in re.findall(r"'([^']*)'", scopes[:_MOST_SCOPES])[:-1] if scope]
    return f"{around[-1].replace('.', '/')}/{name}" if around else name
