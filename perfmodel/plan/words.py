"""From words and numbers of unknown origin (a command line, a table, a call) to a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perfmodel.arguments import share, truth, whole
from perfmodel.plan.parallelism import Plan

COUNTS = ("tp", "attention_dp", "ep", "dp", "pp", "cp")
"""Ways to split: at least one each."""

NUMBERS_OR_NONE = ("moe_tp",)
NUMBERS_FROM_ZERO = ("microbatches", "redundant_experts", "draft_tokens")
SHARES = ("acceptance",)
FLAGS = ("sequence_parallel",)
WORDS = ("cp_mode", "overlap")
PLAN_FIELDS = (*COUNTS, *NUMBERS_OR_NONE, *NUMBERS_FROM_ZERO, *SHARES, *FLAGS, *WORDS)
"""Every field of :class:`Plan`."""


def plan_from(values: Mapping[str, Any], named: Callable[[str], str] = str) -> Plan:
    """Return the plan of these fields; empty, None and missing ones take their default.

    ``named`` says how to call a field in a message, such as ``--prefill-tp``. Errors: :class:`InputError`.
    """
    given = {name: values[name] for name in PLAN_FIELDS if values.get(name) not in (None, "")}
    read: dict[str, Any] = {}
    for name, value in given.items():
        if name in FLAGS:
            read[name] = truth(named(name), value)
        elif name in WORDS:
            read[name] = str(value)
        elif name in SHARES:
            read[name] = share(named(name), value)
        elif name in NUMBERS_OR_NONE:
            # tables write "not stated" as nothing or zero
            read[name] = whole(named(name), value, least=0) or None
        else:
            read[name] = whole(named(name), value, least=1 if name in COUNTS else 0)
    return Plan(**read)
