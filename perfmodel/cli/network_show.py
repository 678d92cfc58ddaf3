"""How the commands of ``perfmodel network`` show times, shapes and intensities."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.cli.output import print_columns

if TYPE_CHECKING:
    from perfmodel.serving.network import NetworkSetup


def shape(sides: Sequence[int]) -> str:
    """Return a shape as a text: ``64x56x56``."""
    return "x".join(str(side) for side in sides)


def band(time: Mapping[str, float]) -> str:
    """Return a time in words: expected, band and bound."""
    from perfmodel.reports.text import seconds

    return (f"{seconds(time['expected'])} expected (p10 {seconds(time['p10'])}, p90 {seconds(time['p90'])}), "
            f"bound {seconds(time['bound'])}")  # fmt: skip


def pairs(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and what they are."""
    found = list(rows)
    if found:
        print_columns(found)


def intensity(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the intensities of a network in words."""
    from perfmodel.reports.text import percent, plain

    weighed = ", ".join(
        f"{name.replace('_', ' ')} {plain(found[name])}" for name in ("by_flops", "by_time", "by_operand")
    )
    ridges = ", ".join(f"{plain(value)} in {name}" for name, value in found["ridge_flops_per_byte"].items())
    return [
        ("intensity", f"{plain(found['plain'])} FLOP/byte; weighed {weighed}"),
        ("ridge", f"{ridges}; {percent(found['memory_bound_share'])} of the time in kernels below it"),
    ]


def totals(setup: NetworkSetup, batch: int) -> dict[str, Any]:
    """Return latency, rate, energy and memory of a batch as reports have them."""
    from perfmodel.deployment.timing import plain_time

    answer = setup.answer(float(batch))
    joules = answer.joules_per_sample
    return {
        "latency_s": plain_time(answer.latency),
        "samples_per_s": float(answer.samples_per_s),
        "joules": None if joules is None else float(joules) * batch,
        "memory_bytes": float(answer.memory.used_bytes),
        "fits": bool(answer.fits),
    }
