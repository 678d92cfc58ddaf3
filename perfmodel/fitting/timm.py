"""timm's own benchmark of networks on consumer GPUs: its rows as networks, engines and devices.

The file is a row a run: model, image size, GPU, layout, whether compiled, batch, samples a second, and timm's count of
multiply-accumulates and parameters (``../shared/reference/timm_inference.csv.gz``).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError
from perfmodel.workloads.network import AnyNetwork
from perfmodel.workloads.networks.library import built, find_variant

COLUMNS = ("model", "img_size", "gpu", "dtype", "layout", "compile", "batch", "samples_per_s", "gmacs", "params_m")
DEVICES = {"RTX-3090-24GB": "rtx-3090", "RTX-4090-24GB": "rtx-4090"}


def timm_engine(layout: str, compiled: str) -> str:
    """Return the engine that a row of timm's benchmark ran with."""
    if compiled == "torch.compile":
        return "torch-compile"
    return "torch-channels-last" if layout == "nhwc" else "torch"


def read_frame(path: Path, columns: tuple[str, ...]) -> Any:
    """Return a CSV as a data frame of texts; :class:`InputError` if it cannot be read or lacks a column."""
    import pandas as pd

    try:
        frame = pd.read_csv(path, dtype=str, low_memory=False).fillna("")
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as CSV: {error}") from None
    if missing := set(columns) - set(frame.columns):
        raise InputError(f"{path} has no column {', '.join(sorted(missing))}")
    return frame


def timm_network(name: str, image: str) -> AnyNetwork:
    """Return timm's network of a name at an image size; :class:`InputError` if the library does not have it."""
    variant = find_variant(name)
    if variant is None:
        raise InputError("model not in the library")
    return _built(name, int(float(image)))


@lru_cache(maxsize=2048)
def _built(name: str, image: int) -> AnyNetwork:
    variant = find_variant(name)
    assert variant is not None
    return built(variant, {"image": image})
