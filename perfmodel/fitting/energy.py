"""Fits energy per byte and per flop on measured power of language-model serving.

``python -m perfmodel.fitting.energy --data ../shared/reference/gpu_power_mlenergy.csv.gz [--out]`` prints the errors:
in-sample, each model left out, and the other device's coefficients. The power of an idle chip that is ready is pinned
(``static_share``), because prompt lengths are not in the data and the three are not identified together.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perfmodel.devices import load_device
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.fitting.common import write_calibration
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.pipeline import decode_steps, prefill_step
from perfmodel.serving.scenario import Question, Setup, prepare
from perfmodel.serving.timed import StepTime
from perfmodel.workloads.library import load_model
from perfmodel.workloads.spec import LanguageModel

DEVICES = {"H100": "h100-sxm", "B200": "b200"}
TEXT_TASKS = ("lm-arena-chat", "gpqa", "sourcegraph-fim")
PROMPT_TOKENS = 256
"""Assumed length of a prompt, which the data do not state; of the text tasks only."""

STATIC_SHARE = 0.2
"""Active idle power over the limit: 141 W of an H100's 700, 212 W of a B200's 1000 (intercepts of a free fit)."""

PJ_PER_LINK_BYTE = 344.0
"""5.5 pJ/bit of a 112 Gbit/s lane and 150 pJ/B of memory at both ends."""


@dataclass(frozen=True)
class PowerRow:
    """One measured run with the traffic that our operator counts give for it, per device."""

    model: str
    device: str
    devices: int
    precision: str
    dense: bool
    batch: float
    output_tokens: float
    power_w: float
    joules_per_token: float
    bytes_per_s: float
    flops_per_s: float
    setup: Setup


def read_rows(path: Path) -> tuple[list[PowerRow], dict[str, int]]:
    """Return the text-generation runs that can be modelled, and how many could not be, by reason."""
    import pandas as pd

    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    if missing := {"task", "num_gpus", "avg_batch_size", "energy_per_token_joules"} - set(frame.columns):
        raise InputError(f"{path} has no column {', '.join(sorted(missing))}: is it a table of measured power?")
    kept: list[PowerRow] = []
    reasons: dict[str, int] = {}
    for raw in frame.to_dict("records"):
        if raw["task"] not in TEXT_TASKS:
            reason = f"task {raw['task']}"
        else:
            try:
                kept.append(_row(raw))
                continue
            except PerfmodelError as error:
                reason = str(error).split(";")[0]
        reasons[reason] = reasons.get(reason, 0) + 1
    return kept, reasons


def library_model(name: str) -> LanguageModel:
    """Return the model of a Hugging Face id, whose tuning and release date change no count."""
    short = name.rsplit("/", maxsplit=1)[-1]
    for suffix in ("-FP8", "-0528", "-2507", "-Instruct", "-Thinking"):
        short = short.removesuffix(suffix)
    return load_model({"DeepSeek-R1": "deepseek-v3", "DeepSeek-V3.1": "deepseek-v3"}.get(short, short))


def _row(raw: dict[str, Any]) -> PowerRow:
    count = int(raw["num_gpus"])
    apart = isinstance(raw["par_notes"], str)  # attention by data, experts by expert parallelism
    ep = int(raw["par_expert_parallel"] or 1)
    plan = Plan(attention_dp=count, ep=count) if apart else Plan(tp=count, ep=ep if ep > 1 else 1)
    precision = "fp8" if raw["prec"] == "fp8" else None
    question = Question(plan=plan, precision=precision, engine="vllm")
    setup = prepare(library_model(raw["model"]), load_device(DEVICES[raw["gpu_model"]]), question)
    batch, output = float(raw["avg_batch_size"]), float(raw["avg_output_len"])
    steps_per_s = float(raw["output_throughput_tokens_per_sec"]) / batch
    decode = _traffic(decode_steps(setup.decode, batch, PROMPT_TOKENS, output))
    groups = float(setup.decode.plan.attention_dp)
    prompts = batch / output / groups  # steps' worth of prefills of a prompt a group
    prefill = _traffic(prefill_step(setup.prefill, groups, PROMPT_TOKENS))
    moved, flops = (steps_per_s * (d + prompts * p) for d, p in zip(decode, prefill, strict=True))
    return PowerRow(
        raw["model"], DEVICES[raw["gpu_model"]], count, str(raw["prec"]), "Dense" in str(raw["arch"]), batch, output,
        float(raw["avg_power_watts"]) / count, float(raw["energy_per_token_joules"]), moved, flops, setup,
    )  # fmt: skip


def _traffic(step: StepTime) -> tuple[float, float]:
    """Return (bytes of weights and cache, matrix and vector flops weighed by their 16-bit equivalent) of a step."""
    from perfmodel.cost.energy import EnergyFacts, dynamic_energy

    unit = EnergyFacts(0.0, 1.0, 1.0, 1.0, 0.0, {"fp8": 0.5, "fp4": 0.25}, 1.0, False, 1.0, 1.0)
    parts = [(dynamic_energy(r.step.operator.counts(), unit), r.step.repeat) for r in step.operators]
    return sum(float(j.memory_j) * n for j, n in parts), sum(float(j.compute_j) * n for j, n in parts)


def fit(rows: Sequence[PowerRow]) -> tuple[float, float]:
    """Return (pJ a byte, pJ a 16-bit flop) by least squares of relative errors, neither below zero."""
    import numpy as np
    from scipy.optimize import lsq_linear

    power = np.array([r.power_w for r in rows])
    static = np.array([STATIC_SHARE * _limit(r) for r in rows])
    work = np.array([[r.bytes_per_s, r.flops_per_s] for r in rows]) * 1e-12
    found = lsq_linear(work / power[:, None], (power - static) / power, bounds=(0.0, np.inf))
    return float(found.x[0]), float(found.x[1])


def _limit(row: PowerRow) -> float:
    limit = load_device(row.device).power_w
    assert limit is not None
    return limit


def predicted_w(row: PowerRow, c: tuple[float, float]) -> float:
    """Return the power of a device, held to its limit."""
    linear = STATIC_SHARE * _limit(row) + 1e-12 * (c[0] * row.bytes_per_s + c[1] * row.flops_per_s)
    return min(linear, _limit(row))


def in_training(row: PowerRow) -> bool:
    """Say whether a run is fitted on: one device, dense, 16 bit; all others are tests."""
    return row.devices == 1 and row.dense and row.precision == "bfloat16"


def errors(rows: Sequence[PowerRow], c: tuple[float, float]) -> list[float]:
    """Return predicted over measured power, less one."""
    return [predicted_w(r, c) / r.power_w - 1.0 for r in rows]


def left_out(rows: Sequence[PowerRow]) -> list[float]:
    """Return the errors with each model left out of the fit."""
    found: list[float] = []
    for name in sorted({r.model for r in rows}):
        c = fit([r for r in rows if r.model != name])
        found += errors([r for r in rows if r.model == name], c)
    return found


def end_to_end(rows: Sequence[PowerRow], c: tuple[float, float]) -> list[float]:
    """Return published over predicted joules of an output token, with our own step times."""
    return [row.joules_per_token / joules_per_token(row, c) for row in rows]


def joules_per_token(row: PowerRow, c: tuple[float, float]) -> float:
    """Return the predicted joules of an output token in a closed loop of the run's batch."""
    facts = row.setup.energy_facts
    assert facts is not None
    scale = c[1] * 1e-12 / facts.j_per_vector_flop
    per_flop = {dtype: each * scale for dtype, each in facts.j_per_flop.items()}
    changed = replace(
        facts, static_w=STATIC_SHARE * facts.board_w, j_per_byte=c[0] * 1e-12, j_per_flop=per_flop,
        j_per_vector_flop=c[1] * 1e-12,
    )  # fmt: skip
    setup = replace(row.setup, energy_facts=changed)
    return float(setup.answer(row.batch, float(PROMPT_TOKENS), row.output_tokens).extras["joules_per_token"])


def summary(title: str, found: Sequence[float]) -> str:
    """Return one line: runs, mean and median of the absolute error, bias."""
    import numpy as np

    off = 100 * np.array(found)
    return (
        f"{title:44s} n {len(off):3d}  {np.abs(off).mean():5.1f} / {np.median(np.abs(off)):5.1f} / {off.mean():+6.1f} %"
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print the errors of power (mean / median / bias), and write the calibration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    rows, reasons = read_rows(options.data)
    found: dict[str, tuple[float, float]] = {}
    left: list[float] = []
    spans: list[float] = []
    for device in sorted({r.device for r in rows}):
        train = [r for r in rows if r.device == device and in_training(r)]
        found[device] = fit(train)
        honest = left_out(train)
        left += honest
        spans += end_to_end(train, found[device])
        print(f"{device}: {found[device][0]:.1f} pJ/B, {found[device][1]:.3f} pJ/flop16, {STATIC_SHARE:.0%} static")
        print(summary("  fit: one device, dense, 16 bit", errors(train, found[device])))
        print(summary("  each model left out", honest))
        rest = [r for r in rows if r.device == device and not in_training(r)]
        for title, chosen in (("one device, experts", [r for r in rest if r.devices == 1]),
                              ("several devices", [r for r in rest if r.devices > 1])):  # fmt: skip
            if chosen:
                print(summary(f"  not fitted: {title}", errors(chosen, found[device])))
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        print(f"not modelled: {count:4d}  {reason}")
    if options.out:
        write_calibration(options.out, _mapping(found, left, spans))


def _mapping(found: dict[str, tuple[float, float]], left: Sequence[float], spans: Sequence[float]) -> dict[str, Any]:
    import numpy as np

    per_byte = float(np.mean([c[0] for c in found.values()]))
    ratios = []
    for name, (_, per_flop) in found.items():
        device = load_device(name)
        assert device.power_w is not None
        room = device.power_w * (1.0 - STATIC_SHARE)
        ratios.append(per_flop * 1e-12 * device.peak_flops_per_s("bfloat16") / room)
    ratio = float(np.exp(np.mean(np.log(ratios))))
    low, high = np.quantile(spans, [0.1, 0.9])  # with the errors of our step times, which are larger than of power
    rules: list[dict[str, Any]] = [
        {
            "note": "any device: the mean of the measured ones, per byte and relative to what its limit leaves",
            "set": {
                "static_share": STATIC_SHARE, "pj_per_byte": per_byte, "pj_per_flop16": 0.0, "flop_power_ratio": ratio,
                "pj_per_link_byte": PJ_PER_LINK_BYTE,
            },
        }
    ]  # fmt: skip
    for name, (moved, per_flop) in found.items():
        rules.append(
            {"when": {"architecture": load_device(name).architecture},
             "set": {"pj_per_byte": moved, "pj_per_flop16": per_flop}}
        )  # fmt: skip
    return {
        "schema": "calibration/1",
        "operator": "energy",
        "form": "linear/1",
        "data": "ML.ENERGY leaderboard (commit 0cd52da): GPU power of vLLM serving, one GPU, dense, bfloat16, text",
        "date": datetime.date(2026, 11, 21).isoformat(),
        "split": "coefficients on all rows of the kind; errors and bands from leaving out each model",
        "errors": {"left_out_model": summary("power", left).strip()},
        "measured_devices": sorted(found),
        "rules": rules,
        "bands": [
            {"set": {"p10": 0.6, "p90": 1.6}, "note": "a device never measured: two to one between devices measured"},
            {"when": {"measured": True}, "set": {"p10": float(min(low, 1.0)), "p90": float(max(high, 1.0))}},
        ],
    }


if __name__ == "__main__":
    main()
