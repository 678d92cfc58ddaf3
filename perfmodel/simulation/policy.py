"""How a replica makes up its steps, and what becomes of caches that no longer fit."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.errors import InputError, did_you_mean

POLICIES = ("chunked", "prompts_first", "shared")
PREEMPTIONS = ("recompute", "swap", "cheaper")


@dataclass(frozen=True)
class Policy:
    """How steps are made up, and what becomes of caches that no longer fit.

    ``chunked``: decodes first, then pieces of prompts up to ``token_budget`` tokens a step (Sarathi-Serve).
    ``prompts_first``: waiting prompts as a whole, up to the budget (one at least), in steps without decodes (Orca, vLLM
    before 0.6). ``shared``: prompts and decodes at the same time, prompts on the share ``prefill_share`` of the cores.
    At most ``most_running`` requests run at once. ``preempt``: a request that must go computes its cache anew
    (recompute), has it in host memory meanwhile (swap), or whichever takes less time (cheaper).
    """

    name: str = "chunked"
    token_budget: int = 8192
    most_running: int = 1_000_000
    preempt: str = "recompute"
    prefill_share: float = 0.5

    def __post_init__(self) -> None:
        for what, value, known in (("policy", self.name, POLICIES), ("preemption", self.preempt, PREEMPTIONS)):
            if value not in known:
                raise InputError(f"unknown {what} '{value}'{did_you_mean(value, known)} (one of {', '.join(known)})")
        if self.token_budget < 1 or self.most_running < 1:
            raise InputError("token budget and most running requests must be at least 1")
        if not 0.0 < self.prefill_share < 1.0:
            raise InputError(f"prefill share {self.prefill_share:g} must be above 0 and below 1: decodes need the rest")
