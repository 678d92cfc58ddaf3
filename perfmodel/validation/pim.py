"""Processing in memory against cycle simulators: cycles or milliseconds, of the device files' engines.

Three tables are known by their columns: matrix-vector products on HBM2-PIM (``pim_cycles``), attention heads on one
AttAcc stack (``pim_type``), transformer blocks on GDDR6-AiM as CENT lays them out (``PIM latency``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from perfmodel.cost.engines.pim import Pim
from perfmodel.cost.engines.registry import engines_of
from perfmodel.cost.in_memory import Array, attention_s, gemv_s
from perfmodel.devices import load_device
from perfmodel.errors import InputError

_CLOCK_S = 0.769e-9
"""tCK of the HBM3 of AttAcc, in which its table counts."""
_ATTACC = {"BA": "attacc", "BG": "attacc-bank-group", "BUFFER": "attacc-buffer"}
_LIMITED, _FREE = 6, 4
"""Clocks between products in all banks with and without the power limit of AttAcc."""
_LLAMA = {
    "Llama2-7B": (4096, 32, 32, 11008), "Llama2-13B": (5120, 40, 40, 13824), "Llama2-70B": (8192, 64, 8, 28672),
}  # fmt: skip
"""Width, heads, heads of keys, width of the feed-forward layer."""


def pim_array(device: str) -> Array:
    """Return the array of the first PIM engine of a device."""
    for _, engine in engines_of(load_device(device)):
        if isinstance(engine, Pim):
            return engine.array
    raise InputError(f"{device} has no engine of form pim; name one that has, such as hbm2-pim")


def read_pim(path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return each row of a table beside its prediction, and how many have none, by reason."""
    import pandas as pd

    frame = pd.read_csv(path)
    for column, compare in (("pim_cycles", _hbm2), ("pim_type", _attacc), ("PIM latency", _cent)):
        if column in frame.columns:
            return compare(frame.to_dict("records"))
    raise InputError(f"{path} is no table of processing in memory: it has no column pim_cycles, pim_type, PIM latency")


def _row(table: str, group: str, shape: str, published: float, predicted: float) -> dict[str, Any]:
    ratio = predicted / published
    return {
        "table": table, "group": group, "shape": shape, "published": published, "predicted": predicted, "ratio": ratio,
        "in_band": 0.88 <= 1.0 / ratio <= 1.4,
    }  # fmt: skip


def _hbm2(raw: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    array = pim_array("hbm2-pim")
    rows: list[dict[str, Any]] = []
    for r in raw:
        if r["kernel"] == "gemv":
            cycles = gemv_s(array, float(r["out"]), float(r["in"]), float(r["batch"]), 2.0) / 1e-9  # 1 GHz
            rows.append(_row("hbm2", "gemv", f"{r['out']}x{r['in']}x{r['batch']}", r["pim_cycles"], cycles))
    return rows, {"element-wise": len(raw) - len(rows)}


def _attacc(raw: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    arrays = {kind: replace(pim_array(name), channels=16.0) for kind, name in _ATTACC.items()}  # one stack
    rows: list[dict[str, Any]] = []
    for r in raw:
        array, waves = arrays[r["pim_type"]], -(-r["nhead"] // 16)
        if r["pim_type"] != "BUFFER" and not r["power_constraint"]:
            row_s = array.timing.row_s + (_LIMITED - _FREE) * _CLOCK_S
            array = replace(array, timing=replace(array.timing, mac_s=_FREE * _CLOCK_S, row_s=row_s))
        seconds = attention_s(array, float(r["nhead"]), 1.0, float(r["L"]), float(r["dhead"]), float(r["dbyte"]))
        level = _ATTACC[r["pim_type"]].removeprefix("attacc").lstrip("-") or "bank"
        power = "limited" if r["power_constraint"] else "free"
        group = f"{level}, {power}, {'even' if waves % 2 == 0 else 'odd'} waves"
        shape = f"{r['nhead']}x{r['L']}x{r['dhead']}"
        rows.append(_row("attacc", group, shape, r["cycle"], seconds / _CLOCK_S))
    return rows, {}


def _cent(raw: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, int]]:
    array = pim_array("gddr6-aim")
    rows: list[dict[str, Any]] = []
    for r in raw:
        if r["Tensor parallelism"] == 1:
            channels = float(r["Channels per block"])
            seconds = block_s(replace(array, channels=channels), *_LLAMA[r["Model"]], float(r["Sequence length"]))
            group = f"{r['Model']}, {channels:g} channels"
            rows.append(_row("cent", group, f"L{r['Sequence length']}", r["PIM latency"], seconds * 1e3))
    return rows, {"tensor parallelism above 1": len(raw) - len(rows)}


def block_s(array: Array, width: float, heads: float, kv_heads: float, ffn: float, tokens: float) -> float:
    """Return the seconds of a block's products for one token, laid out as CENT does: scores are read out key by key."""
    shapes = [(width, width), (kv_heads * 128, width), (kv_heads * 128, width), (width, width)]
    shapes += [(ffn, width), (ffn, width), (width, ffn)]
    products = sum(gemv_s(array, n, k, 1.0, 2.0) for n, k in shapes)
    alone = replace(array, held=1.0)
    return float(products + attention_s(alone, kv_heads, heads / kv_heads, tokens, 128.0, 2.0))
