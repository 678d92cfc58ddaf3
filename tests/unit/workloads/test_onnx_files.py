"""ONNX files that are damaged, hostile or make no sense: one clear error each, quickly and in little memory."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.errors import ImportRefused, PerfmodelError, SpecError
from perfmodel.workloads.importers.graph_file import load_graph
from perfmodel.workloads.importers.onnx_wire import MOST_BYTES
from tests.onnx_graphs import FLOAT, helper, model, node, onnx, saved, weight, whole

IMAGE = {"x": (1, 3, 8, 8)}
CONV = [node("Conv", "x w", "y")]
WEIGHT = [weight("w", 4, 3, 1, 1)]


@pytest.fixture(autouse=True)
def quick_and_small() -> Iterator[None]:
    """Every file is answered within seconds, and without gigabytes."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert time.process_time() - began < 60
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 * 1024


def error(path: Path) -> str:
    """Return the message of the error that a file gives."""
    with pytest.raises(PerfmodelError) as found:
        load_graph(path)
    message = str(found.value)
    assert str(path) in message
    assert message.isprintable()
    return message


# ---- files


def test_files_that_are_none(tmp_path: Path) -> None:
    assert "No such file" in error(tmp_path / "none.onnx")
    (tmp_path / "folder.onnx").mkdir()
    assert "is a folder or a device" in error(tmp_path / "folder.onnx")
    os.mkfifo(tmp_path / "pipe.onnx")
    assert "is a folder or a device" in error(tmp_path / "pipe.onnx")
    (tmp_path / "empty.onnx").touch()
    assert "is empty" in error(tmp_path / "empty.onnx")


@pytest.mark.parametrize(
    "content",
    [b"hello, world\n" * 20, b"GGUF" + bytes(100), b"\x00" * 64, b"\xff" * 64, b"\x89PNG\r\n\x1a\n" + bytes(64), b"{}"],
)
def test_other_contents(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.onnx"
    path.write_bytes(content)
    assert "ONNX" in error(path)


def test_a_file_cut_short(tmp_path: Path) -> None:
    whole_file = saved(tmp_path, CONV, IMAGE, [weight("w", 4, 3, 1, 1, data=True)]).read_bytes()
    path = tmp_path / "cut.onnx"
    for end in range(1, len(whole_file), 7):
        path.write_bytes(whole_file[:end])
        error(path)


def test_a_file_of_more_than_two_gigabytes(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    with path.open("wb") as stream:
        stream.truncate(MOST_BYTES + 1)
    assert "save_as_external_data=True" in error(path)


def test_large_weights_are_not_read(tmp_path: Path) -> None:
    small = model([node("MatMul", "x w", "y")], {"x": ("n", 8)}).SerializeToString()
    raw = 400 * 2**20
    tensor = onnx.TensorProto(name="w", dims=(8, raw // 32), data_type=FLOAT).SerializeToString()
    path = tmp_path / "weights.onnx"
    with path.open("wb") as stream:  # the model, and a graph with one stored tensor more: messages merge
        stream.write(small)
        content = field(9, raw)
        stored = field(5, len(tensor) + len(content) + raw)
        stream.write(field(7, len(stored) + len(tensor) + len(content) + raw) + stored + tensor + content)
        stream.truncate(stream.tell() + raw)
    assert load_graph(path).parameters == raw // 4


def field(number: int, length: int) -> bytes:
    """Return the tag and length of a field of a protobuf message."""
    found = bytearray([number << 3 | 2])
    while length > 0x7F:
        found.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*found, length])


def test_a_million_nodes(tmp_path: Path) -> None:
    one = node("Relu", "x", "y").SerializeToString()
    graph = (field(1, len(one)) + one) * 10**6
    path = tmp_path / "many.onnx"
    path.write_bytes(field(7, len(graph)) + graph)
    assert "more than 100000 nodes" in error(path)


def test_millions_of_empty_things(tmp_path: Path) -> None:
    path = tmp_path / "empty-things.onnx"
    for number in (1, 5, 11, 13):
        graph = bytes([number << 3 | 2, 0]) * 2 * 10**6
        path.write_bytes(field(7, len(graph)) + graph)
        assert "more than" in error(path)


def test_graphs_inside_graphs(tmp_path: Path) -> None:
    inner = b""
    for _ in range(200):
        attribute = field(6, len(inner)) + inner
        holder = field(5, len(attribute)) + attribute + bytes(field(6, 4200)) + b"x" * 4200
        inner = field(1, len(holder)) + holder
    path = tmp_path / "deep.onnx"
    path.write_bytes(field(7, len(inner)) + inner)
    error(path)


# ---- graphs


def test_names_that_are_made_or_read_wrongly(tmp_path: Path) -> None:
    assert "'y' is made twice" in error(saved(tmp_path, [*CONV, node("Relu", "y", "y")], IMAGE, WEIGHT))
    assert "'x' is made twice" in error(saved(tmp_path, [node("Relu", "x", "x")], IMAGE))
    assert "stored twice" in error(saved(tmp_path, CONV, IMAGE, [*WEIGHT, *WEIGHT]))
    missing = error(saved(tmp_path, [node("Relu", "x", "a"), node("Add", "a b", "y", name="sum")], IMAGE))
    assert "node 'sum' (Add): 'b' is read, and no node before makes it" in missing
    circle = [node("Add", "x b", "a"), node("Relu", "a", "b")]
    assert "there is a cycle" in error(saved(tmp_path, circle, IMAGE))
    assert "the graph: 'z' is read" in error(saved(tmp_path, CONV, IMAGE, WEIGHT, ["z"]))


@pytest.mark.parametrize("size", [0, -1, -(2**31)])
def test_sizes_of_inputs(tmp_path: Path, size: int) -> None:
    message = error(saved(tmp_path, CONV, {"x": (1, 3, size, 8)}, WEIGHT))
    assert f"input 'x': has a dimension of {size}; sizes are at least 1" in message


def test_sizes_beyond_all_measure(tmp_path: Path) -> None:
    assert "elements" in error(saved(tmp_path, CONV, {"x": (1, 3, 2**40, 2**40)}, WEIGHT))
    assert "elements" in error(saved(tmp_path, [node("MatMul", "x w", "y")], {"x": (1, 8)}, [weight("w", 8, 2**60)]))
    assert "dimension of -4" in error(saved(tmp_path, CONV, IMAGE, [weight("w", -4, 3, 1, 1)]))
    tiles = [node("Tile", "x t", "y")]
    assert "elements" in error(saved(tmp_path, tiles, IMAGE, [whole("t", 1, 1, 2**40, 2**40)]))
    filled = [node("ConstantOfShape", "t", "w"), node("Add", "x w", "y")]
    assert "elements" in error(saved(tmp_path, filled, IMAGE, [whole("t", 2**40, 2**40)]))
    ranges = [node("Range", "a b c", "r"), node("Reshape", "x r", "y")]
    numbers = [onnx.numpy_helper.from_array(np.array(n), name) for name, n in {"a": 0, "b": 2**62, "c": 1}.items()]
    error(saved(tmp_path, ranges, IMAGE, numbers))


@pytest.mark.parametrize(
    ("nodes", "stored", "reason"),
    [
        ([node("Conv", "x w", "y")], [weight("w", 4, 5, 1, 1)], "do not fit an input of 3 channels"),
        ([node("Conv", "x w", "y", strides=[0, 1])], WEIGHT, "must be at least 1"),
        ([node("Conv", "x w", "y", dilations=[-1, 1])], WEIGHT, "must be at least 1"),
        ([node("Conv", "x w", "y", group=2)], WEIGHT, "groups"),
        ([node("Conv", "x w", "y", group=0)], WEIGHT, "must be at least 1"),
        ([node("Conv", "x w", "y", pads=[1, 1])], WEIGHT, "'pads' has 2 numbers"),
        ([node("Conv", "x w", "y", strides="far")], WEIGHT, "not a list of whole numbers"),
        ([node("Conv", "x w", "y")], [weight("w", 4, 3, 9, 9)], "is the input too small"),
        ([node("Conv", "x", "y")], (), "has no input 2"),
        ([node("MaxPool", "x", "y", kernel_shape=[20, 20])], (), "is the input too small"),
        ([node("MatMul", "x w", "y")], [weight("w", 7, 7)], "do not fit together"),
        ([node("Add", "x w", "y")], [weight("w", 7)], "do not fit together"),
        ([node("Reshape", "x s", "y")], [whole("s", 7, -1)], "other elements"),
        ([node("Reshape", "x s", "y")], [whole("s", -1, -1)], "reshapes to"),
        ([node("Transpose", "x", "y", perm=[0, 0, 1, 2])], (), "order"),
        ([node("Concat", "x w", "y", axis=9)], [weight("w", 1, 3, 8, 8)], "axis 9"),
        ([node("Split", "x s", "a b", axis=1)], [whole("s", 5, 5)], "splits"),
        ([node("Softmax", "x", "y", axis=7)], (), "axis 7"),
        ([node("Einsum", "x x", "y", equation="ab,c->d")], (), "does not fit"),
        ([node("Unsqueeze", "x s", "y")], [whole("s", *range(200))], "204 dimensions"),
        ([node("DepthToSpace", "x", "y", blocksize=0)], (), "blocks of 0"),
        ([node("Attention", "x x x", "y", "com.microsoft")], (), "needs"),
    ],
)  # fmt: skip
def test_nodes_that_no_runtime_could_run(tmp_path: Path, nodes: Any, stored: Any, reason: str) -> None:
    message = error(saved(tmp_path, nodes, IMAGE, stored))
    assert reason in message
    assert f"({nodes[0].op_type})" in message


def test_stored_tensors_that_lie(tmp_path: Path) -> None:
    short = weight("s", 3, dtype=onnx.TensorProto.INT64)
    short.raw_data = bytes(8)
    assert "does not hold the 3 numbers" in error(saved(tmp_path, [node("Reshape", "x s", "y")], IMAGE, [short]))


def test_functions_that_call_themselves(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    endless = helper.make_function("f", "a", ["x"], ["y"], [node("a", "x", "y", "f")], opsets)
    path = saved(tmp_path, [node("a", "x", "y", "f")], IMAGE, functions=[endless], domains=["f"])
    assert "nested deeper than 32" in error(path)
    bodies = [[node(f"a{i + 1}", "x", "b", "f"), node(f"a{i + 1}", "b", "y", "f")] for i in range(25)]
    bodies.append([node("Relu", "x", "y")])
    doubling = [helper.make_function("f", f"a{i}", ["x"], ["y"], body, opsets) for i, body in enumerate(bodies)]
    path = saved(tmp_path, [node("a0", "x", "y", "f")], IMAGE, functions=doubling, domains=["f"])
    assert "unfolds to more than 100000 nodes" in error(path)


def test_names_for_terminals(tmp_path: Path) -> None:
    evil = "\x1b[31m\u202e\n" + "long" * 1000
    message = error(saved(tmp_path, [node("Conv", "x", "y", name=evil)], IMAGE))
    assert "\x1b" not in message
    assert len(message) < 600
    network = load_graph(saved(tmp_path, [node("Relu", "x", evil, name=evil)], IMAGE))
    assert network.nodes[0].name.isprintable()
    assert len(network.nodes[0].name) <= 200
    error(saved(tmp_path, CONV, {"x": (1, 3, evil, 8)}, WEIGHT))


def test_inputs_that_are_no_tensors(tmp_path: Path) -> None:
    made = model([node("Identity", "x", "y")], IMAGE)
    made.graph.input[0].type.sequence_type.elem_type.tensor_type.elem_type = FLOAT
    with pytest.raises(ImportRefused, match="input 'x' is sequence, not a tensor"):
        load_graph(saved(tmp_path, made))
    made.graph.input[0].type.tensor_type.elem_type = FLOAT
    with pytest.raises(SpecError, match="says no shape"):
        load_graph(saved(tmp_path, made))


def test_a_graph_without_work(tmp_path: Path) -> None:
    assert "computes nothing" in error(saved(tmp_path, [node("Relu", "w", "y")], IMAGE, WEIGHT))
    strange = [node("Odd", "x", "y", "mine"), node("Relu", "y", "z")]
    message = error(saved(tmp_path, strange, IMAGE, domains=["mine"]))
    assert "holds nothing that is known: 1 x Odd (of 'mine'), 1 x Relu (its input's shape" in message
    made = model(CONV, IMAGE, WEIGHT)
    made.opset_import[0].version = -3
    assert "has version -3" in error(saved(tmp_path, made))
