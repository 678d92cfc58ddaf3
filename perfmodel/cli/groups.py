"""The groups of options that commands share: the load, how it is split, in which arithmetic, and at what price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.durations import seconds
from perfmodel.cli.question import changes, lengths, pools, real

if TYPE_CHECKING:
    from perfmodel.api import Estimate
    from perfmodel.network_api import NetworkEstimate
    from perfmodel.workloads.spec import LanguageModel


@dataclass(frozen=True)
class Load:
    """Requests in flight and their lengths; a use case brings lengths of its own."""

    batch: o.Batch = "1"
    input_tokens: o.Input = ""
    output_tokens: o.Output = ""
    usecase: o.UseCaseName = ""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`perfmodel.estimate`."""
        first, second = lengths(self.usecase, self.input_tokens, self.output_tokens)
        return {"batch": self.batch, "input_tokens": first, "output_tokens": second}


@dataclass(frozen=True)
class Split:
    """How a deployment is split over devices."""

    tp: o.Tp = "1"
    ep: o.Ep = "1"
    moe_tp: o.MoeTp = ""
    attention_dp: o.AttentionDp = "1"
    dp: o.Dp = "1"
    pp: o.Pp = "1"
    cp: o.Cp = "1"
    microbatches: o.Microbatches = ""
    sequence_parallel: o.SequenceParallel = False
    redundant_experts: o.RedundantExperts = ""
    draft_tokens: o.DraftTokens = ""
    acceptance: o.Acceptance = ""
    cp_mode: o.CpMode = "ring"
    overlap: o.Overlap = "none"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`perfmodel.estimate`; what is not said is left to its defaults."""
        return {field.name: value for field in fields(self) if (value := getattr(self, field.name)) not in ("", False)}


@dataclass(frozen=True)
class Arithmetic:
    """What a language model computes in, who runs it, and numbers that are other than in the files."""

    precision: o.Precision = ""
    moe_precision: o.MoePrecision = ""
    kv: o.Kv = ""
    engine: o.Engine = ""
    routing: o.RoutingName = "uniform"
    change: o.Changes = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`perfmodel.estimate`; an empty precision is the checkpoint's."""
        return {
            "precision": self.precision or None, "moe_precision": self.moe_precision or None,
            "kv_precision": self.kv or None, "engine": self.engine, "routing": self.routing,
            "changes": changes(self.change),
        }  # fmt: skip


@dataclass(frozen=True)
class Phases:
    """Which part of serving is asked for."""

    phase: o.Phase = "serve"
    static: o.Static = False

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`perfmodel.estimate`."""
        return {"phase": self.phase, "static": self.static}


@dataclass(frozen=True)
class Prices:
    """Power and money."""

    power_limit: o.PowerLimit = ""
    price_kind: o.PriceKind = "cloud_hour"
    usd_per_hour: o.UsdPerHour = ""
    usd_per_kwh: o.UsdPerKwh = ""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`perfmodel.estimate` and :func:`perfmodel.network_api.estimate_network`."""
        return {
            "power_limit_w": real("--power-limit", self.power_limit), "price_kind": self.price_kind,
            "usd_per_device_hour": real("--usd-per-hour", self.usd_per_hour),
            "usd_per_kwh": real("--usd-per-kwh", self.usd_per_kwh),
        }  # fmt: skip


@dataclass(frozen=True)
class NetworkKernels:
    """How a network's layers are run."""

    fusion: o.Fusion = ""
    layers: o.Layers = ""
    sparsity: o.Sparsity = ""


@dataclass(frozen=True)
class NetworkWords(NetworkKernels):
    """What only networks have."""

    image: o.Image = ""


def _pool(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="FIELD=N,..", help=help_text)


def _count(option: str, help_text: str = "") -> Any:
    return typer.Option(option, metavar="N", help=help_text)


def _time(option: str, help_text: str) -> Any:
    return typer.Option(option, metavar="TIME", help=help_text)


@dataclass(frozen=True)
class Pools:
    """Separate pools of prefill and decode workers, as words or an option a field."""

    mode: o.Mode = ""
    prefill: Annotated[str, _pool("--prefill", "Disagg: the prefill pool, such as workers=4,tp=4,ep=32.")] = ""
    decode: Annotated[str, _pool("--decode", "The decode pool; options of one field each:")] = ""
    prefill_workers: Annotated[str, _count("--prefill-workers", "Disagg: groups of devices that prefill.")] = ""
    prefill_tp: Annotated[str, _count("--prefill-tp", "The same options of a prefill worker.")] = ""
    prefill_ep: Annotated[str, _count("--prefill-ep")] = ""
    prefill_moe_tp: Annotated[str, _count("--prefill-moe-tp")] = ""
    prefill_attention_dp: Annotated[str, _count("--prefill-attention-dp")] = ""
    decode_workers: Annotated[str, _count("--decode-workers", "Disagg: groups of devices that decode.")] = ""
    decode_tp: Annotated[str, _count("--decode-tp", "The same options of a decode worker.")] = ""
    decode_ep: Annotated[str, _count("--decode-ep")] = ""
    decode_moe_tp: Annotated[str, _count("--decode-moe-tp")] = ""
    decode_attention_dp: Annotated[str, _count("--decode-attention-dp")] = ""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`perfmodel.estimate`: none of pools that are not stated."""
        words: Mapping[str, str] = {name: text for name, text in vars(self).items() if name != "mode"}
        return {"mode": self.mode or "agg", **pools(self.mode, words)}


@dataclass(frozen=True)
class TimeLimits:
    """What a service promises."""

    ttft: Annotated[str, _time("--ttft", "Limit on the time to the first token: 1s.")] = ""
    tpot: Annotated[str, _time("--tpot", "Limit on the time a further token: 30ms.")] = ""
    e2e: Annotated[str, _time("--e2e", "Limit on the time of a whole request.")] = ""

    def seconds(self) -> dict[str, float]:
        """Return the limits in seconds by name, infinite where none is stated."""
        return {name: seconds(f"--{name}", text) for name, text in vars(self).items()}


def ask(model: str | LanguageModel, device: str, *groups: Any, **more: Any) -> Estimate:
    """Return the estimate of a language model that groups of options ask for."""
    from perfmodel.api import estimate

    given: dict[str, Any] = {}
    for group in groups:
        given |= group.arguments()
    return estimate(model, device, **(given | more))


def ask_network(
    model: str, device: str, load: Load, split: Split, arithmetic: Arithmetic, words: NetworkWords,
    prices: Prices | None = None,
) -> NetworkEstimate:  # fmt: skip
    """Return the estimate of a network that groups of options ask for."""
    from perfmodel.cli.network import layer_precisions
    from perfmodel.network_api import estimate_network

    return estimate_network(
        model, device, batch=load.batch, dp=split.dp, image=words.image or None, precision=arithmetic.precision,
        layers=layer_precisions(words.layers), fusion=words.fusion, sparsity=words.sparsity or "dense",
        engine=arithmetic.engine, changes=changes(arithmetic.change), **(prices or Prices()).arguments(),
    )  # fmt: skip
