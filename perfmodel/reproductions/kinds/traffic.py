"""``kind: traffic``: what ``perfmodel traffic attention`` and ``perfmodel traffic gemm`` say of one buffer."""

from __future__ import annotations

from typing import Any

from perfmodel.cost.tiling.attention import AttentionShape
from perfmodel.errors import InputError, did_you_mean
from perfmodel.explain.traffic import attention_work, gemm_work
from perfmodel.formats import find_format
from perfmodel.reproductions.registry import kind
from perfmodel.units import parse_quantity

_DEFAULTS = {"batch": 1, "heads": 1, "kv_heads": None, "head_dim": 128, "value_dim": None}


@kind("traffic")
def traffic(
    *, work: str, sram: str, policy: str, dtype: str = "float16", array: str = "128x128", **sizes: Any
) -> dict[str, Any]:
    """Return bytes moved, flops and their ratio of ``attention`` (q, kv, heads ...) or a ``gemm`` (m, n, k)."""
    each = find_format(dtype).activation.bytes_per_element
    if work == "gemm":
        rows, _, columns = array.partition("x")
        found = gemm_work(int(sizes["m"]), int(sizes["n"]), int(sizes["k"]), (int(rows), int(columns)))
    elif work == "attention":
        causal = bool(sizes.pop("causal", False))
        full: dict[str, Any] = {**_DEFAULTS, **sizes}
        full |= {"kv_heads": full["kv_heads"] or full["heads"], "value_dim": full["value_dim"] or full["head_dim"]}
        names = ("batch", "q", "kv", "heads", "kv_heads", "head_dim", "value_dim")
        found = attention_work(AttentionShape(*(float(full[name]) for name in names), causal=causal))
    else:
        raise InputError(f"unknown work '{work}'{did_you_mean(work, ('attention', 'gemm'))} (attention or gemm)")
    found.check(policy)
    words, _, more = found.moved(policy, int(parse_quantity(sram, "bytes") / each))
    return {"bytes": words * each, "flops": found.flops, "flops_per_byte": found.flops / (words * each), **more}
