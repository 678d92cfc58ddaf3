"""ONNX graphs as networks: what each operator becomes, the batch divided out, parameters, and what is reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel import ops
from perfmodel.errors import ImportRefused, InputError, SpecError
from perfmodel.workloads.importers.graph_file import coverage, load_graph
from perfmodel.workloads.network import Network, Unsupported
from tests.onnx_graphs import FLOAT, INT64, helper, model, node, onnx, saved, weight, whole

Load = Callable[..., Network]
IMAGE = {"x": ("batch", 3, 32, 32)}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a model of the arguments and import it."""

    def loaded(*arguments: Any, sizes: dict[str, int] | None = None, **options: Any) -> Network:
        return load_graph(saved(tmp_path, *arguments, **options), sizes)

    return loaded


def operators(network: Network) -> list[Any]:
    return [node.operator for node in network.nodes if node.operator is not None]


# ---- a whole network


def small_network(batch: int | str) -> tuple[Any, ...]:
    nodes = [
        node("Conv", "x w b", "c", strides=[2, 2], pads=[1, 1, 1, 1], name="/stem/conv/Conv"),
        node("BatchNormalization", "c s t m v", "n", name="/stem/bn/BatchNormalization"),
        node("Relu", "n", "r", name="/stem/act/Relu"),
        node("GlobalAveragePool", "r", "p"),
        node("Flatten", "p", "f"),
        node("Gemm", "f g h", "y", transB=1),
    ]
    stored = [
        weight("w", 8, 3, 3, 3),
        weight("b", 8),
        *(weight(n, 8) for n in "stmv"),
        weight("g", 10, 8),
        weight("h", 10),
    ]
    return nodes, {"x": (batch, 3, 32, 32)}, stored


@pytest.mark.parametrize("batch", ["batch", None, 1, 4])
def test_a_small_network(load: Load, batch: Any) -> None:
    network = load(*small_network(batch), name="tiny.onnx")
    assert (network.name, network.family, network.sample) == ("tiny", "onnx", "image")
    assert network.inputs == ((3, 32, 32),)
    assert [n.shape for n in network.nodes] == [(8, 16, 16)] * 3 + [(8, 1, 1), (8,), (10,)]
    assert network.parameters == 8 * 27 + 8 + 16 + 80 + 10
    assert network.matmul_flops == 2 * (16 * 16 * 8 * 27 + 80)
    assert network.outputs == (5,)
    assert network.notes == ()
    assert network.unsupported == ()
    assert [n.block for n in network.nodes[:3]] == ["stem"] * 3
    assert network.spec_hash
    assert network.path.endswith("tiny.onnx")


def test_the_operators_of_one_sample(load: Load) -> None:
    for batch in ("n", 4):
        conv, norm, act, pool, gemm = operators(load(*small_network(batch)))
        assert conv == ops.Conv(1, 1, 3, 8, 32, 32, 1, (1, 3, 3), (1, 2, 2), (0, 2, 2), (1, 1, 1))
        assert (norm, act) == (ops.BatchNorm(256, 8), ops.Activation(256, 8))
        assert pool == ops.Pool(1, 8, 256, 1, 256)
        assert (gemm.m, gemm.n, gemm.k) == (1, 10, 8)


def test_a_batch_that_does_not_divide_is_one_sample(load: Load) -> None:
    nodes = [node("Unsqueeze", "x a", "u"), node("Conv", "u w", "y")]
    network = load(nodes, {"x": (3, 8, 8)}, [whole("a", 0), weight("w", 4, 3, 1, 1)])
    assert network.inputs == ((3, 8, 8),)
    assert network.matmul_flops == 2 * 64 * 12
    assert "batch of 3 does not divide" in network.notes[0]


def test_what_does_not_grow_with_the_batch_is_told(load: Load) -> None:
    nodes = [
        node("Sin", "t", "s"),
        node("Add", "x s", "a"),
        node("Transpose", "x", "q", perm=[1, 0]),
        node("MatMul", "a q", "y"),
    ]
    network = load(nodes, {"x": ("batch", 6), "t": (6,)})
    assert any("do not depend on the batch" in note and "s" in note for note in network.notes)
    assert any("do not grow in proportion" in note for note in network.notes)


# ---- batch and sizes


def test_sizes_of_open_dimensions(load: Load) -> None:
    arguments = ([node("Relu", "x", "y")], {"x": ("batch", 3, "height", None)})
    with pytest.raises(InputError, match=r"input 'x' is \[batch, 3, height, x.3\]: give sizes for 'height', 'x.3'"):
        load(*arguments)
    assert load(*arguments, sizes={"height": 8, "x.3": 9}).inputs == ((3, 8, 9),)
    with pytest.raises(InputError, match="no input has a dimension 'hight' - did you mean 'height'"):
        load(*arguments, sizes={"hight": 8})
    with pytest.raises(InputError, match="must be a whole number"):
        load(*arguments, sizes={"height": 0, "x.3": 9})


def test_a_batch_behind_the_sequence(load: Load) -> None:
    network = load([node("Relu", "x", "y")], {"x": ("tokens", "batch", 16)}, sizes={"tokens": 5})
    assert network.inputs == ((5, 16),)
    assert network.nodes[0].shape == (5, 16)


@pytest.mark.parametrize(
    ("before", "now", "out", "batch", "expected"),
    [
        ((1, 512, 7, 7), (2, 512, 7, 7), (1, 25088), 1, (2, 25088)),
        ((1, 4, 14, 14), (2, 4, 14, 14), (1, 2, 2, 14, 14), 1, (2, 2, 2, 14, 14)),
        ((1, 8, 8, 6), (2, 8, 8, 6), (4, 4, 4, 6), 1, (8, 4, 4, 6)),
        ((197, 1, 768), (197, 2, 768), (197, 12, 64), 1, (197, 24, 64)),
        ((197, 1, 12, 64), (197, 2, 12, 64), (197, 768), 1, (394, 768)),
        ((197, 3, 12, 64), (197, 6, 12, 64), (591, 768), 3, (1182, 768)),
        ((197, 768), (394, 768), (197, 1, 768), 1, (197, 2, 768)),
        ((4, 10), (8, 10), (2, 20), 4, (4, 20)),
    ],
)
def test_where_the_batch_goes_in_a_written_shape(
    before: Any, now: Any, out: Any, batch: int, expected: tuple[int, ...]
) -> None:  # fmt: skip
    from perfmodel.workloads.importers.onnx_ops.moves import regrown

    assert regrown(before, now, out, batch) == expected


def test_shapes_worked_out_in_the_graph(load: Load) -> None:
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n axes", "n1"),
        node("Slice", "s one three", "hw"), node("ReduceProd", "hw", "p", keepdims=1),
        node("Concat", "n1 minus p", "t", axis=0), node("Reshape", "x t", "y"),
    ]  # fmt: skip
    stored = [onnx.numpy_helper.from_array(np.array(0), "zero"), whole("axes", 0), whole("one", 2), whole("three", 4),
              whole("minus", -1)]  # fmt: skip
    network = load(nodes, IMAGE, stored)
    assert network.nodes[0].operator is None
    assert [n.shape for n in network.nodes] == [(3, 1024)]
    assert network.parameters == 0


# ---- parameters


def test_each_stored_tensor_counts_once(load: Load) -> None:
    nodes = [node("MatMul", "x w", "a"), node("MatMul", "a w", "b"), node("Add", "b w1", "y")]
    network = load(nodes, {"x": ("n", 6, 6)}, [weight("w", 6, 6), weight("w1", 6)])
    assert [n.parameters for n in network.nodes] == [36, 0, 6]


def test_what_counts_as_learned(load: Load) -> None:
    stored = [weight("table", 6), weight("one", data=True), weight("ids", 6, dtype=INT64), whole("shape", 0, 6)]
    nodes = [node("Mul", "x one", "a"), node("Add", "a table", "b"), node("Cast", "ids", "i", to=FLOAT),
             node("Add", "b i", "c"), node("Reshape", "c shape", "y")]  # fmt: skip
    assert load(nodes, {"x": ("n", 6)}, stored).parameters == 6


def test_weights_that_the_graph_makes(load: Load) -> None:
    nodes = [
        node("ConstantOfShape", "shape", "w"), node("Constant", "", "b", value=weight("", 4)),
        node("Conv", "x w b", "c"), node("Constant", "", "h", value_float=0.5), node("Mul", "c h", "y"),
    ]  # fmt: skip
    assert load(nodes, IMAGE, [whole("shape", 4, 3, 1, 1)]).parameters == 12 + 4


def test_weights_behind_other_nodes(load: Load) -> None:
    nodes = [
        node("Transpose", "w", "t", perm=[1, 0]),
        node("DequantizeLinear", "t s z", "d"),
        node("MatMul", "x d", "y"),
    ]
    stored = [
        weight("w", 10, 6, dtype=onnx.TensorProto.INT8),
        weight("s", data=True),
        weight("z", dtype=onnx.TensorProto.INT8),
    ]
    network = load(nodes, {"x": ("n", 6)}, stored)
    assert [type(n.operator) for n in network.nodes] == [ops.Linear]
    assert network.parameters == 60


def test_external_data_are_not_opened(load: Load) -> None:
    outside = weight("w", 4, 3, 1, 1)
    outside.data_location = onnx.TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/nowhere/at/all")
    assert load([node("Conv", "x w", "y")], IMAGE, [outside]).parameters == 12


def test_two_gigabytes_of_weights_without_data(load: Load) -> None:
    network = load([node("MatMul", "x w", "y")], {"x": ("n", 2**15)}, [weight("w", 2**15, 2**15)])
    assert network.parameters == 2**30


# ---- operators


def kinds(network: Network) -> list[str]:
    return [node.operator.KIND if node.operator else "view" for node in network.nodes]


def test_products(load: Load) -> None:
    x, w = {"x": ("n", 4, 6)}, weight("w", 6, 5)
    assert load([node("MatMul", "x w", "y")], x, [w]).matmul_flops == 2 * 4 * 6 * 5
    left = load([node("MatMul", "v x", "y")], x, [weight("v", 3, 4)])
    assert (left.nodes[0].shape, left.matmul_flops) == ((3, 6), 2 * 3 * 4 * 6)
    two = load([node("MatMul", "x z", "y")], {"x": ("n", 4, 6), "z": ("n", 6, 2)})
    assert operators(two) == [ops.BatchedMatmul(1, 4, 2, 6)]
    several = load([node("MatMul", "x w", "y")], {"x": ("n", 2, 4, 6)}, [weight("w", 2, 6, 5)])
    assert kinds(several) == ["conv2d"]
    assert (several.matmul_flops, several.parameters, several.notes) == (2 * 2 * 4 * 6 * 5, 60, ())


@pytest.mark.parametrize(
    ("equation", "shape", "flops", "kind"),
    [
        ("bij,jk->bik", (4, 5), 2 * 4 * 6 * 5, "gemm"),
        ("bij,bkj->bik", (4, 3), 2 * 4 * 6 * 3, "batched_matmul"),
        ("...j,jk", (4, 5), 2 * 4 * 6 * 5, "gemm"),
        ("bij,bij->b", (), 2 * 24, "batched_matmul"),
    ],
)
def test_einsum(load: Load, equation: str, shape: Any, flops: int, kind: str) -> None:
    second = {"bij,bkj->bik": ("n", 3, 6), "bij,bij->b": ("n", 4, 6)}.get(equation)
    inputs = {"x": ("n", 4, 6)} | ({"z": second} if second else {})
    network = load([node("Einsum", "x z", "y", equation=equation)], inputs, [] if second else [weight("z", 6, 5)])
    assert (network.nodes[0].shape, network.matmul_flops, kinds(network)) == (shape, flops, [kind])


def test_convolutions(load: Load) -> None:
    transposed = load(
        [node("ConvTranspose", "x w b", "y", strides=[2, 2], group=3)],
        IMAGE,
        [weight("w", 3, 4, 2, 2), weight("b", 12)],
    )
    assert transposed.nodes[0].shape == (12, 64, 64)
    assert transposed.matmul_flops == 2 * 32 * 32 * 12 * 4
    assert transposed.parameters == 48 + 12
    same = load([node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[3, 3])], IMAGE, [weight("w", 4, 3, 5, 5)])
    assert same.nodes[0].shape == (4, 11, 11)
    line = load([node("Conv", "x w", "y")], {"x": ("n", 3, 20)}, [weight("w", 4, 3, 5)])
    assert (line.nodes[0].shape, line.matmul_flops) == ((4, 16), 2 * 16 * 4 * 15)
    nodes = [node("DeformConv", "x w o - m", "y", pads=[1, 1, 1, 1])]
    deformed = load(
        nodes, {**IMAGE, "o": ("batch", 18, 32, 32), "m": ("batch", 9, 32, 32)}, [weight("w", 4, 3, 3, 3)], opset=19
    )
    assert kinds(deformed) == ["deform_conv2d"]
    assert deformed.nodes[0].inputs == (-1, -2, -3)


def test_moves_and_views(load: Load) -> None:
    nodes = [
        node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Unsqueeze", "t one", "u"),
        node("Transpose", "u", "v", perm=[0, 2, 1, 3, 4]), node("Squeeze", "v zero", "s"),
        node("Split", "s", "a b", axis=1, num_outputs=2), node("Concat", "a b", "c", axis=3),
        node("Pad", "c pads", "p"), node("Pad", "p none", "y"),
    ]  # fmt: skip
    stored = [whole("one", 1), whole("zero", 2), whole("pads", *[0, 0, 0, 0, 0, 1, 0, 0]), whole("none", *[0] * 8)]
    network = load(nodes, IMAGE, stored, opset=18)
    assert kinds(network) == ["copy", "view", "view", "view", "view", "view", "copy", "copy"]
    assert [n.shape for n in network.nodes][-4:] == [(16, 32, 3), (16, 32, 3), (16, 32, 6), (17, 32, 6)]


def test_elementwise(load: Load) -> None:
    nodes = [
        node("Mul", "x g", "a"), node("Add", "a x", "b"), node("Mul", "b w", "c"), node("Sum", "c x b", "d"),
        node("Where", "m d x", "e"), node("Clip", "e", "f"), node("Softmax", "f", "y", axis=1),
    ]  # fmt: skip
    network = load(nodes, {**IMAGE, "g": ("batch", 3, 1, 1), "m": (1, 1, 32, 32)}, [weight("w", 3, 1, 1)])
    assert kinds(network) == ["scale", "add", "scale", "add", "add", "multiply", "activation", "softmax"]
    assert network.nodes[0].inputs == (-1, -2)
    assert operators(network)[-1] == ops.Softmax(1024, 3)


def test_pools_reductions_and_resizing(load: Load) -> None:
    nodes = [
        node("MaxPool", "x", "a", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("ReduceMean", "a", "b", axes=[2, 3]), node("Resize", "b - scales", "c", mode="linear"),
        node("TopK", "c k", "v i", axis=1), node("ArgMax", "v", "y", axis=1),
    ]  # fmt: skip
    scales = onnx.numpy_helper.from_array(np.array([1, 1, 4, 4], np.float32), "scales")
    network = load(nodes, IMAGE, [scales, whole("k", 2)])
    assert [n.shape for n in network.nodes] == [(3, 16, 16), (3, 1, 1), (3, 4, 4), (2, 4, 4), (1, 4, 4)]
    assert operators(network)[2] == ops.Resize(1, 3, 1, 16, 4)


def test_embeddings_and_norms(load: Load) -> None:
    nodes = [
        node("Gather", "table ids", "e"), node("LayerNormalization", "e g b", "n"),
        node("RMSNormalization", "n r", "m"), node("InstanceNormalization", "m si bi", "i"),
        node("GroupNormalization", "i sg bg", "y", num_groups=2),
    ]  # fmt: skip
    stored = [
        weight("table", 100, 8),
        *(weight(n, 8) for n in "gbr"),
        *(weight(n, 4) for n in ("si", "bi", "sg", "bg")),
    ]
    network = load(nodes, {"ids": ("n", 4)}, stored, opset=23, types={"ids": INT64})
    assert kinds(network) == ["embedding", "layernorm", "rmsnorm", "groupnorm", "groupnorm"]
    assert [n.parameters for n in network.nodes] == [800, 16, 8, 8, 8]


def test_recurrent_layers(load: Load) -> None:
    nodes = [node("LSTM", "x w r b", "y h", hidden_size=5)]
    stored = [weight("w", 1, 20, 3), weight("r", 1, 20, 5), weight("b", 1, 40)]
    network = load(nodes, {"x": ("steps", "batch", 3)}, stored, ["y", "h"], sizes={"steps": 7})
    assert network.parameters == 20 * 3 + 20 * 5 + 40
    assert network.matmul_flops == 2 * 7 * 20 * (3 + 5)
    assert [network.shape_of(value) for value in network.outputs] == [(7, 1, 5), (1, 5)]


def test_attention_of_the_standard(load: Load) -> None:
    q, kv = ("n", 8, 10, 16), ("n", 2, 12, 16)
    network = load([node("Attention", "q k v", "y")], {"q": q, "k": kv, "v": kv}, opset=23)
    (op,) = operators(network)
    assert (op.heads, op.kv_heads, op.q_tokens, op.kv_tokens, op.head_dim) == (8, 2, 10, 12, 16)
    assert network.matmul_flops == 4 * 8 * 10 * 12 * 16


def test_attention_as_exporters_write_it(load: Load) -> None:
    inputs = {"q": ("n", 4, 9, 16), "k": ("n", 4, 16, 9), "v": ("n", 4, 9, 8)}
    nodes = [node("MatMul", "q k", "s"), node("Mul", "s half", "h"), node("Add", "h mask", "m"),
             node("Softmax", "m", "p"), node("MatMul", "p v", "o"), node("Relu", "o", "y")]  # fmt: skip
    stored = [weight("half", data=True), weight("mask", 4, 9, 9)]
    network = load(nodes, inputs, stored)
    assert kinds(network) == ["attention_prefill", "activation"]
    assert network.nodes[0].inputs == (-1, -2, -3)
    assert network.nodes[1].inputs == (0,)
    assert network.matmul_flops == 2 * 4 * 81 * (16 + 8)
    assert network.parameters == 4 * 81
    apart = load(nodes, inputs, stored, ["y", "p"])
    assert kinds(apart).count("batched_matmul") == 2
    assert apart.matmul_flops == network.matmul_flops


def test_operators_of_onnx_runtime(load: Load) -> None:
    nodes = [
        node("SkipLayerNormalization", "x x g b", "n", "com.microsoft"),
        node("Attention", "n w c", "a", "com.microsoft", num_heads=2),
        node("FusedMatMul", "a w2", "f", "com.microsoft", transB=1), node("Gelu", "f", "e", "com.microsoft"),
        node("MultiHeadAttention", "e e e", "m", "com.microsoft", num_heads=2),
        node("MatMulNBits", "m packed scales", "y", "com.microsoft", K=8, N=6, bits=4, block_size=16),
    ]  # fmt: skip
    stored = [weight("g", 8), weight("b", 8), weight("w", 8, 24), weight("c", 24), weight("w2", 8, 8),
              weight("packed", 6, 1, 8, dtype=onnx.TensorProto.UINT8), weight("scales", 6)]  # fmt: skip
    network = load(nodes, {"x": ("n", 5, 8)}, stored)
    assert network.unsupported == ()
    found = ["add", "layernorm", "gemm", "attention_prefill", "gemm", "activation", "attention_prefill", "gemm"]
    assert kinds(network) == found
    assert network.parameters == 16 + 8 * 24 + 24 + 64 + 48


def test_quantised_operators(load: Load) -> None:
    stored = [weight("w", 4, 3, 1, 1, dtype=onnx.TensorProto.INT8), weight("b", 4, dtype=onnx.TensorProto.INT32),
              *(weight(n, data=True) for n in ("s", "z"))]  # fmt: skip
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("QLinearConv", "q s z w s z s z b", "c"),
        node("DequantizeLinear", "c s z", "y"),
    ]
    network = load(nodes, IMAGE, stored)
    assert kinds(network) == ["scale", "conv2d", "scale"]
    assert network.parameters == 12 + 4


# ---- functions, branches, and what is not known


def test_functions_of_the_file(load: Load) -> None:
    body = [node("Conv", "a w", "c"), node("LeakyRelu", "c", "b")]
    body[1].attribute.append(onnx.AttributeProto(name="alpha", type=onnx.AttributeProto.FLOAT, ref_attr_name="alpha"))
    function = helper.make_function("mine", "block", ["a", "w"], ["b"], body, [helper.make_opsetid("", 17)], ["alpha"])
    nodes = [
        node("block", "x w", "y", "mine", name="one", alpha=0.1),
        node("block", "y v", "z", "mine", name="two", alpha=0.2),
    ]
    network = load(
        nodes, IMAGE, [weight("w", 3, 3, 1, 1), weight("v", 4, 3, 1, 1)], functions=[function], domains=["mine"]
    )
    assert [n.name for n in network.nodes] == ["one/c", "one/b", "two/c", "two/b"]
    assert network.parameters == 9 + 12


def branch(name: str, kind: str) -> Any:
    return helper.make_graph([node(kind, "x", name)], name, [], [helper.make_tensor_value_info(name, FLOAT, None)])


def test_branches(load: Load) -> None:
    nodes = [node("Size", "x", "s"), node("Less", "s many", "less"),
             node("If", "less", "y", then_branch=branch("t", "Relu"), else_branch=branch("e", "Exp"))]  # fmt: skip
    network = load(nodes, IMAGE, [onnx.numpy_helper.from_array(np.array(10**9), "many")])
    assert [n.kind for n in network.nodes] == ["relu"]
    unknown = load([node("ReduceMax", "x", "m"), node("Cast", "m", "c", to=9), *nodes[2:]], {"x": (1, 3), "less": (1,)})
    assert unknown.unsupported == (Unsupported("If", 1, "which branch runs depends on the data"),)


def test_what_is_not_known_is_reported_and_the_rest_goes_on(load: Load) -> None:
    nodes = [
        node("Mystery", "x w", "a", "mine"),
        node("Conv", "x v", "b"),
        node("Col2Im", "c s s", "d"),
        node("Relu", "a", "y"),
    ]
    nodes[2] = node("Det", "x", "d")
    declared = [helper.make_tensor_value_info("a", FLOAT, ("batch", 7))]
    arguments = (nodes, IMAGE, [weight("w", 5), weight("v", 4, 3, 1, 1)], ["y", "b", "d"])
    network = load(*arguments, values=declared, domains=["mine"])
    assert network.unsupported == (Unsupported("Det", 1), Unsupported("Mystery", 1, "of 'mine'"))
    assert [n.shape for n in network.nodes] == [(7,), (4, 32, 32), (3,), (7,)]
    assert network.parameters == 5 + 12
    found = coverage(network)
    assert (found.supported, found.unsupported) == (2, 2)
    assert [(m.kind, m.flops) for m in found.missing] == [("Det", 3.0), ("Mystery", 7.0)]
    assert 0.99 < found.share < 1
    unknown = load(*arguments, domains=["mine"])
    assert Unsupported("Relu", 1, "its input's shape is not known after 'Mystery'") in unknown.unsupported
    assert unknown.matmul_flops == network.matmul_flops


def test_results_whose_number_depends_on_the_data(load: Load) -> None:
    nodes = [node("NonZero", "x", "n"), node("Transpose", "n", "t"), node("Relu", "x", "y")]
    network = load(nodes, {"x": ("n", 6)}, (), ["y", "t"])
    reasons = {(u.kind, u.reason) for u in network.unsupported}
    assert ("NonZero", "the number of its results depends on the data") in reasons
    assert ("Transpose", "its input's shape is not known after 'NonZero'") in reasons
    assert [n.kind for n in network.nodes] == ["relu"]


# ---- files


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match=r"end in .onnx or .json; convert it with tf2onnx"):
        load_graph(tmp_path / "net.tflite")
    with pytest.raises(ImportRefused, match="export_records"):
        load_graph(tmp_path / "net.pt2")


def test_without_the_onnx_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install 'perfmodel\[onnx\]'"):
        load_graph(tmp_path / "net.onnx")


def test_the_hash_does_not_depend_on_weights(tmp_path: Path) -> None:
    with_data, without = (
        load_graph(
            saved(tmp_path, model([node("MatMul", "x w", "y")], {"x": ("n", 64)}, [weight("w", 64, 64, data=d)]))
        )
        for d in (True, False)
    )
    assert with_data.spec_hash == without.spec_hash
    assert with_data.parameters == without.parameters == 4096


def test_no_graph(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(onnx.ModelProto(ir_version=8).SerializeToString())
    with pytest.raises(SpecError, match=r"x.onnx: holds no graph"):
        load_graph(path)
