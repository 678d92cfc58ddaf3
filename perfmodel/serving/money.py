"""Dollars of a deployment in its steady state: per request, and per million tokens in and out."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.cost.price import Rates, usd_per_request
from perfmodel.numeric import Number, maximum
from perfmodel.serving.phases import Phases
from perfmodel.serving.timed import StepTime

MILLION = 1e6


@dataclass(frozen=True)
class Money:
    """US dollars: ``per_token`` puts all of a request on its output tokens (phase prefill: on its input tokens).

    ``per_input_token`` and ``per_output_token`` share it out by the machine time that prefill and decode take.
    """

    usd_per_request: Number
    usd_per_million_tokens: Number
    usd_per_million_input_tokens: Number
    usd_per_million_output_tokens: Number


def request_money(
    phases: Phases,
    rates: Rates,
    devices: int,
    joules_per_request: Number | None,
    lengths: tuple[Number, Number],
    pools: tuple[int, int] | None,
) -> Money:
    """Return what a request costs on ``devices``; ``pools`` are those of prefill and decode when they are apart.

    ``in = share*usd/I``, ``out = (1 - share)*usd/O`` with share the prefill's part of the devices' time: of the steps
    that a request takes part in, or of the pools' devices.
    """
    usd = usd_per_request(rates, devices, phases.requests_per_s, joules_per_request)
    inputs, outputs = lengths
    share = _prefill_share(phases, outputs, pools)
    told = inputs if phases.tpot is None else outputs
    return Money(
        usd, usd / told * MILLION, usd * share / inputs * MILLION, usd * (1.0 - share) / outputs * MILLION
    )  # fmt: skip


def _prefill_share(phases: Phases, outputs: Number, pools: tuple[int, int] | None) -> Number:
    if phases.prefill is None:
        return 0.0
    if phases.decode is None:
        return 1.0
    if pools is not None:
        return pools[0] / (pools[0] + pools[1])
    first = _device_seconds(phases.prefill)
    later = _device_seconds(phases.decode) * maximum(outputs - 1.0, 0.0)
    return first / (first + later)


def _device_seconds(step: StepTime) -> Number:
    return step.time.expected / step.sequences
