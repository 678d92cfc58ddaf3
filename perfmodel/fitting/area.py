"""Fits the silicon around multipliers, lanes and SRAM on dies of known area.

``python -m perfmodel.fitting.area [--out FILE]`` prints the error of each die, fitted with it and without it.
"""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.cost.area import bare_parts
from perfmodel.devices import Device, list_devices, load_device
from perfmodel.fitting.writing import write_calibration

NAMES = ("matrix_overhead", "vector_overhead", "sram_overhead")


def known_dies() -> list[Device]:
    """Return the devices whose files state a die area and all that the form needs; one of each die."""
    found: dict[tuple[float, str], Device] = {}
    for name in list_devices():
        device = load_device(name)
        if device.die_area_mm2 is not None and device.process_nm is not None:
            found.setdefault((device.die_area_mm2, device.architecture), device)
    return list(found.values())


def fit(dies: Sequence[Device]) -> tuple[float, ...]:
    """Return the overheads by least squares of relative errors, none below one."""
    import numpy as np
    from scipy.optimize import lsq_linear

    parts = np.array([bare_parts(d) for d in dies])
    area = np.array([d.die_area_mm2 for d in dies], dtype=float)
    found = lsq_linear(parts[:, :3] / area[:, None], 1.0 - parts[:, 3] / area, bounds=(1.0, np.inf))
    return tuple(float(x) for x in found.x)


def predicted_mm2(device: Device, c: Sequence[float]) -> float:
    """Return the area of a die with given overheads."""
    *parts, interface = bare_parts(device)
    return sum(a * b for a, b in zip(c, parts, strict=True)) + interface


def left_out(dies: Sequence[Device]) -> list[float]:
    """Return each die's predicted over stated area, less one, fitted without all dies of its architecture."""
    return [
        predicted_mm2(die, fit([d for d in dies if d.architecture != die.architecture])) / (die.die_area_mm2 or 1.0)
        - 1.0
        for die in dies
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print, and write the calibration."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    dies = known_dies()
    c, honest = fit(dies), left_out(dies)
    print(", ".join(f"{name} {value:.2f}" for name, value in zip(NAMES, c, strict=True)))
    for die, off in zip(dies, honest, strict=True):
        inside = predicted_mm2(die, c) / (die.die_area_mm2 or 1.0) - 1.0
        print(f"{die.name:18s} {die.die_area_mm2:7.0f} mm2  fit {100 * inside:+6.1f} %  left out {100 * off:+6.1f} %")
    mean = 100 * sum(abs(x) for x in honest) / len(honest)
    print(f"each architecture left out: mean error {mean:.1f} %")
    if options.out:
        write_calibration(options.out, _mapping(c, honest, mean))


def _mapping(c: Sequence[float], honest: Sequence[float], mean: float) -> dict[str, Any]:
    import numpy as np

    low, high = np.quantile([1.0 / (1.0 + x) for x in honest], [0.1, 0.9])
    return {
        "schema": "calibration/1",
        "operator": "area",
        "form": "parts/1",
        "data": "dies of the device files that state chip.area",
        "date": datetime.date(2026, 11, 21).isoformat(),
        "split": "coefficients on all dies; errors and bands from leaving out each architecture",
        "errors": {"left_out_architecture_percent": mean},
        "measured_devices": [],
        "rules": [{"note": "any chip", "set": dict(zip(NAMES, c, strict=True))}],
        "bands": [{"set": {"p10": float(min(low, 1.0)), "p90": float(max(high, 1.0))}}],
    }


if __name__ == "__main__":
    main()
