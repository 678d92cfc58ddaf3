"""What the fits of MLA prefill and decode share: operators and facts as arrays, grouped by the cache's format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.fitting.bands import QuantileBands
from perfmodel.fitting.generations import DEDICATED
from perfmodel.fitting.shrinkage import Model, Offsets
from perfmodel.formats import find_cache_encoding

DATA = ("ai-dynamo/aiconfigurator performance tables, commit 095f58a5, Apache-2.0",)
EXTRA = {"backends_in_steps": ["trtllm", "sglang"]}
"""vLLM's MLA was timed outside a graph: its launch times do not hold inside a model step."""
BANDS = QuantileBands((("backend",), ("backend", "device")), families=DEDICATED, tail=0.07)
HOST = ("host_us", "fp8_host_us")
SHARES = ("compute_efficiency", "memory_efficiency")
"""Shares of datasheet rates: families may differ less in them, or they stop being shares."""


def offsets(names: Sequence[str], device_names: tuple[str, ...], shares_width: float) -> tuple[Offsets, ...]:
    """Return the groups that may differ: backend, kind of kernel, architecture, and (little) the device."""
    shares = tuple(name for name in names if name in SHARES)
    kernel = tuple(name for name in names if name not in (*HOST, *SHARES))
    levels = (("backend",), ("architecture",), ("architecture", "backend"))
    return (
        *(Offsets(level, shares, shares_width) for level in levels),
        Offsets(("backend",), kernel, 0.4),
        Offsets(("backend",), HOST, 5.0),
        Offsets(("kernels",), kernel, 0.6, without=("general",)),
        Offsets(("kernels", "backend"), kernel, 0.6, without=("general",)),
        Offsets(("architecture",), kernel, 0.3),
        Offsets(("architecture", "backend"), kernel, 0.4),
        Offsets(("architecture", "backend"), HOST, 0.7),
        Offsets(("device", "backend"), HOST, 0.3),
        Offsets(("device",), device_names, 0.05),
    )


def facts_of(frame: Any) -> ChipFacts:
    """Return the facts of each row's device as arrays."""
    from perfmodel.devices import load_device

    chips = {name: chip_facts(load_device(name)) for name in frame["device"].unique()}

    def column(of: Callable[[ChipFacts], Any]) -> Any:
        return frame["device"].map({name: of(chip) for name, chip in chips.items()}).to_numpy(float)

    def sixteen_bit(chip: ChipFacts) -> Any:
        return chip.peaks.get("bfloat16", chip.peaks.get("float16"))

    return ChipFacts(
        name="rows", vendor="", kind="gpu", architecture="", core_count=column(lambda x: x.core_count),
        clock_hz=column(lambda x: x.clock_hz), memory_bytes=column(lambda x: x.memory_bytes),
        memory_bandwidth_bytes_per_s=column(lambda x: x.memory_bandwidth_bytes_per_s),
        llc_bytes=column(lambda x: x.llc_bytes), llc_partitions=1,
        peaks={name: column(sixteen_bit) for name in ("bfloat16", "float16")},
        vector_flops_per_s=column(lambda x: x.vector_flops_per_s),
    )  # fmt: skip


def by_cache(frame: Any, operator: type[Any], columns: Sequence[str]) -> list[tuple[Any, Any, ChipFacts]]:
    """Return (row numbers, operator with arrays, facts with arrays) for each format of the cache."""
    parts = []
    for name, rows in frame.groupby("kv_dtype").indices.items():
        part = frame.iloc[rows]
        numbers = {column: part[column].to_numpy(float) for column in columns}
        parts.append((rows, operator(**numbers, cache=find_cache_encoding(str(name))), facts_of(part)))
    return parts


def model_of(form: Callable[..., Any], operator: type[Any], columns: Sequence[str]) -> Callable[[Any], Model]:
    """Return what turns a frame into a function of coefficient arrays."""

    def bind(frame: Any) -> Model:
        import numpy as np

        parts = by_cache(frame, operator, columns)

        def model(c: Any) -> Any:
            out = np.empty(len(frame))
            for rows, op, chip in parts:
                out[rows] = form(op, chip, {name: value[rows] for name, value in c.items()})
            return out

        return model

    return bind


def roofline_of(operator: type[Any], columns: Sequence[str]) -> Callable[[Any], Any]:
    """Return what gives a frame's datasheet roofline: the larger of flops over peak and bytes over bandwidth."""

    def roofline(frame: Any) -> Any:
        import numpy as np

        out = np.empty(len(frame))
        for rows, op, chip in by_cache(frame, operator, columns):
            counts = op.counts()
            matrix = counts.filter_flops(engine="tensor").total_flops() / chip.peak_flops_per_s("bfloat16")
            out[rows] = np.maximum(matrix, counts.total_bytes() / chip.memory_bandwidth_bytes_per_s)
        return out

    return roofline
