"""Records of PyTorch graphs, written by hand: what each operator becomes, and what is refused."""

from __future__ import annotations

import copy
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from perfmodel import ops
from perfmodel.errors import InputError, PerfmodelError, SpecError
from perfmodel.workloads.importers.graph_file import coverage, load_graph
from perfmodel.workloads.importers.torch_records import export_records, load_records, lowering_name
from perfmodel.workloads.network import Network, Unsupported

Shape = Sequence[int]


def tensor(*shape: int, dtype: str = "float32", learned: bool | None = None) -> dict[str, Any]:
    return {"shape": list(shape), "dtype": dtype} | ({} if learned is None else {"learned": learned})


def ref(name: str, result: int = 0) -> dict[str, Any]:
    return {"tensor": name, "result": result} if result else {"tensor": name}


def record(name: str, op: str, args: Sequence[Any], *results: Shape, module: str = "", **kwargs: Any) -> dict[str, Any]:
    overload = op if op.count(".") > 1 or not op.startswith("aten.") else f"{op}.default"
    return {
        "name": name, "op": overload, "module": module, "args": list(args), "kwargs": kwargs,
        "results": [tensor(*shape) for shape in results],
    }  # fmt: skip


def records(nodes: Sequence[Any], x: Shape, stored: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "schema": "perfmodel/graph/1", "name": "tiny", "source": "by hand", "batch": x[0],
        "inputs": [{"name": "x", **tensor(*x)}], "stored": dict(stored or {}), "nodes": list(nodes),
        "outputs": [ref(nodes[-1]["name"])],
    } | more  # fmt: skip


def convnet(batch: int = 2) -> dict[str, Any]:
    nodes = [
        record("conv", "aten.conv2d", [ref("x"), ref("w"), ref("b"), [2, 2], [1, 1]], (batch, 8, 16, 16),
               module="stem.conv"),
        record("norm", "aten.batch_norm", [ref("conv"), ref("s"), ref("t"), ref("m"), ref("v"), False, 0.1, 1e-5, True],
               (batch, 8, 16, 16), module="stem.bn"),
        record("act", "aten.relu_", [ref("norm")], (batch, 8, 16, 16), module="stem.act"),
        record("pool", "aten.adaptive_avg_pool2d", [ref("act"), [1, 1]], (batch, 8, 1, 1)),
        record("flat", "aten.flatten.using_ints", [ref("pool"), 1], (batch, 8)),
        record("head", "aten.linear", [ref("flat"), ref("g"), ref("h")], (batch, 10), module="head"),
    ]  # fmt: skip
    learned = {"w": (8, 3, 3, 3), "b": (8,), "s": (8,), "t": (8,), "g": (10, 8), "h": (10,)}
    stored = {name: tensor(*shape, learned=True) for name, shape in learned.items()}
    stored |= {name: tensor(8, learned=False) for name in "mv"}
    return records(nodes, (batch, 3, 32, 32), stored)


def operators(network: Network) -> list[Any]:
    return [node.operator for node in network.nodes if node.operator is not None]


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_a_small_network(batch: int, tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(convnet(batch)))
    network = load_graph(path)
    assert (network.name, network.family, network.source, network.sample) == ("tiny", "torch", "by hand", "image")
    assert network.inputs == ((3, 32, 32),)
    assert [n.shape for n in network.nodes] == [(8, 16, 16)] * 3 + [(8, 1, 1), (8,), (10,)]
    assert operators(network)[0] == ops.Conv(1, 1, 3, 8, 32, 32, 1, (1, 3, 3), (1, 2, 2), (0, 2, 2), (1, 1, 1))
    assert network.parameters == 8 * 27 + 8 + 16 + 80 + 10
    assert network.matmul_flops == 2 * (16 * 16 * 8 * 27 + 80)
    assert [n.block for n in network.nodes[:3]] == ["stem"] * 3
    assert network.outputs == (5,)
    assert coverage(network).share == 1.0


def test_a_batch_that_does_not_divide() -> None:
    made = convnet(2) | {"batch": 3}
    network = load_records(made)
    assert "batch of 3 does not divide" in network.notes[0]
    assert network.inputs == ((2, 3, 32, 32),)


def test_copies_where_the_order_matters() -> None:
    nodes = [
        record("t", "aten.transpose.int", [ref("x"), 1, 2], (1, 6, 4)),
        record("r", "aten.reshape", [ref("t"), [1, 24]], (1, 24)),
        record("v", "aten.view", [ref("x"), [1, 24]], (1, 24)),
        record("c", "aten.cat", [[ref("r"), ref("v")], 1], (1, 48)),
    ]
    network = load_records(records(nodes, (1, 4, 6)))
    assert [n.operator.KIND if n.operator else "view" for n in network.nodes] == ["view", "copy", "view", "copy"]


def test_attention_and_several_results() -> None:
    nodes = [
        record("qkv", "aten.linear", [ref("x"), ref("w")], (1, 10, 48)),
        record("split", "aten.split.Tensor", [ref("qkv"), 16, 2], *[(1, 10, 16)] * 3),
        *(record(n, "aten.view", [ref("split", i), [1, 2, 10, 8]], (1, 2, 10, 8)) for i, n in enumerate("qkv")),
        record("a", "aten.scaled_dot_product_attention", [ref("q"), ref("k"), ref("v")], (1, 2, 10, 8)),
    ]
    network = load_records(records(nodes, (1, 10, 16), {"w": tensor(48, 16, learned=True)}))
    dense, attend = operators(network)
    assert (dense.m, dense.n, dense.k) == (10, 48, 16)
    assert (attend.heads, attend.head_dim, attend.causal) == (2, 8, False)
    assert network.parameters == 768


@pytest.mark.parametrize(
    ("op", "args", "out", "kind"),
    [
        ("aten.add.Tensor", [ref("x"), ref("x")], (2, 6, 8, 8), "add"),
        ("aten.mul.Tensor", [ref("x"), 2.0], (2, 6, 8, 8), "scale"),
        ("aten.clamp", [ref("x"), 0, 6], (2, 6, 8, 8), "activation"),
        ("aten.softmax.int", [ref("x"), -1], (2, 6, 8, 8), "softmax"),
        ("aten.max_pool2d_with_indices", [ref("x"), [2, 2]], (2, 6, 4, 4), "pool"),
        ("aten.mean.dim", [ref("x"), [2, 3], True], (2, 6, 1, 1), "pool"),
        ("aten.upsample_nearest2d.vec", [ref("x"), None, [2.0, 2.0]], (2, 6, 16, 16), "resize"),
        ("aten.group_norm", [ref("x"), 3], (2, 6, 8, 8), "groupnorm"),
        ("aten.layer_norm", [ref("x"), [8]], (2, 6, 8, 8), "layernorm"),
        ("aten.pixel_shuffle", [ref("x"), 1], (2, 6, 8, 8), "copy"),
        ("aten.constant_pad_nd", [ref("x"), [1, 1]], (2, 6, 8, 10), "copy"),
        ("aten.convolution", [ref("x"), ref("w"), None, [2, 2], [0, 0], [1, 1], True, [0, 0], 1], (2, 4, 16, 16),
         "conv_transpose2d"),
        ("aten.matmul", [ref("x"), ref("x")], (2, 6, 8, 8), "batched_matmul"),
        ("aten.einsum", ["bchw,bcwv->bchv", [ref("x"), ref("x")]], (2, 6, 8, 8), "batched_matmul"),
        ("aten.topk", [ref("x"), 3, 1], (2, 3, 8, 8), "pool"),
    ],
)  # fmt: skip
def test_operators(op: str, args: list[Any], out: Shape, kind: str) -> None:
    stored = {"w": tensor(6, 4, 2, 2, learned=True)}
    network = load_records(records([record("y", op, args, out)], (2, 6, 8, 8), stored))
    assert [n.operator.KIND for n in network.nodes if n.operator] == [kind]
    assert network.nodes[0].shape == tuple(out[1:])
    assert network.unsupported == ()
    assert network.notes == ()


def test_tables_and_recurrent_layers() -> None:
    nodes = [
        record("e", "aten.embedding", [ref("t"), ref("x")], (1, 5, 8)),
        record("l", "aten.lstm.input", [ref("e"), [], [ref("i"), ref("h"), ref("b"), ref("c")], True, 1], (1, 5, 6),
               (1, 1, 6)),
    ]  # fmt: skip
    shapes = {"t": (100, 8), "i": (24, 8), "h": (24, 6), "b": (24,), "c": (24,)}
    network = load_records(
        records(nodes, (1, 5), {name: tensor(*shape, learned=True) for name, shape in shapes.items()})
    )
    assert network.parameters == 800 + 24 * 16
    assert network.matmul_flops == 2 * 5 * 24 * 14


def test_what_is_not_known_is_reported() -> None:
    nodes = [record("a", "aten.fft_rfft2", [ref("x")], (1, 4, 3)), record("y", "aten.relu", [ref("a")], (1, 4, 3)),
             record("s", "aten.sym_size.int", [ref("x"), 0])]  # fmt: skip
    network = load_records(records(nodes, (1, 4, 4)) | {"outputs": [ref("y")]})
    assert network.unsupported == (Unsupported("fft_rfft2", 1),)
    assert [n.kind for n in network.nodes] == ["unsupported fft_rfft2", "relu"]
    assert (coverage(network).unsupported, coverage(network).missing_flops) == (1, 12.0)


def test_names_of_operators() -> None:
    assert lowering_name("aten.relu_.default") == "relu"
    assert lowering_name("aten.add.Tensor") == "add"
    assert lowering_name("aten.__and__.Tensor") == "__and__"
    assert lowering_name("torchvision.deform_conv2d.default") == "torchvision.deform_conv2d"
    assert lowering_name("aten._assert_tensor_metadata.default") == "_assert_tensor_metadata"


# ---- records that are wrong


def fault(made: Any) -> str:
    with pytest.raises(SpecError) as found:
        load_records(made)
    return str(found.value)


def test_records_that_lie() -> None:
    made = convnet()
    made["nodes"][0]["results"] = [tensor(2, 8, 99, 99)]
    assert "node 'conv' (aten.conv2d.default): leaves 2x8x16x16, its record says 2x8x99x99" in fault(made)
    made = convnet()
    made["stored"]["w"] = tensor(8, 4, 3, 3, learned=True)
    assert "do not fit an input of 3 channels" in fault(made)
    made = convnet()
    made["nodes"][2]["args"] = [ref("nobody")]
    assert "reads 'nobody', and no record before it makes that" in fault(made)
    made = convnet()
    made["nodes"][2]["args"] = [ref("norm", 7)]
    assert "reads result 7 of 'norm'" in fault(made)
    assert "names must differ" in fault(records([convnet()["nodes"][0]] * 2, (2, 3, 32, 32), convnet()["stored"]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "perfmodel/graph/2"}, "schema: must be 'perfmodel/graph/1'"),
        ({"batch": 0}, "batch: must be a whole number"),
        ({"batch": True}, "batch: must be a whole number"),
        ({"nodes": []}, "nodes: must be from 1 to"),
        ({"nodes": [3]}, "nodes.0.name: must be a text"),
        ({"inputs": [{"name": "x", "shape": [1, -3], "dtype": "f"}]}, "inputs.0.shape: a tensor has a dimension of -3"),
        ({"inputs": [{"name": "x", "shape": [2**40, 2**40], "dtype": "f"}]}, "would have 1.21e+24 elements"),
        ({"inputs": {"x": 1}}, "inputs: must be a list"),
        ({"stored": {"x": tensor(1)}}, "'x' is an input too"),
        ({"stored": {"w": {"shape": [1.5], "dtype": "f"}}}, "stored.w.shape: must be a list of whole numbers"),
    ],
)
def test_fields(change: dict[str, Any], reason: str) -> None:
    assert reason in fault(convnet() | change)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    texts = {
        "": "is empty", "[1]": "must be a JSON object", "{": "is not JSON", '{"a":1,"a":2}': "twice",
        "[" * 100_000: "nested too deeply", '{"schema": "workload/1"}': "must be 'perfmodel/graph/1'",
    }  # fmt: skip
    for text, reason in texts.items():
        path.write_text(text)
        with pytest.raises(SpecError, match=reason) as found:
            load_graph(path)
        assert str(path) in str(found.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="is not UTF-8"):
        load_graph(path)
    path.write_text(json.dumps(convnet()))
    with pytest.raises(InputError, match="have all their sizes"):
        load_graph(path, {"height": 3})


_JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    2**62,
    10**40,
    0.5,
    "",
    "x",
    "\x1b[31m",
    [],
    [[]],
    [1],
    [-1],
    [0] * 9,
    {},
    {"tensor": "x"},
]


def _places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    entries = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in entries:
        found += _places(value, (*path, key))
    return found


@pytest.mark.parametrize("seed", range(4))
def test_damaged_records(seed: int) -> None:
    choose, base = random.Random(seed), convnet()
    places = _places(base)
    for _ in range(250):
        made = copy.deepcopy(base)
        *way, last = choose.choice(places)
        holder = made
        for key in way:
            holder = holder[key]
        if choose.random() < 0.2:
            del holder[last]
        else:
            holder[last] = copy.deepcopy(choose.choice(_JUNK))
        try:
            network, message = load_records(made), ""
        except PerfmodelError as error:
            network, message = None, str(error)
        assert message.isprintable()
        assert network is None or (network.parameters >= 0 and network.flops >= 0)


def test_exporting_needs_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"pip install 'perfmodel\[torch\]'"):
        export_records(object(), ())
