"""Small ONNX graphs to import, made with the onnx package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
helper, FLOAT, INT64 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.INT64

Dims = Sequence[int | str | None]


def node(kind: str, inputs: str, outputs: str, domain: str = "", **attributes: Any) -> Any:
    """Return a node; names of tensors are divided by blanks, "-" is an input that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(
        kind, names, outputs.split(), domain=domain, name=attributes.pop("name", None), **attributes
    )


def weight(name: str, *shape: int, dtype: int = FLOAT, data: bool = False) -> Any:
    """Return a stored tensor, without its data unless they are wanted (then zeros)."""
    if data:
        return onnx.numpy_helper.from_array(np.zeros(shape, np.float32), name)
    return onnx.TensorProto(name=name, dims=shape, data_type=dtype)


def whole(name: str, *numbers: int) -> Any:
    """Return a stored list of whole numbers."""
    return onnx.numpy_helper.from_array(np.array(numbers, np.int64), name)


def model(
    nodes: Sequence[Any], inputs: Mapping[str, Dims], stored: Sequence[Any] = (), outputs: Sequence[str] = (),
    opset: int = 17, types: Mapping[str, int] | None = None, functions: Sequence[Any] = (), values: Sequence[Any] = (),
    domains: Sequence[str] = ("com.microsoft",),
) -> Any:  # fmt: skip
    """Return a model; its outputs are the last node's unless they are named."""
    kinds = types or {}
    made = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, kinds.get(name, FLOAT), dims) for name, dims in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs or [nodes[-1].output[0]]],
        list(stored),
        value_info=list(values),
    )
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(made, opset_imports=opsets, functions=list(functions))


def saved(folder: Path, *arguments: Any, name: str = "net.onnx", **options: Any) -> Path:
    """Write a model to a folder and return its path."""
    path = folder / name
    made = arguments[0] if isinstance(arguments[0], onnx.ModelProto) else model(*arguments, **options)
    path.write_bytes(made.SerializeToString())
    return path
