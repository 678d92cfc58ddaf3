"""Fit what serving frameworks add to the kernels.

``python -m perfmodel.fitting.serving --data serving.csv.gz --configs DIR``

The kernels' times come from the other calibrations. What is fitted here is a value for all engines and a factor for
each, drawn to 1; both modes share them, but for the queue of a prefill pool. Rows whose memory holds the requests or
not are treated alike: the queue for memory is part of the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from perfmodel.devices import load_device
from perfmodel.errors import PerfmodelError
from perfmodel.fitting.common import shape_split
from perfmodel.fitting.writing import write_calibration
from perfmodel.serving.closed_loop import mixed_times, pooled_ttft
from perfmodel.serving.pipeline import decode_steps, prompt_step
from perfmodel.serving.scenario import prepare
from perfmodel.tables.scenarios import scenario_of
from perfmodel.workloads.library import load_model

ENGINES = ("trtllm", "vllm", "sglang")
NARROW = "nvfp4"
"""Format whose activations are quantised by kernels that some engines fuse and others do not."""


class Prior(NamedTuple):
    """Where a coefficient starts, how far (ln scale) it may move, and how far an engine's may lie from all engines'."""

    start: float
    width: float
    engine_width: float


PRIORS = {
    "decode_stretch": Prior(1.0, 0.03, 0.05),  # kernels were measured: frameworks run them, not others
    "narrow_stretch": Prior(1.0, 0.0, 0.10),
    "decode_host_us": Prior(500.0, 1.0, 0.5),
    "prefill_host_us": Prior(5000.0, 0.3, 0.0),  # a few us a kernel that no graph replays
    "first_host_us": Prior(20_000.0, 1.0, 0.5),
    "mix_share": Prior(1.2, 0.3, 0.2),  # half a step under way, then its own
    "queue_share": Prior(0.08, 0.5, 0.3),  # a tenth of the requests come at once, half of them before the other
    "pool_queue_share": Prior(0.15, 1.0, 0.0),
}
SCALES = (0.3, 0.1)
"""Relative errors of TTFT and TPOT beyond which the loss grows linearly: about half of what single runs scatter."""
POWER = 0.5
"""Residuals are ``(ratio^p - 1)/p``: between ratios of equal weight (0) and relative errors (1)."""


@dataclass(frozen=True)
class Features:
    """The kernels' times of one measured row (arrays over rows)."""

    decode_s: Any
    prefill_s: Any
    crowded_s: Any
    rounds: Any
    unshared_s: Any
    running: Any
    groups: Any
    in_flight: Any
    output_tokens: Any
    slots: Any
    pooled: Any
    narrow: Any


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
    prefill = prompt_step(setup.prefill, inputs)
    slots = (pools[0].workers if pools[0] else setup.replicas) * groups
    narrow = setup.decode.precisions.linear.calibrated_as == NARROW
    assert prefill.crowded_s is not None
    return (decode.time.expected, prefill.time.expected, prefill.crowded_s, prefill.rounds, decode.unshared_s, running,
            groups, in_flight, outputs, slots / workers, float(question.mode == "disagg"), float(narrow))  # fmt: skip


def predict(c: Mapping[str, Any], f: Features) -> tuple[Any, Any]:
    """Return (TTFT, TPOT) of rows with these coefficients (numbers, or arrays over the rows)."""
    import numpy as np

    decode = f.decode_s * c["decode_stretch"] * c["narrow_stretch"] ** f.narrow + c["decode_host_us"] * 1e-6
    prefill = f.prefill_s + c["prefill_host_us"] * 1e-6
    crowded = (f.crowded_s + c["prefill_host_us"] * 1e-6) / f.rounds
    ttft, tpot = mixed_times(
        c, decode, prefill, f.unshared_s, f.running, f.groups, f.in_flight, f.output_tokens, 1.0, crowded
    )
    pool = {**c, "queue_share": c["pool_queue_share"]}
    pooled = pooled_ttft(pool, decode, prefill, f.running, f.slots, f.in_flight, f.output_tokens, crowded)
    return np.where(f.pooled > 0, pooled, ttft), np.where(f.pooled > 0, decode, tpot)


def select(f: Features, mask: Any) -> Features:
    """Return the features of some rows."""
    return Features(*(getattr(f, name)[mask] for name in f.__dataclass_fields__))


class Fitted(NamedTuple):
    """Coefficients of all engines together, and each engine's own."""

    together: dict[str, float]
    engines: dict[str, dict[str, float]]

    def over(self, engines: Any) -> dict[str, Any]:
        """Return each coefficient as an array over rows of ``engines``."""
        import numpy as np

        return {name: np.array([self.engines.get(e, self.together)[name] for e in engines]) for name in PRIORS}


def fit(frame: Any, f: Features, train: Any) -> Fitted:
    """Return the coefficients of least robust error on the rows ``train``; a set of like runs counts as its root."""
    import numpy as np
    from scipy.optimize import least_squares

    rows, part = frame[train], select(f, train)
    measured = rows[["measured_ttft_ms", "measured_tpot_ms"]].to_numpy().T * 1e-3
    count = rows.groupby(GROUP, dropna=False)["batch"].transform("size").to_numpy()
    weight = count**-0.5 / np.mean(count**-0.5)
    keys = [(n, "") for n, p in PRIORS.items() if p.width] + [
        (n, e) for n, p in PRIORS.items() for e in ENGINES if p.engine_width
    ]
    width = np.array([PRIORS[n].engine_width if e else PRIORS[n].width for n, e in keys])
    engines = rows.engine.to_numpy()

    def fitted(x: Any) -> Fitted:
        moves = dict(zip(keys, x.tolist(), strict=True))
        shared = {n: (p.start, moves.get((n, ""), 0.0)) for n, p in PRIORS.items()}
        own = {
            e: {n: _moved(n, start, by + moves.get((n, e), 0.0)) for n, (start, by) in shared.items()} for e in ENGINES
        }
        return Fitted({n: _moved(n, start, by) for n, (start, by) in shared.items()}, own)

    def residuals(x: Any) -> Any:
        found = predict(fitted(x).over(engines), part)
        parts = [x / width]
        for ours, theirs, scale in zip(found, measured, SCALES, strict=True):
            log = np.clip(np.log(ours / theirs), -5.0, 1.5)
            z = np.expm1(POWER * log) / POWER / scale
            parts.append(np.sign(z) * np.sqrt(weight * 2 * (np.sqrt(1 + z * z) - 1)))
        return np.concatenate(parts)

    return fitted(least_squares(residuals, np.zeros(len(keys)), max_nfev=15, x_scale=width).x)


GROUP = ["mode", "model", "device", "engine", "precision"]
"""Columns of runs that were made together and err together."""


def _moved(name: str, start: float, by: float) -> float:
    """Return a start moved on a scale that keeps it positive, or a share of requests between 0 and 1."""
    import math

    if name != "queue_share":
        return start * math.exp(by)
    odds = start / (1 - start) * math.exp(by)
    return odds / (1 + odds)


def ratios(frame: Any, f: Features, found: Fitted) -> Any:
    """Return predicted over measured of (TTFT, TPOT) for every row."""
    import numpy as np

    ours = predict(found.over(frame.engine), f)
    return np.array([1e3 * t / frame[f"measured_{m}_ms"] for m, t in zip(("ttft", "tpot"), ours, strict=True)])


def left_out(frame: Any, f: Features, column: str) -> Any:
    """Return predicted over measured of every row from a fit without the rows of its value of ``column``."""
    import numpy as np

    out = np.full((2, len(frame)), np.nan)
    for value in frame[column].unique():
        rows = (frame[column] == value).to_numpy()
        out[:, rows] = ratios(frame, f, fit(frame, f, ~rows))[:, rows]
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print the honest numbers, and write the calibration."""
    import numpy as np
    import pandas as pd

    from perfmodel.fitting.serving_report import calibration, print_report

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--configs", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    frame, f = features(pd.read_csv(options.data, low_memory=False), options.configs)
    held = shape_split(frame, ["config", "input_tokens", "output_tokens", "batch"])
    ratio = ratios(frame, f, fit(frame, f, ~held))
    left = {name: left_out(frame, f, name) for name in ("config", "device")}
    final = fit(frame, f, np.ones(len(frame), bool))
    mapping = calibration(frame, held, ratio, left, final)
    print_report(frame, f, held, ratio, left, mapping["bands"])
    if options.out:
        write_calibration(options.out, mapping)


if __name__ == "__main__":
    main()
