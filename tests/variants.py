"""Operators to test with: for each registered kind, every static variant that picks another formula."""

from __future__ import annotations

from typing import Any

from perfmodel import ops
from perfmodel.formats import FP8, find_format
from perfmodel.ops import OPERATORS, Operator, Routing

FORMATS = ("bfloat16", "fp8", "fp8_block", "nvfp4", "int8", "int4_wo", "int8_wo", "w4a16_mxfp4", "w4a8_mxfp4_mxfp8")

STATICS: dict[str, list[dict[str, Any]]] = {
    "gemm": [
        *({"format": find_format(name)} for name in FORMATS),
        {"format": find_format("fp8"), "quantises_input": True},
        {"format": find_format("nvfp4"), "quantises_input": True},
    ],
    "attention_prefill": [
        {},
        {"causal": False},
        {"dtype": "fp8", "cache": FP8},
        {"fused": False},
        {"writes_cache": False},
        {"chunked": True},
    ],
    "attention_decode": [{}, {"cache": FP8}, {"writes_cache": False}, {"chunked": True}],
    "mla_prefill": [{}, {"dtype": "fp8", "cache": FP8}],
    "mla_decode": [{}, {"cache": FP8}],
    "moe": [
        *({"format": find_format(name)} for name in FORMATS),
        {"format": find_format("bfloat16"), "routing": Routing("balanced")},
        {"format": find_format("fp8_block"), "routing": Routing("power_law", 1.2), "gated": False},
    ],
    "quantise": [{"encoding": FP8}],
}


def variants(kind: str) -> list[dict[str, Any]]:
    """Return the static fields of every variant of an operator kind."""
    return STATICS.get(kind, [{}])


def all_variants() -> list[tuple[str, dict[str, Any]]]:
    """Return every (kind, statics) of the registry."""
    return [(kind, statics) for kind in OPERATORS for statics in variants(kind)]


def build(kind: str, statics: dict[str, Any], numbers: dict[str, Any]) -> Operator:
    """Return the operator with these numbers."""
    return OPERATORS[kind](**numbers, **statics)


def label(case: tuple[str, dict[str, Any]]) -> str:
    """Return a readable test id."""
    kind, statics = case
    return "-".join([kind, *(f"{field}={_short(value)}" for field, value in statics.items())])


def _short(value: Any) -> str:
    return getattr(value, "name", None) or getattr(value, "kind", None) or getattr(value, "dtype", None) or str(value)


__all__ = ["all_variants", "build", "label", "ops", "variants"]
