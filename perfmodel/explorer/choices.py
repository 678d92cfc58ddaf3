"""The choices of an explorer's page, each combination of which is traced: devices, splits, precisions, image sizes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfmodel.api import Estimate, estimate
from perfmodel.cost.facts import slow_matrix_units
from perfmodel.devices import Device
from perfmodel.devices.override import with_number
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.explorer.formulas import OperatorLabel, answer_formula, memory_formula
from perfmodel.explorer.network_formulas import network_formula, network_memory_formula
from perfmodel.explorer.numbers import (
    NETWORK_REQUEST,
    PRICES,
    REQUEST,
    DeviceNumber,
    device_numbers,
    turned,
    turned_network,
)
from perfmodel.network_api import NetworkEstimate, estimate_network
from perfmodel.network_report import fixed_notes as network_notes
from perfmodel.numeric import Number
from perfmodel.readings.javascript import Script, Template, script, template
from perfmodel.readings.trace import Graph
from perfmodel.report import fixed_notes
from perfmodel.workloads.network import AnyNetwork
from perfmodel.workloads.spec import LanguageModel

MOST_COMBINATIONS = 120
"""What one page may hold: each takes up to a second to trace, and 30 to 80 kB of script."""

MOST_BYTES = 6_000_000
"""What a page may take: more opens slowly on a phone, and no mail carries it."""

_PACES = ("", "slow")

_Answered = tuple[dict[str, Number], list[OperatorLabel], list[Number]]


@dataclass(frozen=True)
class Choices:
    """What can be picked on a page: values by the name of an option of :func:`perfmodel.estimate`, the usual first.

    ``model`` is a language model, or a network (by name or path where an axis changes its fields, such as ``image``).
    ``fixed`` are the options that stay as they are.
    """

    model: LanguageModel | AnyNetwork | str
    devices: tuple[Device, ...]
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def combinations(self) -> Iterator[tuple[tuple[int, ...], Device, dict[str, Any]]]:
        """Yield every combination: its place on each axis (the device first), the device, and the options."""
        places = [range(len(self.devices)), *(range(len(values)) for values in self.axes.values())]
        for place in itertools.product(*places):
            options = {name: values[i] for (name, values), i in zip(self.axes.items(), place[1:], strict=True)}
            yield place, self.devices[place[0]], options

    @property
    def request(self) -> tuple[str, ...]:
        """The numbers of a request that the page turns."""
        return REQUEST if isinstance(self.model, LanguageModel) else NETWORK_REQUEST


@dataclass(frozen=True)
class Traced:
    """One combination that can be: its traces by pace of the matrix units, and what goes with their results.

    ``usual`` is the pace of the device as its file has it, ``peaks`` the dtypes of its matrix units.
    """

    estimate: Estimate | NetworkEstimate
    usual: int
    peaks: frozenset[str]
    answers: tuple[Template, ...]
    memory: Template
    names: tuple[str, ...]
    operators: tuple[OperatorLabel, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Explored:
    """All combinations: those that can be, and of the others why not; their functions; the choice of pace by device."""

    choices: Choices
    traced: Mapping[tuple[int, ...], Traced]
    refused: Mapping[tuple[int, ...], str]
    functions: Script
    paces: Script


def explore(choices: Choices, say: Callable[[int, int | None], None] | None = None) -> Explored:
    """Trace every combination; ``say(done, of)`` hears of each.

    Errors: :class:`InputError` for too many of them; the first one's own error where none can be.
    """
    every = list(choices.combinations())
    if len(every) > MOST_COMBINATIONS:
        raise InputError(
            f"{len(every)} combinations of devices, splits and precisions are more than a page holds "
            f"({MOST_COMBINATIONS}); name fewer values"
        )
    traced: dict[tuple[int, ...], Traced] = {}
    refused: dict[tuple[int, ...], PerfmodelError] = {}
    for done, (place, device, options) in enumerate(every):
        if say:
            say(done, len(every))
        try:
            traced[place] = _traced(choices, device, {**choices.fixed, **options})
        except PerfmodelError as error:
            refused[place] = error
    if not traced:
        raise next(iter(refused.values()))
    functions = script([t for each in traced.values() for t in (*each.answers, each.memory)])
    paces = script([_pace(device) for device in choices.devices], "pace")
    return Explored(choices, traced, {place: str(error) for place, error in refused.items()}, functions, paces)


def arguments_of(device: Device, request: Sequence[str] = REQUEST) -> list[str]:
    """Return the names of all arguments that the functions of a device may have."""
    return [*request, *PRICES, *(number.argument for number in device_numbers(device))]


def _traced(choices: Choices, device: Device, options: dict[str, Any]) -> Traced:
    if isinstance(choices.model, LanguageModel):
        return _language(estimate(choices.model, device, **options), device)
    return _network(estimate_network(choices.model, device, **options), device)


def _language(asked: Estimate, device: Device) -> Traced:
    def answered(graph: Graph, pace: str) -> _Answered:
        setup = turned(asked.setup, device, _inputs(graph, device, REQUEST), pace)
        return answer_formula(setup, *(graph.input(name) for name in REQUEST))

    graph = Graph()
    setup = turned(asked.setup, device, _inputs(graph, device, REQUEST), "")
    words = ("batch", "tokens", "input_tokens")
    sizes = memory_formula(setup, *(graph.input(name) for name in words))
    memory = template([graph.lift(size) for size in sizes], words)
    chip = asked.setup.decode.machine.chip
    usual, answers, names, operators = _by_pace(answered, device, REQUEST, chip.matrix_pace)
    return Traced(
        asked, usual, frozenset(chip.peaks), answers, memory, names, operators, tuple(fixed_notes(asked))
    )  # fmt: skip


def _network(asked: NetworkEstimate, device: Device) -> Traced:
    def answered(graph: Graph, pace: str) -> _Answered:
        setup = turned_network(asked.setup, device, _inputs(graph, device, NETWORK_REQUEST), pace)
        return network_formula(setup, graph.input("batch"))

    graph = Graph()
    sizes = network_memory_formula(asked.setup, graph.input("batch"))
    memory = template([graph.lift(size) for size in sizes], NETWORK_REQUEST)
    chip = asked.setup.machine.chip
    usual, answers, names, operators = _by_pace(answered, device, NETWORK_REQUEST, chip.matrix_pace)
    return Traced(
        asked, usual, frozenset(chip.peaks), answers, memory, names, operators, tuple(network_notes(asked))
    )  # fmt: skip


def _by_pace(
    answered: Callable[[Graph, str], _Answered], device: Device, request: Sequence[str], own: str
) -> tuple[int, tuple[Template, ...], tuple[str, ...], tuple[OperatorLabel, ...]]:
    """Return the place of the device's own pace, a template for each pace, the results' names and the operators."""
    paces = _PACES if device_numbers(device) and device.kind == "gpu" else _PACES[:1]
    names: tuple[str, ...] = ()
    operators: tuple[OperatorLabel, ...] = ()
    answers: list[Template] = []
    for pace in paces:
        graph = Graph()
        named, labels, rows = answered(graph, pace)
        names, operators = tuple(named), tuple(labels)
        nodes = [graph.lift(value) for value in (*named.values(), *rows)]
        answers.append(template(nodes, arguments_of(device, request)))
    return _PACES.index(own), tuple(answers), names, operators


def _inputs(graph: Graph, device: Device, request: Sequence[str]) -> dict[str, Any]:
    return {name: graph.input(name) for name in arguments_of(device, request)}


def _pace(device: Device) -> Template:
    """Return the function that says which trace holds for a device's numbers."""
    graph = Graph()
    numbers: Sequence[DeviceNumber] = device_numbers(device)
    for number in numbers:
        device = with_number(device, number.field, graph.input(number.argument))
    slow = slow_matrix_units(device) if numbers else False
    return template([graph.lift(slow)], [number.argument for number in numbers])
