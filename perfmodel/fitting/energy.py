"""Fits energy per byte and per flop on measured power of language-model serving.

``python -m perfmodel.fitting.energy --data ../shared/reference/gpu_power_mlenergy.csv.gz [--out]`` prints the errors:
in-sample, each model left out, and with the general rule of the other device alone. The power of an idle chip that is
ready is pinned (``static_share``, or ``idle_power`` of the device's file): prompt lengths are not in the data, so that
the coefficients are not identified together with it.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from perfmodel.cost.energy import memory_j_per_byte
from perfmodel.devices import load_device
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.fitting.writing import write_calibration
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
    weight_bytes_per_s: float
    kv_bytes_per_s: float
    flops_per_s: float
    link_bytes_per_s: float
    setup: Setup


@dataclass(frozen=True)
class Fitted:
    """pJ of a byte of weights, of a byte of the KV cache, and of a 16-bit flop."""

    weight: float
    kv: float
    flop: float


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
    weights, cache, flops, sent = (steps_per_s * (d + prompts * p) for d, p in zip(decode, prefill, strict=True))
    return PowerRow(
        raw["model"], DEVICES[raw["gpu_model"]], count, str(raw["prec"]), "Dense" in str(raw["arch"]), batch, output,
        float(raw["avg_power_watts"]) / count, float(raw["energy_per_token_joules"]), weights, cache, flops,
        sent, setup,
    )  # fmt: skip


def _traffic(step: StepTime) -> tuple[float, float, float, float]:
    """Return a step's bytes of weights, of the KV cache, its flops as 16-bit ones, and the bytes that it sends."""
    from perfmodel.cost.energy import EnergyFacts, dynamic_energy

    flops = {"fp8": 0.5, "fp4": 0.25}
    found = [0.0] * 4
    for place, unit in enumerate(
        (EnergyFacts(0, 1, 1, 1, 0, {}, 0, False, 1, 1, 0), EnergyFacts(0, 1, 1, 0, 0, {}, 0, False, 1, 1, 1),
         EnergyFacts(0, 1, 1, 0, 0, flops, 1, False, 1, 1, 0), EnergyFacts(0, 1, 1, 0, 1, {}, 0, False, 1, 1, 0))
    ):  # fmt: skip
        parts = [(dynamic_energy(r.step.operator.counts(), unit), r.step.repeat) for r in step.operators]
        found[place] = sum(float(j.total_j) * n for j, n in parts)
    return found[0], found[1], found[2], found[3]


def fit(rows: Sequence[PowerRow]) -> Fitted:
    """Return the coefficients by least squares of relative errors, none below zero."""
    import numpy as np
    from scipy.optimize import lsq_linear

    power = np.array([r.power_w for r in rows])
    static = np.array([static_w(r) for r in rows])
    work = np.array([[r.weight_bytes_per_s, r.kv_bytes_per_s, r.flops_per_s] for r in rows]) * 1e-12
    found = lsq_linear(work / power[:, None], (power - static) / power, bounds=(0.0, np.inf))
    return Fitted(*(float(x) for x in found.x))


def static_w(row: PowerRow) -> float:
    """Return the power of the idle device: measured, if its file states it, else a share of its limit."""
    return load_device(row.device).idle_power_w or STATIC_SHARE * _limit(row)


def _limit(row: PowerRow) -> float:
    limit = load_device(row.device).power_w
    assert limit is not None
    return limit


def predicted_w(row: PowerRow, c: Fitted) -> float:
    """Return the power of a device, held to its limit."""
    moved = c.weight * row.weight_bytes_per_s + c.kv * row.kv_bytes_per_s + PJ_PER_LINK_BYTE * row.link_bytes_per_s
    return min(static_w(row) + 1e-12 * (moved + c.flop * row.flops_per_s), _limit(row))


def in_training(row: PowerRow) -> bool:
    """Say whether a run is fitted on: one device, dense, 16 bit; all others are tests."""
    return row.devices == 1 and row.dense and row.precision == "bfloat16"


def errors(rows: Sequence[PowerRow], c: Fitted) -> list[float]:
    """Return predicted over measured power, less one."""
    return [predicted_w(r, c) / r.power_w - 1.0 for r in rows]


def left_out(rows: Sequence[PowerRow]) -> list[float]:
    """Return the errors with each model left out of the fit."""
    found: list[float] = []
    for name in sorted({r.model for r in rows}):
        c = fit([r for r in rows if r.model != name])
        found += errors([r for r in rows if r.model == name], c)
    return found


def end_to_end(rows: Sequence[PowerRow], c: Fitted) -> list[float]:
    """Return published over predicted joules of an output token, with our own step times."""
    return [row.joules_per_token / joules_per_token(row, c) for row in rows]


def joules_per_token(row: PowerRow, c: Fitted) -> float:
    """Return the predicted joules of an output token in a closed loop of the run's batch."""
    facts = row.setup.energy_facts
    assert facts is not None
    scale = c.flop * 1e-12 / facts.j_per_vector_flop
    per_flop = {dtype: each * scale for dtype, each in facts.j_per_flop.items()}
    changed = replace(
        facts, static_w=static_w(row), j_per_byte=c.weight * 1e-12, j_per_flop=per_flop,
        j_per_vector_flop=c.flop * 1e-12, j_per_kv_byte=c.kv * 1e-12,
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


def general(found: Mapping[str, Fitted]) -> dict[str, float]:
    """Return the rule for any device: what measured ones share once their memory, limit and peak are taken out."""
    import numpy as np

    chips: list[float] = []
    ratios: list[float] = []
    for name, c in found.items():
        device = load_device(name)
        assert device.power_w is not None
        room = device.power_w * (1.0 - STATIC_SHARE)
        ratios.append(c.flop * 1e-12 * device.peak_flops_per_s("bfloat16") / room)
        chips.append(c.weight - 1e12 * memory_j_per_byte(device))
    return {
        "static_share": STATIC_SHARE, "pj_per_byte": 0.0, "pj_per_byte_on_chip": float(np.mean(chips)),
        "kv_ratio": float(np.exp(np.mean([np.log(c.kv / c.weight) for c in found.values()]))), "pj_per_flop16": 0.0,
        "flop_power_ratio": float(np.exp(np.mean(np.log(ratios)))), "pj_per_link_byte": PJ_PER_LINK_BYTE,
    }  # fmt: skip


def applied(rule: Mapping[str, float], name: str) -> Fitted:
    """Return the coefficients that the general rule gives a device."""
    device = load_device(name)
    assert device.power_w is not None
    weight = rule["pj_per_byte_on_chip"] + 1e12 * memory_j_per_byte(device)
    flop = rule["flop_power_ratio"] * device.power_w * (1.0 - STATIC_SHARE) / device.peak_flops_per_s("bfloat16")
    return Fitted(weight, weight * rule["kv_ratio"], flop * 1e12)


GROUPS: dict[str, Callable[[PowerRow], bool]] = {
    "one device, experts, 16 bit": lambda r: r.devices == 1 and not r.dense and r.precision == "bfloat16",
    "one device, experts, mxfp4": lambda r: r.devices == 1 and r.precision == "mxfp4",
    "several devices, dense, 16 bit": lambda r: r.devices > 1 and r.dense and r.precision == "bfloat16",
    "several devices, dense, fp8": lambda r: r.devices > 1 and r.dense and r.precision == "fp8",
    "several devices, experts": lambda r: r.devices > 1 and not r.dense,
}
"""Runs that nothing is fitted on."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print the errors of power (mean / median / bias), and write the calibration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    rows, reasons = read_rows(options.data)
    training = {d: [r for r in rows if r.device == d and in_training(r)] for d in sorted({r.device for r in rows})}
    found = {device: fit(train) for device, train in training.items()}
    left: list[float] = []
    spans: list[float] = []
    for device, train in training.items():
        c, honest = found[device], left_out(train)
        left += honest
        spans += end_to_end(train, c)
        idle = static_w(train[0])
        print(f"{device}: {idle:.0f} W idle, {c.weight:.1f} pJ/B, {c.kv:.1f} pJ/B of cache, {c.flop:.3f} pJ/flop16")
        print(summary("  fit: one device, dense, 16 bit", errors(train, c)))
        print(summary("  each model left out", honest))
        others = {name: one for name, one in found.items() if name != device}
        print(summary("  this device left out", errors(train, applied(general(others), device))))
        for title, belongs in GROUPS.items():
            if chosen := [r for r in rows if r.device == device and belongs(r)]:
                print(summary(f"  not fitted: {title}", errors(chosen, c)))
    print(summary("both, each model left out", left))
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1]):
        print(f"not modelled: {count:4d}  {reason}")
    if options.out:
        write_calibration(options.out, _mapping(found, left, spans))


def _mapping(found: Mapping[str, Fitted], left: Sequence[float], spans: Sequence[float]) -> dict[str, Any]:
    import numpy as np

    low, high = np.quantile(spans, [0.1, 0.9])  # with the errors of our step times, which are larger than of power
    note = "any device: what the measured ones share beyond their memory, and relative to what their limits leave"
    rules: list[dict[str, Any]] = [{"note": note, "set": general(found)}]
    for name, c in found.items():
        rules.append(
            {"when": {"architecture": load_device(name).architecture},
             "set": {"pj_per_byte": c.weight, "kv_ratio": c.kv / c.weight, "pj_per_flop16": c.flop}}
        )  # fmt: skip
    return {
        "schema": "calibration/1",
        "operator": "energy",
        "form": "linear/2",
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
