"""Energy per token against ML.ENERGY, end to end: our step times and our power.

``python -m perfmodel.validation.energy --data ../shared/reference/gpu_power_mlenergy.csv.gz [--json]``. The data state
the average batch and output length; prompts are taken as :data:`perfmodel.fitting.energy.PROMPT_TOKENS`. Dense models
in 16 bit on one device are fitted on (their power, not their energy or speed); all others are not.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

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
    inside = predicted * facts.p10 <= row.joules_per_token <= predicted * facts.p90
    return Compared(
        row.model, row.device, row.devices, row.precision, _group(row), row.batch, row.joules_per_token, predicted,
        inside,
    )  # fmt: skip


def _group(row: PowerRow) -> str:
    if in_training(row):
        return "one device, dense, 16 bit"
    kind = "dense" if row.dense else "experts"
    return f"{'one device' if row.devices == 1 else 'several devices'}, {kind}, {row.precision}"


def table(found: Sequence[Compared]) -> list[dict[str, str | int | float]]:
    """Return a row a device and kind of run: errors of joules per token in percent."""
    groups: dict[tuple[str, str], list[Compared]] = {}
    for one in found:
        groups.setdefault((one.group, one.device), []).append(one)
        groups.setdefault((one.group, "all"), []).append(one)
    return [_summary(group, device, members) for (group, device), members in sorted(groups.items())]


def _summary(group: str, device: str, members: Sequence[Compared]) -> dict[str, str | int | float]:
    off = [100 * abs(one.ratio - 1) for one in members]
    return {
        "group": group,
        "device": device,
        "runs": len(members),
        "median_error_percent": statistics.median(off),
        "mean_error_percent": statistics.fmean(off),
        "median_ratio": statistics.median(one.ratio for one in members),
        "in_band_percent": 100 * statistics.fmean(one.in_band for one in members),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or everything as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    rows, reasons = read_rows(options.data)
    found = compare(rows)
    if options.json:
        runs = [asdict(one) | {"ratio": one.ratio} for one in found]
        print(json.dumps({"table": table(found), "runs": runs, "not_modelled": reasons}, indent=2))
        return
    _print(table(found), reasons)


def _print(rows: Sequence[Mapping[str, str | int | float]], reasons: Mapping[str, int]) -> None:
    print(
        f"{'J per output token':34s} {'device':10s} {'runs':>5s} {'median':>8s} {'mean':>8s} {'ratio':>6s} {'band':>6s}"
    )
    for row in rows:
        print(
            f"{row['group']:34s} {row['device']:10s} {row['runs']:5d} {row['median_error_percent']:7.1f}% "
            f"{row['mean_error_percent']:7.1f}% {row['median_ratio']:6.2f} {row['in_band_percent']:5.0f}%"
        )
    skipped = sum(reasons.values())
    print(f"not modelled: {skipped} runs, such as {max(reasons, key=lambda r: reasons[r])}", file=sys.stderr)


if __name__ == "__main__":
    main()
