"""Time of one operator: the bound of physics, the expected time of a good implementation, and its error band."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from perfmodel.calibration import Coefficients
from perfmodel.cost import accelerator
from perfmodel.cost.bounds import Bound, operator_bound
from perfmodel.cost.fused import fused_s
from perfmodel.cost.gpu import (
    attention_decode,
    attention_prefill,
    collectives,
    conv,
    elementwise,
    exchange,
    gather,
    gemm,
    lora,
    mla_decode,
    mla_prefill,
    moe,
    recurrence,
    sparse,
)
from perfmodel.cost.machine import Machine
from perfmodel.numeric import Number, maximum, minimum
from perfmodel.ops import OPERATORS, Collective, Experts, Fused, Linear, Operator
from perfmodel.ops.conv import Convolution

Z80 = 1.2815515655446004
"""Standard normal quantile of 90 %: p10 and p90 lie that many spreads from the median."""


class _Form(NamedTuple):
    """Coefficients and formula of a class of operators; ``stand_in`` is the measured one that an unmeasured is like."""

    calibration: str
    function: Callable[..., Number]
    stand_in: str = ""


_FORMS: dict[str, _Form] = {
    "gemm": _Form("gemm", gemm.expected_s),
    "attention_prefill": _Form("attention_prefill", attention_prefill.expected_s),
    "attention_decode": _Form("attention_decode", attention_decode.expected_s),
    "mla_prefill": _Form("mla_prefill", mla_prefill.expected_s),
    "mla_decode": _Form("mla_decode", mla_decode.expected_s),
    "moe": _Form("moe", moe.expected_s),
    **{
        kind: _Form("elementwise", elementwise.expected_s)
        for kind in ("rmsnorm", "add_rmsnorm", "layernorm", "activation", "gated_activation", "add", "softmax", "rope",
                     "quantise", "embedding")
    },
    **{
        kind: _Form("elementwise", elementwise.expected_s, measured)
        for kind, measured in {
            "multiply": "add", "scale": "activation", "batchnorm": "activation", "groupnorm": "layernorm",
            "copy": "activation", "pool": "activation", "resize": "activation",
        }.items()
    },
    **{kind: _Form("conv", conv.expected_s) for kind in ("conv2d", "conv_transpose2d", "deform_conv2d")},
    "batched_matmul": _Form("conv", conv.matmul_s),
    "embedding_bag": _Form("elementwise", gather.expected_s, "embedding"),
    "fused": _Form("conv", fused_s),
    **{
        kind: _Form("collectives", collectives.expected_s)
        for kind in ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv")
    },
    "causal_conv": _Form("recurrence", recurrence.conv_s),
    "scan_prefill": _Form("recurrence", recurrence.scan_prefill_s),
    "scan_decode": _Form("recurrence", recurrence.scan_decode_s),
    "index_scores": _Form("mla_decode", sparse.index_scores_s),
    "sparse_latent": _Form("mla_decode", sparse.sparse_latent_s),
    "sparse_latent_decode": _Form("mla_decode", sparse.sparse_latent_s),
    "compressed_attention": _Form("mla_decode", sparse.compressed_s),
    "compressed_attention_decode": _Form("mla_decode", sparse.compressed_s),
    "lora": _Form("gemm", lora.expected_s),
    "expert_exchange": _Form("exchange", exchange.expected_s),
}  # fmt: skip


def uncosted_operators() -> list[str]:
    """Return the kinds of registered operators that no form gives a time for (none, if all is well)."""
    return sorted(set(OPERATORS) - set(_FORMS))


@dataclass(frozen=True)
class OperatorCost:
    """Times of one execution of one operator; ``spread_low`` and ``spread_high`` are ln-scale sigmas of the band."""

    bound: Bound
    expected_s: Number
    spread_low: float
    spread_high: float

    @property
    def bound_s(self) -> Number:
        """Return the bound of this operator alone."""
        return self.bound.time_s

    @property
    def p10_s(self) -> Number:
        """Return the time that one in ten stays under: never below the bound."""
        return maximum(self.expected_s * math.exp(-Z80 * self.spread_low), self.bound_s)

    @property
    def p90_s(self) -> Number:
        """Return the time that nine in ten stay under."""
        return self.expected_s * math.exp(Z80 * self.spread_high)


def static_dtype(op: Operator) -> str:
    """Return the precision name by which coefficients are looked up."""
    if isinstance(op, (Linear, Experts, Convolution)):
        return op.format.calibrated_as
    return getattr(op, "dtype", "bfloat16")


def expected_s(op: Operator, machine: Machine) -> Number:
    """Return the expected time of an operator, without holding it to the bound."""
    if machine.form == "accelerator":
        c = machine.coefficients("accelerator", op.KIND, static_dtype(op))
        return accelerator.expected_s(op, machine.chip, c, machine.cold_weights)
    if isinstance(op, Fused):
        return fused_s(op, machine.chip, lambda part: expected_s(part, machine))
    form = _FORMS[op.KIND]
    c: Coefficients = machine.coefficients(form.calibration, form.stand_in or op.KIND, static_dtype(op))
    extra: tuple[Any, ...] = (machine.link,) if isinstance(op, Collective) else ()
    unfused = {"kernels": kernels} if (kernels := getattr(op, "kernels", 1)) > 1 else {}
    return form.function(op, machine.chip, c, *extra, warm=machine.warm, **unfused)


def bound_of(op: Operator, machine: Machine) -> Bound:
    """Return the bound of an operator on a machine."""
    bound = operator_bound(op, op.counts(), machine.chip, machine.link, machine.warm)
    if machine.cold_weights == 1.0:
        return bound
    # what the chip can keep from one inference to the next need not come from memory again
    return replace(bound, memory_s=bound.memory_s * machine.cold_weights)


def spreads(op: Operator, machine: Machine) -> tuple[float, float]:
    """Return the ln-scale sigmas below and above the expected time."""
    form = _FORMS[op.KIND] if machine.form == "gpu" else _Form("accelerator", accelerator.expected_s)
    band = machine.band(form.calibration, form.stand_in or op.KIND, static_dtype(op))
    return -math.log(minimum(band.p10, 1.0)) / Z80, math.log(maximum(band.p90, 1.0)) / Z80


def operator_cost(op: Operator, machine: Machine) -> OperatorCost:
    """Return bound, expected time and band of one operator: ``bound <= p10 <= expected <= p90``."""
    bound = bound_of(op, machine)
    low, high = spreads(op, machine)
    return OperatorCost(bound, maximum(expected_s(op, machine), bound.time_s), low, high)
