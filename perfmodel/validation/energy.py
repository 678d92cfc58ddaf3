"""Energy per token against ML.ENERGY, end to end: our step times and our power.

The data state the average batch and output length; prompts are taken as
:data:`perfmodel.fitting.energy.PROMPT_TOKENS`. Dense models in 16 bit on one device are fitted on (their power, not
their energy or speed); all others are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from perfmodel.fitting.energy import PROMPT_TOKENS, PowerRow, in_training, read_rows


@dataclass(frozen=True)
class Compared:
    """One run: joules of an output token as published and as predicted, with the predicted band."""

    model: str
    device: str
    devices: int
    precision: str
    group: str
    batch: float
    published: float
    predicted: float
    low: float
    high: float
    in_band: bool

    @property
    def ratio(self) -> float:
        """Return predicted over published."""
        return self.predicted / self.published


def compare(rows: Sequence[PowerRow]) -> list[Compared]:
    """Return each run's energy per output token beside the prediction for a closed loop of its batch."""
    return [_compared(row) for row in rows]


def _compared(row: PowerRow) -> Compared:
    answer = row.setup.answer(row.batch, float(PROMPT_TOKENS), row.output_tokens)
    predicted, facts = float(answer.extras["joules_per_token"]), row.setup.energy_facts
    assert facts is not None
    low, high = predicted * facts.p10, predicted * facts.p90
    return Compared(
        row.model, row.device, row.devices, row.precision, _group(row), row.batch, row.joules_per_token, predicted,
        low, high, low <= row.joules_per_token <= high,
    )  # fmt: skip


def _group(row: PowerRow) -> str:
    if in_training(row):
        return "one device, dense, 16 bit"
    kind = "dense" if row.dense else "experts"
    return f"{'one device' if row.devices == 1 else 'several devices'}, {kind}, {row.precision}"


def read_energy(path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return each run as a row of a table, and how many could not be modelled, by reason."""
    rows, reasons = read_rows(path)
    return [asdict(one) | {"metric": "joules_per_token", "ratio": one.ratio} for one in compare(rows)], reasons
