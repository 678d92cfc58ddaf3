"""Hundreds of damaged ONNX graphs: each is imported with sound numbers or refused with its file's name, quickly."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from perfmodel.errors import PerfmodelError
from perfmodel.workloads.importers.graph_file import coverage, load_graph
from perfmodel.workloads.network import Network

onnx = pytest.importorskip("onnx")

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = ("bvlc_alexnet", "squeezenet", "shufflenet", "zfnet512")
CHUNKS, IN_A_CHUNK = 8, 40
_NUMBERS = [0, 1, -1, -2, 2, 3, 7, 224, 4096, 10**6, 2**31, -(2**31), 2**62, 2**63 - 1, -(2**63)]
_KINDS = ["Conv", "Reshape", "Gemm", "If", "Loop", "Attention", "LSTM", "Resize", "Einsum", "Nobody", "\x1b[31m"]
_NAMES = ["axis", "axes", "perm", "group", "strides", "dilations", "kernel_shape", "pads", "to", "auto_pad"]

pytestmark = pytest.mark.skipif(not LIGHT.is_dir(), reason="this onnx package has no light graphs")


def damage_bytes(content: bytes, choose: random.Random) -> bytes:
    """Return a file with a few bytes changed, put in, or cut off."""
    found = bytearray(content)
    for _ in range(choose.randrange(1, 6)):
        place = choose.randrange(max(len(found), 1))
        match choose.randrange(3):
            case 0 if found:
                found[place] = choose.randrange(256)
            case 1:
                found[place:place] = choose.randbytes(3)
            case _:
                del found[place:]
    return bytes(found)


def damage_node(node: Any, graph: Any, choose: random.Random) -> None:
    """Change one node: its kind, names or attributes."""
    other = choose.choice(graph.node)
    names = [*other.input, *other.output, "", "nobody"]
    match choose.randrange(6):
        case 0:
            node.op_type = choose.choice([*_KINDS, other.op_type])
        case 1 if node.input:
            node.input[choose.randrange(len(node.input))] = choose.choice(names)
        case 2 if node.output:
            node.output[choose.randrange(len(node.output))] = choose.choice(names)
        case 3 if node.input:
            del node.input[choose.randrange(len(node.input)) :]
        case 4 if node.attribute:
            attribute = choose.choice(node.attribute)
            if attribute.ints:
                attribute.ints[choose.randrange(len(attribute.ints))] = choose.choice(_NUMBERS)
            else:
                attribute.i, attribute.type = choose.choice(_NUMBERS), choose.randrange(14)
        case _:
            value = choose.choice(
                [choose.choice(_NUMBERS), [choose.choice(_NUMBERS)] * choose.randrange(1, 5), "SAME_LOWER"]
            )
            node.attribute.append(onnx.helper.make_attribute(choose.choice(_NAMES), value))


def damage_graph(content: bytes, choose: random.Random) -> bytes:
    """Return a file whose graph has a few nodes, stored tensors or sizes changed."""
    model = onnx.load_model_from_string(content)
    graph = model.graph
    for _ in range(choose.randrange(1, 4)):
        match choose.randrange(6):
            case 0:
                graph.node.remove(choose.choice(graph.node))
            case 1:
                graph.node.append(choose.choice(graph.node))
            case 2:
                tensor = choose.choice(graph.initializer)
                tensor.dims[0] = choose.choice(_NUMBERS)
                tensor.data_type = choose.choice([tensor.data_type, choose.randrange(25)])
            case 3:
                dims = choose.choice(graph.input).type.tensor_type.shape.dim
                choose.choice(dims).dim_value = choose.choice(_NUMBERS)
            case 4:
                model.opset_import[0].version = choose.choice([1, 6, 7, 11, 13, 17, 23, 0, -1, 2**40])
            case _:
                damage_node(choose.choice(graph.node), graph, choose)
    return bytes(model.SerializeToString())


def imported(path: Path) -> Network | str:
    """Return the network of a file, or the message of the error that it gives."""
    try:
        return load_graph(path)
    except PerfmodelError as error:
        return str(error)


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_damaged_graphs(chunk: int, tmp_path: Path) -> None:
    choose = random.Random(chunk)
    path = tmp_path / "damaged.onnx"
    contents = [(LIGHT / f"light_{name}.onnx").read_bytes() for name in NAMES]
    for _ in range(IN_A_CHUNK):
        damage = choose.choice([damage_bytes, damage_graph, damage_graph])
        path.write_bytes(damage(choose.choice(contents), choose))
        began = time.process_time()
        answer = imported(path)
        assert time.process_time() - began < 20
        if isinstance(answer, str):
            assert str(path) in answer
            assert answer.isprintable()
            continue
        assert answer.parameters >= 0
        assert 0 <= coverage(answer).share <= 1
        assert all(op.batched(4).counts().total_flops() >= 0 for _, _, op in answer.running())
