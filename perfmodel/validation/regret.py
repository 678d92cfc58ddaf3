"""How good the choices are: measured runs of many plans, of which the model picks one for each limit on TPOT."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from perfmodel.csv_input import read_header
from perfmodel.errors import InputError
from perfmodel.fitting.common import HELD_OUT_SHARE
from perfmodel.tables.scenarios import run_scenarios
from perfmodel.validation.measured import answered_rows

LIMITS_MS = (10.0, 20.0, 30.0, 50.0, 100.0)
GROUP = ("model", "device", "precision", "input_tokens", "output_tokens")
_NEEDED = (*GROUP, "batch", "mode", "measured_ttft_ms", "measured_tpot_ms")


class Run(NamedTuple):
    """A measured run with its prediction: times in ms, rates in output tokens a second and device."""

    tpot_ms: float
    rate: float
    predicted_tpot_ms: float
    predicted_rate: float
    rival_tpot_ms: float | None = None
    rival_rate: float | None = None


class Choice(NamedTuple):
    """What was picked of a group under a limit: its measured rate over the best one that keeps the limit.

    ``regret = 1 - rate(picked)/rate(best)``, of the rates that were measured. ``kept`` says whether the picked run
    keeps the limit when measured; where it does not, its rate is not counted and the regret is one.
    """

    group: tuple[str, ...]
    limit_ms: float
    candidates: int
    regret: float
    kept: bool


def output_rate(batch: float, output_tokens: float, ttft_ms: float, tpot_ms: float, gpus: float) -> float:
    """Return ``batch*output/(TTFT + TPOT*(output - 1))/gpus``, tokens a second and device."""
    return batch * output_tokens / ((ttft_ms + tpot_ms * (output_tokens - 1.0)) * 1e-3) / gpus


def choices(
    runs: Mapping[tuple[str, ...], Sequence[Run]], limits: Iterable[float] = LIMITS_MS, *, margin: float = 0.1,
    rival: bool = False,
) -> list[Choice]:  # fmt: skip
    """Return the choice of each group and limit that at least two measured runs keep.

    Picked is what is predicted to keep the limit, with the margin, and most tokens of all that do; if none does, what
    is predicted fastest.
    """
    found: list[Choice] = []
    for group, members in runs.items():
        known = [run for run in members if not rival or run.rival_tpot_ms is not None]
        for limit in limits:
            able = [run for run in members if run.tpot_ms <= limit]
            if len(able) < 2 or not known:
                continue
            best = max(run.rate for run in able)
            picked = _picked(known, limit / (1.0 + margin), rival)
            kept = picked.tpot_ms <= limit
            found.append(Choice(group, limit, len(able), 1.0 - picked.rate / best if kept else 1.0, kept))
    return found


def _picked(runs: Sequence[Run], limit: float, rival: bool) -> Run:
    def tpot(run: Run) -> float:
        return run.rival_tpot_ms or 0.0 if rival else run.predicted_tpot_ms

    def rate(run: Run) -> float:
        return run.rival_rate or 0.0 if rival else run.predicted_rate

    fast = [run for run in runs if tpot(run) <= limit]
    return max(fast, key=rate) if fast else min(runs, key=tpot)


def read_runs(path: Path) -> tuple[dict[tuple[str, ...], list[Run]], dict[str, int]]:
    """Return the measured runs of a table of scenarios by group, and why some rows have no prediction."""
    missing = [name for name in _NEEDED if name not in read_header(path)]
    if missing:
        raise InputError(f"{path} has no column {', '.join(missing)}; regret needs {', '.join(_NEEDED)}")
    rows, reasons = answered_rows(path, run_scenarios)
    runs: dict[tuple[str, ...], list[Run]] = {}
    for row in rows:
        if row["measured_ttft_ms"] and row["measured_tpot_ms"]:
            runs.setdefault(tuple(row[name] for name in GROUP), []).append(_run(row))
    return runs, reasons


def _run(row: Mapping[str, str]) -> Run:
    batch, outputs, gpus = float(row["batch"]), float(row["output_tokens"]), _gpus(row)

    def rate(ttft: str, tpot: str) -> float:
        return output_rate(batch, outputs, float(ttft), float(tpot), gpus)

    theirs = row.get("rival_silicon_ttft_ms"), row.get("rival_silicon_tpot_ms")
    rival = (float(theirs[1]), rate(theirs[0], theirs[1])) if theirs[0] and theirs[1] else (None, None)
    return Run(
        float(row["measured_tpot_ms"]), rate(row["measured_ttft_ms"], row["measured_tpot_ms"]),
        float(row["tpot_ms"]), rate(row["ttft_ms"], row["tpot_ms"]), *rival,
    )  # fmt: skip


def _gpus(row: Mapping[str, str]) -> float:
    def count(name: str) -> float:
        return float(row.get(name) or 1)

    if row["mode"] != "disagg":
        return count("tp") * count("pp") * count("attention_dp") * count("dp")
    return sum(
        count(f"{pool}_workers") * count(f"{pool}_tp") * count(f"{pool}_pp") * count(f"{pool}_attention_dp")
        for pool in ("prefill", "decode")
    )


def held_out(group: tuple[str, ...]) -> bool:
    """Say whether a group's shape is one that no fit of coefficients has seen."""
    import zlib

    text = "|".join(group[-2:])
    return zlib.crc32(text.encode()) % 1000 < 1000 * HELD_OUT_SHARE


def regret_table(found: Sequence[Choice]) -> list[dict[str, Any]]:
    """Return a row a limit, and one for all: groups, median and p90 of the regret, how often the limit is missed."""
    rows: list[dict[str, Any]] = []
    for limit in (*LIMITS_MS, None):
        part = [one for one in found if limit in (None, one.limit_ms)]
        if part:
            regrets = sorted(one.regret for one in part)
            rows.append({
                "limit_ms": limit if limit is not None else "all", "groups": len(part),
                "median_regret_percent": 100.0 * statistics.median(regrets),
                "p90_regret_percent": 100.0 * regrets[min(int(0.9 * len(regrets)), len(regrets) - 1)],
                "mean_regret_percent": 100.0 * statistics.fmean(regrets),
                "missed_percent": 100.0 * statistics.fmean(not one.kept for one in part),
            })  # fmt: skip
    return rows
