"""Calibration files of a world in which one device was never measured, for judging what spot measurements bring.

Each operator class's own fit runs on the data without the device; the part of it that leaves further devices out is
skipped, because only the coefficients are wanted, not their bands.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

CLASSES = (
    "gemm", "attention_prefill", "attention_decode", "mla_prefill", "mla_decode", "moe", "elementwise", "collectives",
)  # fmt: skip
"""The operator classes whose fits are run again, each a module of this package and a file of data."""

_SKIPPED = ("leave_devices_out", "left_out", "left_out_ratios", "_left_out")


def without_device(data: Path, device: str, folder: Path) -> list[str]:
    """Write the tables of ``data`` without a device into ``folder``; return the classes that it was measured in."""
    import pandas as pd

    found: list[str] = []
    for name in CLASSES:
        frame = pd.concat([pd.read_csv(file, low_memory=False) for file in sorted(data.glob(f"{name}.csv*"))])
        own = frame["device"] == device
        if own.to_numpy().any():
            found.append(name)
            frame[~own].to_csv(folder / f"{name}.csv.gz", index=False)
    return found


def refit(name: str, data: Path, out: Path) -> None:
    """Run the fit of an operator class on the tables in ``data`` and write its calibration file."""
    module = import_module(f"perfmodel.fitting.{name}")
    with _nothing_left_out(name), contextlib.redirect_stdout(io.StringIO()), _arguments(str(data), str(out)):
        main: Callable[[], None] | None = getattr(module, "main", None)
        if main is not None and main.__module__ == module.__name__:
            main()
        else:
            _run_recipe(module)


def keep_bands(name: str, device: str, out: Path) -> None:
    """Give a refitted file the packaged bands, which come from all left-out devices, but for those of the device."""
    from perfmodel.fitting.common import write_calibration
    from perfmodel.specs import load_calibration_mapping, load_yaml

    packaged, _ = load_calibration_mapping(name)
    bands = [rule for rule in packaged["bands"] if (rule.get("when") or {}).get("device") != device]
    write_calibration(out, {**load_yaml(out).plain(), "bands": bands})


def _run_recipe(module: Any) -> None:
    """Run a module that is a recipe and nothing else, as ``python -m`` would."""
    import runpy
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that the module is imported already
        runpy.run_module(module.__name__, run_name="__main__", alter_sys=False)


@contextlib.contextmanager
def _arguments(data: str, out: str) -> Iterator[None]:
    before = sys.argv
    sys.argv = [before[0], "--data", data, "--out", out]
    try:
        yield
    finally:
        sys.argv = before


@contextlib.contextmanager
def _nothing_left_out(chosen: str) -> Iterator[None]:
    """Let a fit believe that each device, left out, would be predicted without error."""
    changed: list[tuple[Any, str, Any]] = []
    import_module(f"perfmodel.fitting.{chosen}")
    for name in dict.fromkeys(("common", "attention", "procedure", chosen)):
        module = sys.modules.get(f"perfmodel.fitting.{name}")  # those that the chosen one needs are there now
        for function in _SKIPPED:
            if hasattr(module, function):
                changed.append((module, function, getattr(module, function)))
                setattr(module, function, _ones(name, function))
    try:
        yield
    finally:
        for module, function, before in changed:
            setattr(module, function, before)


def _ones(module: str, function: str) -> Callable[..., Any]:
    import numpy as np

    def ones(*given: Any, **_: Any) -> Any:
        frame = next(item for item in given if hasattr(item, "assign"))
        if function == "_left_out":
            return frame.assign(ratio=1.0, sibling=False)
        return frame["latency_us"].to_numpy() * 1e-6 if module == "moe" else np.ones(len(frame))

    return ones
