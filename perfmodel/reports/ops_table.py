"""The operators of an estimate as rows: for CSV as they are, for people by phase and by time."""

from __future__ import annotations

from typing import Any, NamedTuple

from perfmodel.reports.text import MISSING, Report, Row, amount, number, plain

SCENARIO_COLUMNS: tuple[str, ...] = ("model", "device", "batch", "input_tokens", "output_tokens")
"""The inputs that are repeated in every row of an estimate's CSV."""

OPERATOR_COLUMNS: tuple[str, ...] = (
    "phase",
    "name",
    "part",
    "kind",
    "dtype",
    "repeat",
    "flops",
    "bytes",
    "link_bytes",
    "arithmetic_intensity_flops_per_byte",
    "bound_s",
    "p10_s",
    "expected_s",
    "p90_s",
    "compute_s",
    "memory_s",
    "link_s",
    "behind",
    "share",
    "bottleneck",
    "algorithm",
)
"""The columns of one operator: all its repetitions together, ``share`` of the expected time of its phase."""

ESTIMATE_COLUMNS: tuple[str, ...] = SCENARIO_COLUMNS + OPERATOR_COLUMNS
"""The columns of a language model's CSV, in order."""

NETWORK_SCENARIO_COLUMNS: tuple[str, ...] = ("model", "device", "batch", "precision")
NETWORK_OPERATOR_COLUMNS: tuple[str, ...] = (*OPERATOR_COLUMNS[:2], "block", *OPERATOR_COLUMNS[2:])
"""The same of networks: ``phase`` is the network of a pipeline, ``block`` its block, ``part`` the kind of layer."""

_WORTH_DRAWING = 0.01
STEPS = ("prefill", "decode", "step")
"""The phases of language models; those of others are named by their networks."""


class Phase(NamedTuple):
    """The operators of one phase, the slowest first, and the sums of their expected and bound times in seconds."""

    name: str
    rows: list[Row]
    expected_s: float
    bound_s: float

    @property
    def spoken(self) -> str:
        """Return how a sentence names the phase."""
        return f"the {self.name}" if self.name in STEPS else self.name


def of_network(report: Report) -> bool:
    """Say whether an estimate is that of a network rather than a language model."""
    return "sample" in (report.get("inputs") or {})


def operator_columns(report: Report) -> tuple[str, ...]:
    """Return the columns of an estimate's operators."""
    return NETWORK_OPERATOR_COLUMNS if of_network(report) else OPERATOR_COLUMNS


def estimate_columns(report: Report) -> tuple[str, ...]:
    """Return the columns of an estimate's CSV, in order."""
    return (NETWORK_SCENARIO_COLUMNS if of_network(report) else SCENARIO_COLUMNS) + operator_columns(report)


def operators_of(report: Report) -> list[Row]:
    """Return the operators in the order of the estimate."""
    return list(report.get("operators") or ())


def phases(report: Report) -> list[Phase]:
    """Return the phases in the order of the estimate, each with its operators, the slowest first."""
    groups: dict[str, list[Row]] = {}
    for row in operators_of(report):
        groups.setdefault(str(row.get("phase") or "step"), []).append(row)
    return [_phase(name, rows) for name, rows in groups.items()]


def main_phases(report: Report) -> list[Phase]:
    """Return the phases, of a pipeline those networks that take a part of its time worth drawing."""
    found = phases(report)
    if not of_network(report):
        return found
    least = _WORTH_DRAWING * sum(phase.expected_s for phase in found)
    return [phase for phase in found if phase.expected_s >= least]


def together(report: Report) -> list[Phase]:
    """Return the phases, those of a pipeline of networks as one: where all of it spends its time."""
    found = phases(report)
    if len(found) < 2 or not of_network(report):
        return found
    rows: list[Row] = [{**row, "name": f"{phase.name}: {row.get('name')}"} for phase in found for row in phase.rows]
    return [_phase("all networks", rows)]


def _phase(name: str, rows: list[Row]) -> Phase:
    ordered = sorted(rows, key=lambda row: -amount(row.get("expected_s")))
    return Phase(name, ordered, _sum(rows, "expected_s"), _sum(rows, "bound_s"))


def _sum(rows: list[Row], column: str) -> float:
    return sum(amount(row.get(column)) for row in rows)


def share(row: Row, phase: Phase) -> float:
    """Return an operator's part of the expected time of its phase, from the times or else from the row."""
    if phase.expected_s:
        return amount(row.get("expected_s")) / phase.expected_s
    return amount(row.get("share"))


def label(row: Row, phase: Phase) -> str:
    """Return an operator's name, with its repetitions if another one of the phase has the same name."""
    name = str(row.get("name") or MISSING)
    same = sum(other.get("name") == row.get("name") for other in phase.rows)
    return f"{name} (x{plain(row.get('repeat'))})" if same > 1 and row.get("repeat") else name


def of_bound(row: Row) -> float | None:
    """Return how close an operator's expected time comes to its bound, 1 being the bound itself."""
    bound_s, expected_s = number(row.get("bound_s")), number(row.get("expected_s"))
    return bound_s / expected_s if bound_s is not None and expected_s else None


def folded(phase: Phase, most: int) -> tuple[list[Row], Row | None]:
    """Return the slowest operators, and one row for all others together if there are more than ``most``."""
    if len(phase.rows) <= most:
        return phase.rows, None
    shown, others = phase.rows[: most - 1], phase.rows[most - 1 :]
    total: dict[str, Any] = {column: _sum(others, column) for column in OPERATOR_COLUMNS if column.endswith("_s")}
    shares = sum(share(row, phase) for row in others)
    return shown, {**total, "phase": phase.name, "name": f"{len(others)} others", "part": "other", "share": shares}


def estimate_rows(report: Report) -> list[dict[str, Any]]:
    """Return the CSV of an estimate: a row per operator, each with the main inputs; keys: :func:`estimate_columns`."""
    inputs: Row = report.get("inputs") or {}
    columns = operator_columns(report)
    asked = {column: inputs.get(column) for column in estimate_columns(report) if column not in columns}
    return [asked | {column: row.get(column) for column in columns} for row in operators_of(report)]
