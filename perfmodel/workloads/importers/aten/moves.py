"""ATen's views, and operators that move elements and change none."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from perfmodel.workloads.importers.aten.call import AtenCall, lowers
from perfmodel.workloads.importers.graphs.layers import copied, looked_up
from perfmodel.workloads.importers.graphs.tensors import Malformed, Tensor, shape_text

VIEWS = (
    "alias", "as_strided", "chunk", "detach", "diagonal", "expand", "expand_as", "movedim", "moveaxis", "narrow",
    "numpy_T", "permute", "select", "slice", "split", "split_with_sizes", "squeeze", "swapaxes", "swapdims", "t",
    "tensor_split", "transpose", "unbind", "unfold", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes",
    "unsqueeze", "view", "view_as", "view_as_complex", "view_as_real", "unsqueeze_copy", "squeeze_copy",
)  # fmt: skip
_REORDER = frozenset({"movedim", "moveaxis", "numpy_T", "permute", "swapaxes", "swapdims", "t", "transpose", "unfold"})
_REPEAT = frozenset({"expand", "expand_as"})


@lowers(*VIEWS)
def view(c: AtenCall) -> list[Tensor | None]:
    """Lower views of a tensor; one that changes the order of elements is copied where its order matters."""
    x = c.x
    found: list[Tensor | None] = []
    for result in c.results:
        if result is None:
            raise Malformed("has no result")
        if c.op not in _REPEAT and c.op not in ("unfold", "as_strided") and prod(result.shape) > x.elements:
            raise Malformed(f"views {shape_text(x.shape)} as {shape_text(result.shape)}")
        shown = c.write.view(x, result.shape, dtype="" if x.dtype == result.dtype else result.dtype)
        if shown.index is not None and (_moves(c.op, x.shape, result.shape) or x.index in c.moved):
            c.moved.add(shown.index)
        found.append(shown)
    return found


def _moves(op: str, before: Sequence[int], after: Sequence[int]) -> bool:
    """Say whether a view leaves elements in another order, or repeats them."""
    if op in _REORDER:
        return [n for n in before if n != 1] != [n for n in after if n != 1] or op == "permute"
    return op in _REPEAT and prod(before) != prod(after)


@lowers(
    "reshape", "reshape_as", "flatten", "unflatten", "contiguous", "clone", "_unsafe_view", "ravel", "_reshape_alias"
)
def reshape(c: AtenCall) -> Tensor:
    """Lower a view in the order of its shape: a copy, if its elements are in another one."""
    x = c.x
    if prod(c.shape) != x.elements:
        raise Malformed(f"reshapes {shape_text(x.shape)} to {shape_text(c.shape)}")
    if x.index in c.moved:
        return copied(c.write, (x,), c.shape)
    return c.write.view(x, c.shape)


@lowers(
    "lift_fresh_copy", "lift_fresh", "lift", "to", "_to_copy", "type_as", "dropout", "native_dropout", "alpha_dropout",
    "feature_dropout", "float", "half", "bool", "int", "long", "identity", "detach_copy", "_to_cpu", "positive",
    "resolve_conj", "resolve_neg", "conj", "real",
)  # fmt: skip
def same(c: AtenCall) -> list[Tensor | None]:
    """Lower what changes nothing but the type when a network runs."""
    x = c.x
    y = c.write.view(x, x.shape, dtype="" if x.dtype == c.out.dtype else c.out.dtype)
    return [y, *(None for _ in c.results[1:])]


@lowers("cat", "concat", "concatenate", "stack", "hstack", "vstack", "block_diag")
def cat(c: AtenCall) -> Tensor:
    """Lower a concatenation."""
    parts = [part for part in c.tensors() if part.elements]
    if sum(part.elements for part in parts) != prod(c.shape):
        raise Malformed(f"joins {len(parts)} tensors to {shape_text(c.shape)}")
    if len(parts) == 1:
        return c.write.view(parts[0], c.shape)
    return copied(c.write, parts, c.shape)


@lowers(
    "repeat", "repeat_interleave", "tile", "roll", "flip", "rot90", "pad", "constant_pad_nd", "reflection_pad1d",
    "reflection_pad2d", "reflection_pad3d", "replication_pad1d", "replication_pad2d", "replication_pad3d",
    "_pad_circular", "_pad_enum", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "im2col", "col2im", "meshgrid",
    "one_hot", "permute_copy", "transpose_copy", "expand_copy", "copy", "fill", "zero",
)  # fmt: skip
def copy(c: AtenCall) -> list[Tensor | None]:
    """Lower a movement of elements; one that changes no shape by nothing is a view."""
    tensors = c.tensors()
    found: list[Tensor | None] = []
    for result in c.results:
        if result is None:
            raise Malformed("has no result")
        nothing = result.shape == tensors[0].shape if c.op in ("repeat", "tile", "pad", "constant_pad_nd") else False
        found.append(c.write.view(tensors[0], result.shape) if nothing else copied(c.write, tensors, result.shape))
    return found


@lowers(
    "gather", "index", "index_select", "take_along_dim", "take", "_unsafe_index", "scatter", "scatter_add",
    "scatter_reduce", "index_put", "_index_put_impl", "_unsafe_index_put", "index_add", "index_copy", "slice_scatter",
    "select_scatter", "masked_scatter", "index_fill",
)  # fmt: skip
def indexed(c: AtenCall) -> Tensor:
    """Lower a look-up or update by indices: of learned rows an embedding, else a copy."""
    tensors = c.tensors()
    if not tensors:
        raise Malformed("has no tensor")
    x = tensors[0]
    if x.fixed and c.op in ("index", "index_select", "gather") and any(not t.fixed for t in tensors[1:]):
        places = next(t for t in tensors[1:] if not t.fixed)
        return looked_up(c.write, x, places, c.shape)
    return copied(c.write, tensors, c.shape, "gather")


@lowers(
    "arange", "empty", "empty_like", "empty_strided", "eye", "full", "full_like", "linspace", "logspace", "new_empty",
    "new_full", "new_ones", "new_zeros", "ones", "ones_like", "rand", "randn", "randint", "scalar_tensor", "tensor",
    "tril_indices", "triu_indices", "zeros", "zeros_like", "randperm", "new_empty_strided", "hann_window",
)  # fmt: skip
def created(c: AtenCall) -> Tensor:
    """Lower what is made of no tensor's numbers: it is there before the first sample."""
    return Tensor(c.shape, dtype=c.out.dtype)
