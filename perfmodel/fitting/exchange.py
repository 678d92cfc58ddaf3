"""Fits the exchange between attention and experts on measured kernels of DeepEP.

``python -m perfmodel.fitting.exchange --data ../shared/measured/kernels/raw/deepep_alltoall.csv.gz [--out FILE]``.
Kernels within a node are fitted: a fixed time and a share of the link for each of the two kinds, by architecture. The
network's coefficients are from DeepEP's own published figures (see :data:`OUTER`).
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.devices import load_device
from perfmodel.fitting.common import shape_split
from perfmodel.fitting.writing import write_calibration

OUTER = {"outer_us": 10.0, "outer_efficiency": 0.8}
"""DeepEP's README (from memory): 128 tokens of 7168 in fp8 to 8 of 256 experts take 77, 118, 155, 173, 192 and 194 us
on 8 to 256 H800 with 50 GB/s each: 39 to 43 GB/s on many nodes, and about 10 us more at each doubling."""

RANKS = 8.0
KINDS = {"low_latency": "direct", "normal": "bulk"}
_SHAPE = ["tokens", "hidden", "topk", "experts"]


def read_rows(path: Path) -> Any:
    """Return the rows of one node: kind, bytes that a rank sends, microseconds; of several core counts the fastest."""
    import pandas as pd

    frame: Any = pd.read_csv(path)
    frame = frame[frame["mode"].isin(list(KINDS)) & frame.phase.isin(["dispatch", "combine"]) & (frame.nodes == 1)]
    frame = frame.sort_values("latency_us").drop_duplicates(["device", "mode", "phase", *_SHAPE])
    element = frame.phase.map({"dispatch": 1.0 + 4.0 / 128.0, "combine": 2.0})
    frame["moved"] = frame.tokens * frame.topk.clip(upper=RANKS) * frame.hidden * element
    frame["architecture"] = [load_device(name).architecture for name in frame.device]
    frame["bandwidth"] = [_bandwidth(name) for name in frame.device]
    return frame.reset_index(drop=True)


def _bandwidth(name: str) -> float:
    link = load_device(name).link("scale_up")
    assert link is not None
    return link.bandwidth_bytes_per_s


def predicted_us(c: Sequence[float], frame: Any) -> Any:
    """Return ``fixed + bytes/(share*bandwidth)`` in microseconds."""
    return c[0] + 1e6 * frame.moved / (c[1] * frame.bandwidth)


def fit(frame: Any) -> list[float]:
    """Return (fixed us, share of the bandwidth) by robust least squares of relative errors."""
    import numpy as np
    from scipy.optimize import least_squares

    def off(x: Any) -> Any:
        return np.log(predicted_us(np.exp(x), frame) / frame.latency_us)

    return np.exp(least_squares(off, np.log([20.0, 0.6]), loss="soft_l1", f_scale=0.2).x).tolist()


def errors(c: Sequence[float], frame: Any) -> tuple[float, float]:
    """Return mean and median of the absolute relative error in percent."""
    off = (100 * (predicted_us(c, frame) / frame.latency_us - 1)).abs()
    return float(off.mean()), float(off.median())


def _said(found: tuple[float, float]) -> str:
    return f"{found[0]:5.1f} / {found[1]:5.1f} %"


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print the errors, and write the calibration."""
    import numpy as np

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    frame = read_rows(options.data)
    held = shape_split(frame, _SHAPE)
    ratios: list[Any] = []
    rules: list[dict[str, Any]] = [{"set": {**OUTER}}]
    for mode, name in KINDS.items():
        kind = frame["mode"] == mode
        c = fit(frame[kind])
        rules[0]["set"] |= {f"{name}_us": c[0], f"{name}_efficiency": c[1]}
        for architecture in sorted(set(frame.architecture)):
            here = kind & (frame.architecture == architecture)
            found, others = fit(frame[here & ~held]), fit(frame[kind & (frame.architecture != architecture)])
            print(
                f"{mode:12s} {architecture:10s} n {int(here.sum()):4d}  "
                f"{found[0]:5.1f} us, {found[1]:.2f} of the link  held out {_said(errors(found, frame[here & held]))}  "
                f"by the other architecture {_said(errors(others, frame[here]))}"
            )
            whole = fit(frame[here])
            ratios += list(frame.latency_us[here & held] / predicted_us(found, frame[here & held]))
            rules.append({"when": {"architecture": architecture},
                          "set": {f"{name}_us": whole[0], f"{name}_efficiency": whole[1]}})  # fmt: skip
    low, high = np.quantile(ratios, [0.1, 0.9])
    if options.out:
        write_calibration(options.out, _mapping(rules, float(low), float(high), sorted(set(frame.device))))


def _mapping(rules: list[dict[str, Any]], low: float, high: float, devices: list[str]) -> dict[str, Any]:
    return {
        "schema": "calibration/1",
        "operator": "exchange",
        "form": "direct and bulk all-to-all over two levels of links, v1",
        "data": "DeepEP kernels in ai-dynamo/aiconfigurator performance tables, commit 095f58a5, Apache-2.0",
        "date": datetime.date(2026, 11, 21).isoformat(),
        "split": "30 % of shapes held out by crc32 of (tokens, hidden, topk, experts); rules refitted on all rows",
        "measured_devices": devices,
        "rules": rules,
        "bands": [
            {"note": "several nodes and other devices: no such kernel was measured", "set": {"p10": 0.6, "p90": 1.7}},
            {"when": {"measured": True}, "set": {"p10": low, "p90": high}},
        ],
    }


if __name__ == "__main__":
    main()
