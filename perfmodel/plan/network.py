"""The operators that one device runs for a batch of a network's samples: formats, folding, fusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Self

from perfmodel import ops
from perfmodel.errors import InputError, PlanError, did_you_mean
from perfmodel.formats import Encoding, Format, runnable_format
from perfmodel.numeric import Number, minimum
from perfmodel.ops.conv import Convolution
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.network import Network, Node

FUSIONS = ("none", "pointwise", "epilogue", "block")
"""What runs in one pass: each layer alone; chains of element-wise work; a layer and what rides behind it; a block."""

LEADS = (Convolution, ops.Linear, ops.BatchedMatmul, ops.AttentionPrefill)
_RIDES_ALONG = (ops.BatchNorm, ops.Activation, ops.Scale, ops.Add, ops.Multiply)
_LIGHT = (*_RIDES_ALONG, ops.Copy, ops.LayerNorm, ops.GroupNorm, ops.RmsNorm, ops.Pool)


@dataclass(frozen=True)
class NetworkPlan:
    """How a network runs on a device.

    ``precision`` of weights and activations; ``layers`` are (pattern, precision) of layers that differ, by the names of
    nodes ("fc", "layer1.*"), the last that matches wins. ``fusion``: :data:`FUSIONS`. ``folds_norms``: batch norms are
    folded into the weights of the layer before, as deployment tools do. ``sparsity`` "2:4": weights of which half are
    structural zeros. ``dp`` replicas share the samples.
    """

    precision: str = "float16"
    layers: tuple[tuple[str, str], ...] = ()
    fusion: str = "epilogue"
    folds_norms: bool = True
    sparsity: str = "dense"
    dp: int = 1

    def __post_init__(self) -> None:
        if self.fusion not in FUSIONS:
            raise InputError(
                f"unknown fusion '{self.fusion}'{did_you_mean(self.fusion, FUSIONS)} (one of {', '.join(FUSIONS)})"
            )
        if self.sparsity not in ("dense", "2:4"):
            raise InputError(f"sparsity must be dense or 2:4, not '{self.sparsity}'")


@dataclass(frozen=True)
class Kernel:
    """One kernel of a network on one sample: its operator, the nodes in it, and the block that it belongs to."""

    name: str
    operator: ops.Operator
    nodes: tuple[int, ...]
    block: str


def network_operators(
    network: Network, plan: NetworkPlan, peaks: Iterable[str], batch: Number
) -> list[StepOperator]:  # fmt: skip
    """Return the kernels of one pass over ``batch`` samples, in the order in which they run."""
    return [
        StepOperator(kernel.name, kernel.block, kernel.operator.batched(batch), 1.0)
        for kernel in kernels(network, plan, frozenset(peaks))
    ]


@lru_cache(maxsize=64)
def kernels(network: Network, plan: NetworkPlan, peaks: frozenset[str]) -> tuple[Kernel, ...]:
    """Return the kernels of one sample: formats chosen, norms folded, layers fused as the plan says.

    ``peaks`` are the dtypes of the device's matrix units.
    """
    operators = {index: _cast(node, plan, peaks) for index, node, _ in network.running()}
    operators = {i: op if i in network.per_sample else _once(op) for i, op in operators.items()}
    if plan.folds_norms:
        operators = {i: op for i, op in operators.items() if not _folds(network, i)}
    groups = _GROUPINGS[plan.fusion](network, operators)
    return tuple(_kernel(network, group, operators) for group in groups)


def _folds(network: Network, index: int) -> bool:
    """Say whether a node is a batch norm straight behind a layer with weights whose result nobody else sees."""
    node = network.nodes[index]
    if not isinstance(node.operator, ops.BatchNorm) or not node.inputs:
        return False
    source = node.inputs[0]
    if source < 0 or len(network.readers[source]) != 1 or source in network.outputs:
        return False
    return isinstance(network.nodes[source].operator, (Convolution, ops.Linear))


# ---- what runs together


def _each_alone(network: Network, operators: Mapping[int, ops.Operator]) -> Iterator[list[int]]:
    for index in operators:
        yield [index]


def _chains(
    network: Network, operators: Mapping[int, ops.Operator], leads: tuple[type[ops.Operator], ...] = _LIGHT
) -> Iterator[list[int]]:
    """Yield each operator with what may ride along behind ``leads``: element-wise work that alone reads its result."""
    taken: set[int] = set()
    for index in operators:
        if index in taken:
            continue
        group = [index]
        following = _follower(network, operators, index) if isinstance(operators[index], leads) else None
        while following is not None and following not in taken:
            group.append(following)
            following = _follower(network, operators, following)
        taken.update(group)
        yield group


def _with_epilogues(network: Network, operators: Mapping[int, ops.Operator]) -> Iterator[list[int]]:
    return _chains(network, operators, (*LEADS, *_LIGHT))


def _follower(network: Network, operators: Mapping[int, ops.Operator], index: int) -> int | None:
    """Return the one reader of a node's result, if it is element-wise and all else that it reads is there already."""
    while True:
        readers = network.readers.get(index, ())
        if len(readers) != 1 or index in network.outputs:
            return None
        reader = readers[0]
        if reader in operators:
            break
        index = reader  # a folded norm or a view
    if (
        not isinstance(operators[reader], _RIDES_ALONG)
        or network.nodes[reader].elements != network.nodes[index].elements
    ):
        return None
    if (reader in network.per_sample) != (index in network.per_sample):
        return None  # one of them runs once a batch
    others = (value for value in network.nodes[reader].inputs if value != index)
    return reader if all(value < index for value in others) else None


def _whole_blocks(network: Network, operators: Mapping[int, ops.Operator]) -> Iterator[list[int]]:
    """Yield runs of nodes of one block."""
    group: list[int] = []
    for index in operators:
        if group and network.nodes[group[-1]].block != network.nodes[index].block:
            yield group
            group = []
        group.append(index)
    if group:
        yield group


_GROUPINGS = {"none": _each_alone, "pointwise": _chains, "epilogue": _with_epilogues, "block": _whole_blocks}


def _kernel(network: Network, group: list[int], operators: Mapping[int, ops.Operator]) -> Kernel:
    first = network.nodes[group[0]]
    if len(group) == 1:
        return Kernel(first.name, operators[group[0]], (group[0],), first.block)
    inside = set(group)
    written = [i for i in group if i in network.outputs or _leaves(network, i, inside)]
    parts = tuple(operators[i] for i in group)
    op = ops.Fused(
        1, _elements_read(network, group), sum(network.nodes[i].elements for i in written), parts, _element_bytes(parts)
    )  # fmt: skip
    return Kernel(
        f"{first.name}+{len(group) - 1}", op if network.per_sample & inside else _once(op), tuple(group), first.block
    )  # fmt: skip


def _elements_read(network: Network, group: list[int]) -> Number:
    """Return the elements that a group reads of one sample: views of a value by their own sizes, at most all of it."""
    made = _made_inside(network, set(group))
    read: dict[int, dict[int, Number]] = {}
    for value in (v for i in group for v in network.nodes[i].inputs):
        owner = network.owner(value)
        if owner not in made:
            read.setdefault(owner, {})[value] = network.elements_of(value)
    return sum(minimum(network.elements_of(owner), sum(views.values())) for owner, views in read.items())


def _made_inside(network: Network, inside: set[int]) -> set[int]:
    """Return the values that a group makes: its nodes', and those of folded norms and views behind them."""
    made = set(inside)
    for index in range(min(inside), len(network.nodes)):
        node = network.nodes[index]
        if index not in made and index <= max(inside) and node.inputs and set(node.inputs) <= made:
            made.add(index)
    return made


def _leaves(network: Network, index: int, inside: set[int]) -> bool:
    """Say whether a node's result is read outside its group, through folded norms and views too."""
    waiting = list(network.readers.get(index, ()))
    if not waiting:
        return True
    while waiting:
        reader = waiting.pop()
        if reader in inside:
            continue
        node = network.nodes[reader]
        if node.operator is None or _folds(network, reader):
            following = network.readers.get(reader, ())
            if not following or reader in network.outputs:
                return True
            waiting += following
            continue
        return True
    return False


def _element_bytes(parts: tuple[ops.Operator, ...]) -> float:
    for part in parts:
        if isinstance(part, (Convolution, ops.Linear)):
            return part.format.activation.bytes_per_element
        if hasattr(part, "element_bytes"):
            return float(part.element_bytes)  # type: ignore[attr-defined]
    return 2.0


# ---- formats


@lru_cache(maxsize=4096)
def node_format(name: str, plan: NetworkPlan, peaks: frozenset[str]) -> Format:
    """Return the number format of a node as an engine with these dtypes runs it."""
    precision = plan.precision
    for pattern, other in plan.layers:
        if fnmatchcase(name, pattern):
            precision = other
    found = runnable_format(precision, frozenset(dtype for dtype in peaks if "@" not in dtype))
    if plan.sparsity == "dense":
        return found
    if f"{found.compute}@2:4" not in peaks:
        raise PlanError(f"the device has no 2:4 sparse {found.compute} peak; use --sparsity dense")
    return _sparse(found)


def _sparse(form: Format) -> Format:
    """Return a format whose weights keep two of four elements, each with a 2-bit index, on the sparse matrix peak.

    Source: Mishra et al. 2021, "Accelerating Sparse Deep Neural Networks" (arXiv 2104.08378).
    """
    weight = replace(form.weight, bits=form.weight.bits / 2 + 1)
    compute, like = f"{form.compute}@2:4", form.calibrated_as
    return replace(form, name=f"{form.name}_2:4", weight=weight, compute=compute, stand_in=like)


def _cast(node: Node, plan: NetworkPlan, peaks: frozenset[str]) -> ops.Operator:
    """Return a node's operator in the formats of the plan; products of activations never run below 16 bits."""
    op, form = node.operator, node_format(node.name, plan, peaks)
    assert op is not None
    width = form.activation.bytes_per_element
    if isinstance(op, Convolution):
        return replace(op, format=form)
    if isinstance(op, ops.Linear):
        return replace(op, format=form, output_bytes=width)
    wide = form.activation.bits >= 16
    dtype = form.compute.removesuffix("@2:4") if wide else _wide_dtype(peaks)
    encoding = form.activation if wide else Encoding(dtype, 16)
    if isinstance(op, ops.AttentionPrefill):
        return replace(op, dtype=dtype, cache=encoding)
    if isinstance(op, ops.BatchedMatmul):
        return replace(op, dtype=dtype, element_bytes=encoding.bytes_per_element)
    if any(field.name == "element_bytes" for field in fields(op)):
        return replace(op, element_bytes=width)  # type: ignore[call-arg]
    return op


def _wide_dtype(peaks: frozenset[str]) -> str:
    return next((d for d in ("float16", "bfloat16", "tf32", "float32", "int8") if d in peaks), min(peaks))


# ---- what a batch runs once


class _Once:
    """Makes an operator one that reads nothing of a sample: it runs once for a whole batch."""

    def batched(self, samples: Number) -> Self:
        return self


def _once(op: ops.Operator) -> ops.Operator:
    return _once_class(type(op))(**{field.name: getattr(op, field.name) for field in fields(op)})


@lru_cache(maxsize=64)
def _once_class(kind: type[ops.Operator]) -> type[ops.Operator]:
    return type(kind.__name__, (_Once, kind), {"__doc__": kind.__doc__})
