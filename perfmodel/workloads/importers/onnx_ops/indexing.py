"""ONNX's look-ups: embeddings, gathers and scatters."""

from __future__ import annotations

from perfmodel import ops
from perfmodel.workloads.importers.graphs.layers import copied, elementwise, layer_norm, looked_up
from perfmodel.workloads.importers.graphs.tensors import Malformed, NotCounted, axis_of, shape_text
from perfmodel.workloads.importers.onnx_ops.call import MICROSOFT, Call, Result, lowers


@lowers("Gather")
def gather(c: Call) -> Result:
    """Lower a look-up: of learned rows an embedding, of one place a view, else a copy."""
    x, indices = c.x, c.need(1)
    if not x.rank:
        raise Malformed("looks up in a single number")
    axis = axis_of(c.int("axis", 0), x.rank)
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    if x.fixed and not indices.fixed and x.dtype.startswith(("float", "bfloat", "int8", "uint8")):
        return looked_up(c.write, x, indices, shape)
    if indices.fixed and indices.elements == 1:
        return c.write.view(x, shape)
    return copied(c.write, (x, indices), shape, "gather")


@lowers("GatherElements")
def gather_elements(c: Call) -> Result:
    """Lower a look-up of single elements."""
    return copied(c.write, (c.x, c.need(1)), c.need(1).shape, "gather")


@lowers("GatherND")
def gather_nd(c: Call) -> Result:
    """Lower a look-up by coordinates, which are the last dimension of the indices."""
    x, indices = c.x, c.need(1)
    batch = c.int("batch_dims", 0)
    depth = indices.shape[-1] if indices.rank else 0
    if not indices.rank or not 0 <= batch < indices.rank or batch + depth > x.rank:
        raise Malformed(f"looks up {shape_text(indices.shape)} in {shape_text(x.shape)}")
    return copied(c.write, (x, indices), (*indices.shape[:-1], *x.shape[batch + depth :]), "gather")


@lowers("ScatterElements", "ScatterND", "Scatter")
def scatter(c: Call) -> Result:
    """Lower an update of some elements; all of them are copied."""
    return copied(c.write, (c.x, c.need(1), c.need(2)), c.x.shape, "scatter")


@lowers("TensorScatter")
def scatter_cache(c: Call) -> Result:
    """Lower an update of a cache, in place: what is written is what is new."""
    new = copied(c.write, (c.need(1),), c.need(1).shape, "scatter")
    return c.write.node(None, (c.x, new), c.x.shape)


@lowers("OneHot")
def one_hot(c: Call) -> Result:
    """Lower the writing of ones at places."""
    depth = c.numbers(1)
    if not depth or depth[0] < 1:
        raise Malformed("says no depth")
    x = c.x
    rank = x.rank + 1
    axis = axis_of(c.int("axis", -1), rank)
    return copied(c.write, (x, c.get(2)), (*x.shape[:axis], depth[0], *x.shape[axis:]), "one_hot")


@lowers("Compress")
def compress(c: Call) -> Result:
    """Lower a choice of elements, if it is known which."""
    x, wanted = c.x, c.need(1)
    if wanted.value is None:
        raise NotCounted("the number of its results depends on the data")
    count = int(wanted.value.astype(bool).sum())
    if "axis" not in c.attributes:
        return copied(c.write, (x,), (count,), "gather")
    axis = axis_of(c.int("axis"), x.rank)
    return copied(c.write, (x,), (*x.shape[:axis], count, *x.shape[axis + 1 :]), "gather")


@lowers("EmbedLayerNormalization", domain=MICROSOFT)
def embed_norm(c: Call) -> Result:
    """Lower BERT's first layer: word, position and segment embeddings, their sum and its norm."""
    ids, segments, words, places, kinds = c.x, c.get(1), c.need(2), c.need(3), c.get(4)
    width = words.shape[-1] if words.rank else 0
    shape = (*ids.shape, width)
    total = looked_up(c.write, words, ids, shape)
    total = c.write.node(ops.Scale(ids.elements, width), (total, places), shape, weights=(places,), kind="add")
    if segments is not None and kinds is not None:
        total = elementwise(c.write, (total, looked_up(c.write, kinds, segments, shape)), "add")
    y = layer_norm(c.write, total, width, (c.get(5), c.get(6)))
    return [y, c.write.view(ids, ids.shape[:1], dtype="int32"), total][: max(c.outputs, 1)]
