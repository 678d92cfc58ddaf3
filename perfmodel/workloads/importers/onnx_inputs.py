"""What stands for the batch in a graph's inputs, and the sizes of their other dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfmodel.errors import ImportRefused, InputError, did_you_mean
from perfmodel.workloads.importers.graphs.tensors import Malformed, Shape, checked, plain_name
from perfmodel.workloads.importers.onnx_file import OnnxFile, type_name

if TYPE_CHECKING:
    from onnx import TensorShapeProto, TypeProto, ValueInfoProto

Dim = int | str
"""A size, or the name of one that is not fixed."""
_BATCH_NAMES = frozenset({"batch", "batch_size", "batchsize", "bs", "n", "b"})
_MOST_SIZE = 2**31


@dataclass(frozen=True)
class Input:
    """One input of a graph as its file declares it."""

    name: str
    dims: tuple[Dim, ...]
    dtype: str


@dataclass(frozen=True)
class Inputs:
    """The inputs of a graph, the sizes that were given, and what stands for the batch.

    ``symbols`` are the names of the batch; without one, it is the number ``batch`` in the inputs' first dimensions.
    """

    entries: tuple[Input, ...]
    sizes: Mapping[str, int]
    symbols: frozenset[str]
    batch: int

    def shapes(self, factor: int) -> tuple[Shape, ...]:
        """Return the inputs' shapes at ``factor`` times the batch."""
        return tuple(self._shape(entry.dims, factor) for entry in self.entries)

    def _shape(self, dims: tuple[Dim, ...], factor: int) -> Shape:
        found = [self.size(dim, factor) or 1 for dim in dims]
        if not self.symbols and dims and found[0] == self.batch:
            found[0] *= factor
        return checked(found, "an input")

    def size(self, dim: Dim, factor: int) -> int | None:
        """Return what a dimension is at ``factor`` times the batch; None if nobody has said."""
        if isinstance(dim, int):
            return dim
        return factor if dim in self.symbols else self.sizes.get(dim)


def read_inputs(file: OnnxFile, sizes: Mapping[str, int]) -> Inputs:
    """Return the inputs of a file's graph that are no stored tensors, with a size for each of their dimensions.

    The batch is every first dimension with a name that ``sizes`` does not give; without such, a dimension called batch;
    without that, the number in the first dimension of the first input.
    """
    stored = {tensor.name for tensor in file.graph.initializer}
    stored |= {tensor.values.name for tensor in file.graph.sparse_initializer}
    entries = tuple(_entry(file, value) for value in file.graph.input if value.name not in stored)
    names = {dim for entry in entries for dim in entry.dims if isinstance(dim, str)}
    _check_sizes(file, sizes, names)
    symbols = {e.dims[0] for e in entries if e.dims and isinstance(e.dims[0], str) and e.dims[0] not in sizes}
    if not symbols:
        symbols = {name for name in names - sizes.keys() if name.lower() in _BATCH_NAMES}
    missing = sorted(names - symbols - sizes.keys())
    if missing:
        first = next(e for e in entries if missing[0] in e.dims)
        dims = ", ".join(plain_name(str(dim), 40) for dim in first.dims)
        shown = ", ".join(f"'{plain_name(name, 40)}'" for name in missing[:8])
        raise InputError(
            f"{file.path}: input '{plain_name(first.name, 60)}' is [{dims}]: give sizes for {shown}"
            f"{' and more' if len(missing) > 8 else ''}, such as {plain_name(missing[0], 40)}=224"
        )
    found = {str(name): size for name, size in sizes.items()}
    unbatched = Inputs(entries, found, frozenset(symbols), 1)
    fixed = [shape[0] for shape in unbatched.shapes(1) if shape]
    return Inputs(entries, found, frozenset(symbols), 1 if symbols or not fixed else fixed[0])


def _check_sizes(file: OnnxFile, sizes: Mapping[str, Any], names: set[str]) -> None:
    for name, size in sizes.items():
        if name not in names:
            known = ", ".join(plain_name(n, 40) for n in sorted(names)[:8]) or "none"
            raise InputError(
                f"{file.path}: no input has a dimension '{plain_name(str(name), 40)}'"
                f"{did_you_mean(str(name), sorted(names)) or f'; those without a size are: {known}'}"
            )
        if isinstance(size, bool) or not isinstance(size, int) or not 0 < size < _MOST_SIZE:
            raise InputError(
                f"{file.path}: the size of '{plain_name(str(name), 40)}' must be a whole number of at least 1"
            )


def _entry(file: OnnxFile, value: ValueInfoProto) -> Input:
    name = plain_name(value.name, 60)
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise ImportRefused(
            f"{file.path}: input '{name}' is {(kind or 'of no type').replace('_type', '')}, not a tensor"
        )
    if not value.type.tensor_type.HasField("shape"):
        raise file.fault("says no shape: save the file with one, even if its sizes are names", f"input '{name}'")
    dims = dims_of(value.type.tensor_type.shape, value.name)
    for dim in dims:
        if isinstance(dim, int) and dim < 1:
            raise file.fault(
                f"has a dimension of {dim}; sizes are at least 1, and one that is open has a name", f"input '{name}'"
            )
    try:
        checked([dim for dim in dims if isinstance(dim, int)], "it")
    except Malformed as error:
        raise file.fault(str(error), f"input '{name}'") from None
    return Input(value.name, dims, type_name(value.type.tensor_type.elem_type) or "float32")


def dims_of(shape: TensorShapeProto, name: str) -> tuple[Dim, ...]:
    """Return declared dimensions; one without number and name is called by its tensor and place, "images.2"."""
    found: list[Dim] = []
    for place, dim in enumerate(shape.dim):
        if dim.HasField("dim_value"):
            found.append(dim.dim_value)
        else:
            found.append(dim.dim_param or f"{name}.{place}")
    return tuple(found)


def declared_dims(value: TypeProto, name: str) -> tuple[Dim, ...] | None:
    """Return the dimensions that a file declares for a tensor inside its graph, if it does."""
    if value.WhichOneof("value") != "tensor_type" or not value.tensor_type.HasField("shape"):
        return None
    return dims_of(value.tensor_type.shape, name)
