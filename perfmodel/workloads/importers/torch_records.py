"""Records of a PyTorch graph as a network of one sample; reading them needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.workloads.importers.aten import LOWERINGS, AtenCall
from perfmodel.workloads.importers.graphs.attention_pattern import with_attention
from perfmodel.workloads.importers.graphs.batch import Drawn, nothing_known, per_sample
from perfmodel.workloads.importers.graphs.tensors import Malformed, Shape, Tensor, plain_name, shape_text
from perfmodel.workloads.importers.graphs.writer import Writer
from perfmodel.workloads.importers.torch_export import export_records
from perfmodel.workloads.importers.torch_schema import Described, Record, Records, read_records
from perfmodel.workloads.network import Network

__all__ = ["export_records", "load_records"]

_FAULTS = (ArithmeticError, LookupError, TypeError, ValueError, AttributeError, AssertionError)
_NOTHING = ("_assert", "sym_", "_operator.", "_local_scalar_dense", "_check", "_functional_assert")
"""Begin the names of nodes that are no work: checks, and sizes."""


def load_records(source: str | Path | Mapping[str, Any]) -> Network:
    """Return the network of records that :func:`export_records` made: a file, or what it returned.

    The batch of the example inputs is divided out. Parameters are those that the module learns and its graph reads.
    Nodes that are not known are in ``unsupported``, and stand in the network as the writing of their results.

    Errors: :class:`SpecError` for records that are damaged or make no sense.
    """
    records = read_records(source)
    drawn = with_attention(_Run(records).drawn())
    if not drawn.drafts:
        raise nothing_known(records.place, drawn)
    path = "" if isinstance(source, Mapping) else str(source)
    return per_sample(
        records.name, "torch", drawn, records.batch, source=records.source or path, spec_hash=records.hash, path=path
    )


class _Run:
    """Goes through records node by node."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.write = Writer()
        self.known: dict[str, list[Tensor | None]] = {}
        self.moved: set[int] = set()

    def drawn(self) -> Drawn:
        r = self.records
        for place, (name, entry) in enumerate(r.inputs.items()):
            if 0 in entry.shape:
                raise r.fault(f"is empty: {shape_text(entry.shape)}", f"input '{plain_name(name, 60)}'")
            self.known[name] = [Tensor(entry.shape, -1 - place, dtype=entry.dtype)]
        for name, entry in r.stored.items():
            self.known[name] = [self.write.stored(name, entry.shape, entry.dtype, name in r.learned)]
        for record in r.nodes:
            self._node(record)
        outputs = [self._resolved(output, "outputs") for output in r.outputs]
        found = tuple(t.index for t in outputs if isinstance(t, Tensor) and t.index is not None)
        shapes = tuple(entry.shape for entry in r.inputs.values())
        return Drawn(shapes, self.write.drafts, found, self.write.unsupported())

    def _node(self, record: Record) -> None:
        where = f"node '{plain_name(record.name, 60)}' ({plain_name(record.op, 60)})"
        if record.name in self.known:
            raise self.records.fault("is there twice; names must differ", where)
        label = f"{record.module.replace('.', '/')}/{record.name}" if record.module else record.name
        self.write.at(plain_name(label))
        args = [self._resolved(arg, where) for arg in record.args]
        kwargs = {key: self._resolved(arg, where) for key, arg in record.kwargs.items()}
        op = lowering_name(record.op)
        call = AtenCall(op, args, kwargs, record.results, self.write, self.moved)
        try:
            self.known[record.name] = self._results(call, record)
        except Malformed as error:
            raise self.records.fault(plain_name(str(error), 400), where) from None
        except _FAULTS as error:
            detail = plain_name(str(error), 120)
            raise self.records.fault(f"arguments do not fit together ({detail})", where) from None

    def _results(self, call: AtenCall, record: Record) -> list[Tensor | None]:
        if not any(record.results) or call.op.startswith(_NOTHING):
            return [None for _ in record.results]
        lowering = LOWERINGS.get(call.op)
        if lowering is None:
            return self._missed(call, record)
        made = lowering(call)
        found: Sequence[Tensor | None] = [made] if isinstance(made, Tensor) else made
        for tensor, wanted in zip(found, record.results, strict=False):
            if tensor is not None and wanted is not None and tensor.shape != wanted.shape:
                raise Malformed(f"leaves {shape_text(tensor.shape)}, its record says {shape_text(wanted.shape)}")
        return list(found)

    def _missed(self, call: AtenCall, record: Record) -> list[Tensor | None]:
        tensors = call.tensors()
        fixed = all(t.fixed for t in tensors)
        if not fixed:
            self.write.miss(call.op)
        return [self._stand_in(call.op, tensors, result, fixed) for result in record.results]

    def _stand_in(self, kind: str, tensors: Sequence[Tensor], result: Described | None, fixed: bool) -> Tensor | None:
        if result is None:
            return None
        shape: Shape = result.shape
        if fixed or 0 in shape:
            weights = frozenset[str]().union(*(t.weights for t in tensors))
            return Tensor(shape, weights=weights, dtype=result.dtype)
        return self.write.stand_in(plain_name(kind, 60), tensors, shape, result.dtype)

    def _resolved(self, value: Any, where: str) -> Any:
        """Return an argument with tensors in the place of references."""
        if isinstance(value, list):
            return [self._resolved(item, where) for item in value]
        if not isinstance(value, dict):
            return value
        name, place = value.get("tensor"), value.get("result", 0)
        shown = plain_name(repr(name), 60)
        found = self.known.get(name) if isinstance(name, str) else None
        if found is None:
            raise self.records.fault(
                f"reads {shown}, and no record before it makes that: one is missing, or there is a cycle", where
            )
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(found):
            raise self.records.fault(f"reads result {plain_name(repr(place), 20)} of {shown}", where)
        return found[place]


def lowering_name(op: str) -> str:
    """Return an operator's name without overload and the underscore of what works in place ("torchvision.nms")."""
    name = op.replace("::", ".").removeprefix("torch.ops.").removeprefix("aten.")
    head, dot, overload = name.rpartition(".")
    if dot and ("." in head or overload == "default" or op.startswith(("aten.", "aten::"))):
        name = head
    return name if name.startswith("__") or not name.endswith("_") else name[:-1]
