"""From a PyTorch module to records of its graph: torch.export, and JSON that needs no torch to be read.

Schema ``perfmodel/graph/1``, one JSON object:

=========== =============================================================================================
``schema``  ``perfmodel/graph/1``
``name``    the network's name
``source``  what made the records
``batch``   the samples of the example inputs
``inputs``  each ``{"name", "shape", "dtype"}``, batch included
``stored``  by name ``{"shape", "dtype", "learned"}``: parameters, buffers and constants
``nodes``   each ``{"name", "op": "aten.conv2d.default", "module": "layer1.0.conv1", "args", "kwargs", "results"}``
``outputs`` references
=========== =============================================================================================

A reference to a tensor is ``{"tensor": name}``, to one of several results ``{"tensor": name, "result": 1}``;
``results`` are ``{"shape", "dtype"}`` or null. Other arguments are numbers, texts, truth values, null and lists of
these.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError
from perfmodel.files import write_text
from perfmodel.workloads.importers.torch_schema import SCHEMA

MEND = "install it with: pip install 'perfmodel[torch]'"


def export_records(
    module: Any, example_inputs: Sequence[Any] = (), path: str | Path | None = None, *, name: str = ""
) -> dict[str, Any]:
    """Return the records of a module's graph (or of an exported program's), and write them to ``path``.

    ``example_inputs`` are tensors, of one sample or of a few; they may be on the meta device, as the module may be.
    Weights and results are described, not stored.

    Errors: :class:`InputError` without torch, and for a module that torch.export cannot follow.
    """
    program = _program(module, example_inputs)
    records = _Recorder(program).records(name or _name(module, path))
    if path is not None:
        write_text(path, json.dumps(records, indent=None, separators=(",", ":"), allow_nan=False) + "\n")
    return records


def _program(module: Any, example_inputs: Sequence[Any]) -> Any:
    try:
        torch = import_module("torch")
    except ImportError:
        raise InputError(f"torch is not installed: {MEND}") from None
    if hasattr(module, "graph_signature"):
        return module
    try:
        with torch.no_grad():
            return torch.export.export(module, tuple(example_inputs))
    except Exception as error:  # anything that a stranger's module may raise while it is followed
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"torch.export cannot follow {type(module).__name__}: {lines[0][:200]}") from error


def _name(module: Any, path: str | Path | None) -> str:
    return Path(path).stem if path is not None else type(module).__name__.lower()


class _Recorder:
    """Turns one exported program into records; ``getitem`` becomes a reference to one of several results."""

    def __init__(self, program: Any) -> None:
        self.program = program
        self.references: dict[str, dict[str, Any]] = {}

    def records(self, name: str) -> dict[str, Any]:
        stored, inputs = self._placeholders()
        nodes: list[dict[str, Any]] = []
        outputs: list[Any] = []
        for node in self.program.graph.nodes:
            if node.op == "call_function":
                self._call(node, nodes)
            elif node.op == "get_attr":
                self.references[node.name] = {"tensor": node.name}
                stored[node.name] = {**_described(node.meta.get("val")), "learned": False}
            elif node.op == "output":
                outputs = [value for value in _flat(self._value(node.args[0])) if isinstance(value, dict)]
        version = import_module("torch").__version__
        return {
            "schema": SCHEMA, "name": name, "source": f"torch.export of torch {version}",
            "batch": next((entry["shape"][0] for entry in inputs if entry["shape"]), 1), "inputs": inputs,
            "stored": stored, "nodes": nodes, "outputs": outputs,
        }  # fmt: skip

    def _placeholders(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        signature = self.program.graph_signature
        learned = dict(signature.inputs_to_parameters)
        kept = {**signature.inputs_to_buffers, **signature.inputs_to_lifted_tensor_constants}
        stored: dict[str, Any] = {}
        inputs: list[dict[str, Any]] = []
        for node in self.program.graph.nodes:
            if node.op != "placeholder":
                continue
            described = _described(node.meta.get("val"))
            known = learned.get(node.name) or kept.get(node.name)
            label = known or node.name
            self.references[node.name] = {"tensor": label}
            if known:
                stored[label] = {**described, "learned": node.name in learned}
            elif described:
                inputs.append({"name": label, **described})
        return stored, inputs

    def _call(self, node: Any, nodes: list[dict[str, Any]]) -> None:
        target = getattr(node.target, "__name__", str(node.target))
        if target == "getitem" and isinstance(node.args[1], int):
            source = self.references.get(node.args[0].name, {})
            self.references[node.name] = {**source, "result": node.args[1]}
            return
        value = node.meta.get("val")
        results = [_described(v) or None for v in (value if isinstance(value, (list, tuple)) else [value])]
        self.references[node.name] = {"tensor": node.name}
        nodes.append({
            "name": node.name, "op": str(node.target), "module": _module(node),
            "args": [self._value(arg) for arg in node.args],
            "kwargs": {key: self._value(arg) for key, arg in node.kwargs.items()},
            "results": results,
        })  # fmt: skip

    def _value(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return [self._value(item) for item in value]
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if hasattr(value, "name") and value.name in self.references and hasattr(value, "meta"):
            inner = value.meta.get("val")
            return self.references[value.name] if hasattr(inner, "shape") or isinstance(inner, (list, tuple)) else None
        number = _whole(value)
        return str(value) if number is None else number


def _flat(value: Any) -> list[Any]:
    return [inner for item in value for inner in _flat(item)] if isinstance(value, list) else [value]


def _whole(value: Any) -> int | None:
    """Return a whole number, and of a size that may vary the one in the example."""
    if isinstance(value, int):
        return value
    hint = getattr(getattr(value, "node", None), "hint", None)
    return int(hint) if isinstance(hint, (int, float)) else None


def _described(value: Any) -> dict[str, Any]:
    """Return a tensor's shape and type, nothing for anything else."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return {}
    return {"shape": [_whole(size) or 0 for size in value.shape], "dtype": str(value.dtype).removeprefix("torch.")}


def _module(node: Any) -> str:
    """Return the path of the module that a node is of."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""
