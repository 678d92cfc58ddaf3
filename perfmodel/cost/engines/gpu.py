"""GPUs, and any device without an engine of its own: the forms fitted on measured kernels, one per operator kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from perfmodel.cost.bounds import Bound
from perfmodel.cost.engines.base import Z80, Engine, device_bound, static_dtype
from perfmodel.cost.engines.registry import register
from perfmodel.cost.facts import ChipFacts
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
from perfmodel.numeric import Number, maximum, minimum
from perfmodel.ops import OPERATORS, Collective, Fused, Operator
from perfmodel.specs.schema import Block

if TYPE_CHECKING:
    from perfmodel.cost.machine import Machine


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
    "sparse_latent": _Form("mla_decode", sparse.sparse_prefill_s),
    "sparse_latent_decode": _Form("mla_decode", sparse.sparse_decode_s),
    "compressed_attention": _Form("mla_decode", sparse.compressed_prefill_s),
    "compressed_attention_decode": _Form("mla_decode", sparse.compressed_decode_s),
    "lora": _Form("gemm", lora.expected_s),
    "expert_exchange": _Form("exchange", exchange.expected_s),
}  # fmt: skip


def uncosted_operators() -> list[str]:
    """Return the kinds of registered operators that no form gives a time for (none, if all is well)."""
    return sorted(set(OPERATORS) - set(_FORMS))


@register
@dataclass(frozen=True)
class Gpu(Engine):
    """The measured kernels' forms, with the coefficients of ``hardware_specs/calibration`` that apply to the chip."""

    NAME = "gpu"
    RULE = Block({})
    SAMPLES = ({},)

    def runs(self, op: Operator) -> bool:
        return op.KIND in _FORMS

    def expected_s(self, op: Operator, chip: ChipFacts, machine: Machine) -> Number:
        if isinstance(op, Fused):
            return fused_s(op, chip, lambda part: self.expected_s(part, chip, machine))
        form = _FORMS[op.KIND]
        c = machine.coefficients(form.calibration, form.stand_in or op.KIND, static_dtype(op))
        extra: tuple[Any, ...] = (machine.link,) if isinstance(op, Collective) else ()
        unfused = {"kernels": kernels} if (kernels := getattr(op, "kernels", 1)) > 1 else {}
        return form.function(op, chip, c, *extra, warm=machine.warm, **unfused)

    def bound(self, op: Operator, chip: ChipFacts, machine: Machine) -> Bound:
        return device_bound(op, chip, machine)

    def spreads(self, op: Operator, chip: ChipFacts, machine: Machine) -> tuple[float, float]:
        form = _FORMS[op.KIND]
        band = machine.band(form.calibration, form.stand_in or op.KIND, static_dtype(op))
        return -math.log(minimum(band.p10, 1.0)) / Z80, math.log(maximum(band.p90, 1.0)) / Z80
