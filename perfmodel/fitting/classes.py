"""The operator classes whose forms are fitted on measured kernels, each a module of this package."""

from __future__ import annotations

from importlib import import_module

from perfmodel.errors import InputError
from perfmodel.fitting.judging import ClassFit

CLASSES = (
    "gemm", "attention_prefill", "attention_decode", "mla_prefill", "mla_decode", "moe", "elementwise", "collectives",
    "recurrence",
)  # fmt: skip


def class_fit(name: str) -> ClassFit:
    """Return how a class is fitted. Errors: :class:`InputError` for an unknown name."""
    if name not in CLASSES:
        raise InputError(f"no class '{name}' is fitted; there are {', '.join(CLASSES)}")
    return import_module(f"perfmodel.fitting.{name}").FIT
