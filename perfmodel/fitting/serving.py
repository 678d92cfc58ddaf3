"""Fit what serving frameworks add to the kernels.

``python -m perfmodel.fitting.serving --data serving.csv.gz --configs DIR``

The kernels' times come from the other calibrations; only a handful of numbers an engine and mode are fitted here, by
robust least squares on log ratios of TTFT and TPOT. Rows whose memory holds the requests or not are treated alike:
the queue for memory is part of the model.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.devices import load_device
from perfmodel.errors import PerfmodelError
from perfmodel.fitting.common import shape_split, write_calibration
from perfmodel.serving.closed_loop import mixed_times, pooled_ttft
from perfmodel.serving.pipeline import decode_steps, prefill_step
from perfmodel.serving.scenario import prepare
from perfmodel.tables.scenarios import scenario_of
from perfmodel.workloads.library import load_model

ENGINES = ("trtllm", "vllm", "sglang")
START = {
    "decode_stretch": 1.0, "decode_host_us": 500.0, "prefill_stretch": 1.0, "prefill_host_us": 5000.0,
    "first_host_us": 10_000.0, "mix_share": 1.3, "queue_share": 0.15, "share_of_extra": 1.0,
}  # fmt: skip
FIXED = ("prefill_stretch",)
"""The shares of a mixed step scale its time already; two factors on one number cannot be told apart."""
PRIOR_SPREAD = 0.4
"""How far (ln scale) an engine's coefficient may lie from all engines' together before a row's worth of misfit."""
"""How many rows of evidence it takes to move an engine's coefficient by a factor of e from all engines' together."""


@dataclass(frozen=True)
class Features:
    """The kernels' times of one measured row (arrays over rows)."""

    decode_s: Any
    prefill_s: Any
    attention_s: Any
    running: Any
    groups: Any
    in_flight: Any
    output_tokens: Any
    slots: Any


def features(frame: Any, configs: Path) -> tuple[Any, Features]:
    """Return the rows that can be answered and the kernels' times of each, without any framework."""
    import numpy as np

    kept: list[int] = []
    rows: list[tuple[float, ...]] = []
    for i, row in enumerate(frame.astype(object).fillna("").astype(str).to_dict("records")):
        try:
            rows.append(_row_features(row, configs))
            kept.append(i)
        except PerfmodelError as error:
            print(f"row {row.get('id', i)}: {error}")
    return frame.iloc[kept].reset_index(drop=True), Features(*np.array(rows).T)


def _row_features(row: Mapping[str, str], configs: Path) -> tuple[float, ...]:
    name, device, question, (batch, inputs, outputs) = scenario_of({**row, "model": str(configs / row["config"])})
    setup = prepare(load_model(name), load_device(device), question)
    groups = float(setup.prefill.plan.attention_dp)
    most = max(float(setup.most_running(inputs, outputs, together=False)), 1.0)
    pools = question.prefill_pool, question.decode_pool
    workers = pools[1].workers if pools[1] else setup.replicas
    in_flight = max(batch / workers, 1.0)
    running = min(in_flight, most)
    decode = decode_steps(setup.decode, running, inputs, outputs)
    prefill = prefill_step(setup.prefill, groups, inputs)
    slots = (pools[0].workers if pools[0] else setup.replicas) * groups
    return (decode.time.expected, prefill.time.expected, decode.attention_s, running, groups, in_flight, outputs,
            slots / workers)  # fmt: skip


def predict(c: Mapping[str, Any], f: Features, mode: str) -> tuple[Any, Any]:
    """Return (TTFT, TPOT) of rows of one mode with these coefficients."""
    import numpy as np

    decode = f.decode_s * c["decode_stretch"] + c["decode_host_us"] * 1e-6
    prefill = f.prefill_s * c["prefill_stretch"] + c["prefill_host_us"] * 1e-6
    if mode == "agg":
        return mixed_times(c, decode, prefill, f.attention_s, f.running, f.groups, f.in_flight, f.output_tokens)
    ttft = pooled_ttft(c, decode, prefill, f.running, f.slots, f.in_flight, f.output_tokens)
    return np.asarray(ttft), decode


def select(f: Features, mask: Any) -> Features:
    """Return the features of some rows."""
    return Features(*(getattr(f, name)[mask] for name in f.__dataclass_fields__))


def fit(f: Features, ttft: Any, tpot: Any, mode: str, prior: Mapping[str, float] | None) -> dict[str, float]:
    """Return the coefficients of one group of rows; ``prior`` pulls towards other rows' coefficients."""
    import numpy as np
    from scipy.optimize import least_squares

    names = [n for n in START if n not in FIXED and (mode == "agg" or n != "share_of_extra")]
    centre = np.log([(prior or START)[n] for n in names])

    def residuals(x: Any) -> Any:
        c = {**START, **dict(zip(names, np.exp(x), strict=True))}
        a, b = predict(c, f, mode)
        return np.concatenate([np.log(a / ttft), np.log(b / tpot), (x - centre) / PRIOR_SPREAD])

    found = least_squares(residuals, centre, loss="soft_l1", f_scale=0.2)
    return {**START, **dict(zip(names, np.exp(found.x).tolist(), strict=True))}


def fit_all(frame: Any, f: Features, train: Any) -> dict[tuple[str, str], dict[str, float]]:
    """Return coefficients by (mode, engine), and by (mode, "") for an engine of which nothing is known."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    ttft, tpot = frame.measured_ttft_ms.to_numpy() * 1e-3, frame.measured_tpot_ms.to_numpy() * 1e-3
    for mode in ("agg", "disagg"):
        here = train & (frame["mode"] == mode).to_numpy()
        if not here.any():
            continue
        together = fit(select(f, here), ttft[here], tpot[here], mode, None)
        found[mode, ""] = together
        for engine in ENGINES:
            rows = here & (frame.engine == engine).to_numpy()
            if rows.sum() >= 10:
                found[mode, engine] = fit(select(f, rows), ttft[rows], tpot[rows], mode, together)
    return found


def ratios(frame: Any, f: Features, found: Mapping[tuple[str, str], Mapping[str, float]]) -> Any:
    """Return predicted over measured of (TTFT, TPOT) for every row."""
    import numpy as np

    out = np.full((2, len(frame)), np.nan)
    for mode in ("agg", "disagg"):
        for engine in ENGINES:
            rows = ((frame["mode"] == mode) & (frame.engine == engine)).to_numpy()
            c = found.get((mode, engine)) or found.get((mode, ""))
            if rows.any() and c is not None:
                a, b = predict(c, select(f, rows), mode)
                out[0, rows] = a * 1e3 / frame.measured_ttft_ms[rows]
                out[1, rows] = b * 1e3 / frame.measured_tpot_ms[rows]
    return out


def report(title: str, ratio: Any, mask: Any) -> str:
    """Return one line of MAPE / median / bias (%) of TTFT and TPOT."""
    import numpy as np

    parts: list[str] = []
    for name, r in zip(("TTFT", "TPOT"), ratio, strict=True):
        off = 100 * (r[mask] - 1)
        parts.append(f"{name} {np.abs(off).mean():5.1f}/{np.median(np.abs(off)):5.1f}/{off.mean():+6.1f}")
    return f"{title:34s} n {int(mask.sum()):5d}  {'  '.join(parts)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print the honest numbers, and write the calibration."""
    import numpy as np
    import pandas as pd

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--configs", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    frame, f = features(pd.read_csv(options.data, low_memory=False), options.configs)
    held = shape_split(frame, ["config", "input_tokens", "output_tokens", "batch"])
    found = fit_all(frame, f, ~held)
    ratio = ratios(frame, f, found)
    print(report("fit", ratio, ~held))
    print(report("held out", ratio, held))
    left = {name: _left_out(frame, f, name) for name in ("config", "device")}
    for name, value in left.items():
        print(report(f"each {name} left out", value, np.isfinite(value[0])))
    if options.out:
        write_calibration(options.out, _mapping(frame, f, fit_all(frame, f, np.ones(len(frame), bool)), left["config"]))


def _left_out(frame: Any, f: Features, column: str) -> Any:
    import numpy as np

    out = np.full((2, len(frame)), np.nan)
    for value in frame[column].unique():
        rows = (frame[column] == value).to_numpy()
        out[:, rows] = ratios(frame, f, fit_all(frame, f, ~rows))[:, rows]
    return out


def _mapping(
    frame: Any, f: Features, found: Mapping[tuple[str, str], Mapping[str, float]], honest: Any
) -> dict[str, Any]:
    rules: list[dict[str, Any]] = [
        {
            "note": "bare: kernels alone",
            "set": {
                **dict.fromkeys(START, 0.0), "decode_stretch": 1.0, "prefill_stretch": 1.0, "mix_share": 1.5,
                "queue_share": 0.15, "share_of_extra": 1.0,
            },
        }
    ]  # fmt: skip
    for (mode, engine), c in found.items():
        rules.append({"when": {"mode": mode, "engine": engine or list(ENGINES)}, "set": dict(c)})
    return {
        "schema": "calibration/1",
        "operator": "serving",
        "form": "closed_loop/1",
        "data": "ai-dynamo/aiconfigurator serving runs (commit 095f58a5, Apache-2.0), derived and de-duplicated",
        "date": datetime.date(2026, 11, 20).isoformat(),
        "split": "coefficients on all rows; errors and bands from leaving out each model configuration",
        "errors": {"left_out_model": report("", honest, _finite(honest)).strip()},
        "rules": rules,
        "bands": _bands(frame, honest),
    }


def _finite(ratio: Any) -> Any:
    import numpy as np

    return np.isfinite(ratio[0])


def _bands(frame: Any, honest: Any) -> list[dict[str, Any]]:
    import numpy as np

    bands: list[dict[str, Any]] = []
    for metric, ratio in zip(("ttft", "tpot"), honest, strict=True):
        for mode in ("", "agg", "disagg"):
            rows = np.isfinite(ratio) & ((frame["mode"] == mode).to_numpy() | (mode == ""))
            if rows.sum() < 20:
                continue
            low, high = np.quantile(1 / ratio[rows], [0.1, 0.9])
            when = {"metric": metric} | ({"mode": mode} if mode else {})
            bands.append({"when": when, "set": {"p10": float(min(low, 1.0)), "p90": float(max(high, 1.0))}})
    return bands


if __name__ == "__main__":
    main()
