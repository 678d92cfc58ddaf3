"""The choices of an explorer's page, each combination of which is traced: devices, splits and precisions."""

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
from perfmodel.explorer.numbers import PRICES, REQUEST, DeviceNumber, device_numbers, turned
from perfmodel.readings.javascript import Script, Template, script, template
from perfmodel.readings.trace import Graph
from perfmodel.serving.scenario import Setup
from perfmodel.workloads.spec import LanguageModel

MOST_COMBINATIONS = 120
"""What one page may hold: each takes up to a second to trace, and 30 to 80 kB of script."""

_PACES = ("", "slow")


@dataclass(frozen=True)
class Choices:
    """What can be picked on a page: values by the name of an option of :func:`perfmodel.estimate`, the usual first.

    ``fixed`` are the options that stay as they are.
    """

    model: LanguageModel
    devices: tuple[Device, ...]
    axes: Mapping[str, tuple[Any, ...]] = field(default_factory=dict[str, tuple[Any, ...]])
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def combinations(self) -> Iterator[tuple[tuple[int, ...], Device, dict[str, Any]]]:
        """Yield every combination: its place on each axis (the device first), the device, and the options."""
        places = [range(len(self.devices)), *(range(len(values)) for values in self.axes.values())]
        for place in itertools.product(*places):
            options = {name: values[i] for (name, values), i in zip(self.axes.items(), place[1:], strict=True)}
            yield place, self.devices[place[0]], options


@dataclass(frozen=True)
class Traced:
    """One combination that can be: its traces by pace of the matrix units, and what goes with their results.

    ``usual`` is the pace of the device as its file has it.
    """

    estimate: Estimate
    usual: int
    answers: tuple[Template, ...]
    memory: Template
    names: tuple[str, ...]
    operators: tuple[OperatorLabel, ...]


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
            asked = estimate(choices.model, device, **{**choices.fixed, **options})
            traced[place] = _traced(asked, device)
        except PerfmodelError as error:
            refused[place] = error
    if not traced:
        raise next(iter(refused.values()))
    functions = script([t for each in traced.values() for t in (*each.answers, each.memory)])
    paces = script([_pace(device) for device in choices.devices], "pace")
    return Explored(choices, traced, {place: str(error) for place, error in refused.items()}, functions, paces)


def arguments_of(device: Device) -> list[str]:
    """Return the names of all arguments that the functions of a device may have."""
    return [*REQUEST, *PRICES, *(number.argument for number in device_numbers(device))]


def _traced(asked: Estimate, device: Device) -> Traced:
    usual = _PACES.index(asked.setup.decode.machine.chip.matrix_pace)
    paces = _PACES if device_numbers(device) and device.kind == "gpu" else _PACES[:1]
    names: tuple[str, ...] = ()
    operators: tuple[OperatorLabel, ...] = ()
    answers: list[Template] = []
    for pace in paces:
        graph, setup = _graph(asked.setup, device, pace)
        named, labels, rows = answer_formula(setup, *(graph.input(name) for name in REQUEST))
        names, operators = tuple(named), tuple(labels)
        nodes = [graph.lift(value) for value in (*named.values(), *rows)]
        answers.append(template(nodes, arguments_of(device)))
    graph, setup = _graph(asked.setup, device, paces[0])
    sizes = memory_formula(setup, graph.input("batch"), graph.input("tokens"), graph.input("input_tokens"))
    memory = template([graph.lift(size) for size in sizes], ["batch", "tokens", "input_tokens"])
    return Traced(asked, usual, tuple(answers), memory, names, operators)


def _graph(setup: Setup, device: Device, pace: str) -> tuple[Graph, Setup]:
    graph = Graph()
    return graph, turned(setup, device, {name: graph.input(name) for name in arguments_of(device)}, pace)


def _pace(device: Device) -> Template:
    """Return the function that says which trace holds for a device's numbers."""
    graph = Graph()
    numbers: Sequence[DeviceNumber] = device_numbers(device)
    for number in numbers:
        device = with_number(device, number.field, graph.input(number.argument))
    slow = slow_matrix_units(device) if numbers else False
    return template([graph.lift(slow)], [number.argument for number in numbers])
