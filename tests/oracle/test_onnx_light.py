"""The nine light graphs of the onnx package: whole, counted by hand from its own shapes, and equal to our families."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import pytest

from perfmodel.workloads.importers.graph_file import coverage, load_graph
from perfmodel.workloads.networks.library import load_network

onnx = pytest.importorskip("onnx")

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
FAMILIES = {
    "bvlc_alexnet": "alexnet-onnx", "densenet121": "densenet121", "inception_v1": "inception-v1-onnx",
    "inception_v2": "bn-inception", "resnet50": "resnet50", "shufflenet": "shufflenet-onnx",
    "squeezenet": "squeezenet1.1", "vgg19": "vgg19", "zfnet512": "zfnet512",
}  # fmt: skip
TWICE_NORMED = {"densenet121", "inception_v2"}
"""Caffe scales and shifts behind each batch norm, which has a scale and shift of its own here."""

pytestmark = pytest.mark.skipif(not LIGHT.is_dir(), reason="this onnx package has no light graphs")


def shapes(model: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes that the onnx package infers for a whole graph."""
    graph = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    found = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer}
    filled = {n.output[0]: tuple(stored[n.input[0]]) for n in graph.node if n.op_type == "ConstantOfShape"}
    return found | {name: tuple(int(n) for n in shape) for name, shape in filled.items()}


def hand_counted(model: Any) -> tuple[int, int]:
    """Return (multiply-accumulates of convolutions and dense layers, learned numbers)."""
    known = shapes(model)
    macs, learned = 0, set()
    made = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        if node.op_type == "Conv":
            weight = known[node.input[1]]
            macs += prod(known[node.output[0]]) * prod(weight[1:])
            learned |= set(node.input[1:])
        elif node.op_type == "Gemm":
            macs += prod(known[node.input[1]])
            learned |= set(node.input[1:])
        elif node.op_type == "BatchNormalization":
            learned |= set(node.input[1:3])
        elif node.op_type in ("Mul", "Add"):
            learned.add(made[node.input[1]].input[0])  # behind an Unsqueeze
    return macs, sum(prod(known[name]) for name in learned)


@pytest.mark.parametrize("name", FAMILIES)
def test_counts(name: str) -> None:
    path = LIGHT / f"light_{name}.onnx"
    network = load_graph(path)
    macs, learned = hand_counted(onnx.load(path))
    assert network.unsupported == ()
    assert network.notes == ()
    assert network.inputs[0] == (3, 224, 224)
    assert coverage(network).share == 1.0
    assert network.matmul_flops == 2 * macs
    assert network.parameters == learned


@pytest.mark.parametrize("name", FAMILIES)
def test_our_family(name: str) -> None:
    network = load_graph(LIGHT / f"light_{name}.onnx")
    ours = load_network(FAMILIES[name])
    assert network.matmul_flops == ours.matmul_flops
    norms = sum(node.parameters for node in network.nodes if "batchnorm" in getattr(node.operator, "KIND", ""))
    assert network.parameters - (norms if name in TWICE_NORMED else 0) == ours.parameters
