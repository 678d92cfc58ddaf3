"""The groups of options of ``perfmodel simulate``: what comes, how steps are made up, and what replicas have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.durations import seconds
from perfmodel.cli.groups import Arithmetic, TimeLimits
from perfmodel.cli.question import pools

if TYPE_CHECKING:
    from perfmodel.devices import Device
    from perfmodel.simulation.above import Above
    from perfmodel.simulation.equipment import Equipment
    from perfmodel.simulation.summary import Slo


@dataclass(frozen=True)
class Arrivals:
    """How requests come."""

    rate: Annotated[str, o.option("--rate", "R", "Requests a second that arrive; several: 1,2,4.")] = ""
    trace: Annotated[
        str,
        o.option("--trace", "FILE", "CSV: arrival_s, input_tokens, output_tokens [, cached_tokens, conversation ..]."),
    ] = ""
    in_flight: Annotated[str, o.option("--in-flight", "N", "A closed loop of so many requests.")] = ""
    requests: Annotated[str, o.option("--requests", "N", "How many requests to simulate.")] = "1000"
    arrival: Annotated[str, o.option("--arrival", "NAME", "poisson, gamma or regular.")] = "poisson"
    variation: Annotated[
        str, o.option("--variation", "X", "Gamma: standard deviation of the gaps over their mean.")
    ] = "2"
    seed: Annotated[str, o.option("--seed", "N,..", "Another seed draws other requests; several: 0,1,2.")] = "0"

    @property
    def several(self) -> bool:
        """Say whether several runs are asked for."""
        return any("," in text for text in (self.rate, self.in_flight, self.seed))


@dataclass(frozen=True)
class Lengths:
    """How long requests are."""

    input_tokens: o.Input = ""
    output_tokens: o.Output = ""
    spread: Annotated[
        str, o.option("--spread", "SIGMA", "Lengths are lognormal with this sigma  [default: all alike]")
    ] = ""
    longest: Annotated[str, o.option("--longest", "N", "Lengths are cut at so many tokens.")] = ""
    usecase: o.UseCaseName = ""

    def arguments(self) -> dict[str, Any]:
        """Return the distributions of lengths."""
        from perfmodel.simulation.report import lengths_from

        inputs, outputs = lengths_from(self.usecase, self.input_tokens, self.output_tokens, self.spread, self.longest)
        return {"inputs": inputs, "outputs": outputs}


@dataclass(frozen=True)
class Asking:
    """What requests ask for beside tokens."""

    shared_prefix: Annotated[
        str, o.option("--shared-prefix", "SHARE", "Part of the input that a prefix cache holds.")
    ] = "0"
    documents: Annotated[
        str, o.option("--documents", "N", "This part is one of so many documents, kept as long as there is room.")
    ] = ""
    adapters: Annotated[str, o.option("--adapters", "N", "Low-rank adapters, of which each request asks for one.")] = ""
    zipf: Annotated[str, o.option("--zipf", "S", "Popularity of documents and adapters, 1/rank^S; 0 is uniform.")] = "1"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a simulation."""
        from perfmodel.simulation.words import asked_from

        asked = asked_from(self.documents, self.adapters, self.zipf)
        return {"shared_prefix": self.shared_prefix, "asked": asked}


@dataclass(frozen=True)
class Steps:
    """How steps are made up."""

    policy: Annotated[
        str, o.option("--policy", "NAME", "chunked (pieces of prompts beside decodes), prompts_first, shared.")
    ] = "chunked"
    prefill_share: Annotated[
        str,
        o.option("--prefill-share", "SHARE", "Policy shared: the cores that prompts have; decodes have the others."),
    ] = "0.5"
    preempt: Annotated[
        str, o.option("--preempt", "NAME", "When caches outgrow the room: recompute, swap to the host, or cheaper.")
    ] = "recompute"
    chunk: Annotated[str, o.option("--chunk", "N", "Most tokens of a step.")] = "8192"
    most_running: Annotated[str, o.option("--most-running", "N", "Most requests that a replica runs at once.")] = (
        "1000000"
    )


@dataclass(frozen=True)
class Replicas:
    """Who gets a request, whose come first, and which move to other replicas."""

    balance: Annotated[
        str,
        o.option(
            "--balance", "NAME",
            "Of several replicas: least_load, round_robin, random, two_choices, memory, steps, prefix.",
        ),
    ] = ""  # fmt: skip
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Move running requests away from replicas that fill up (Llumnix).")
    ] = False
    migrate_link: Annotated[
        str, o.option("--migrate-link", "RATE", "What a device sends to another replica  [default: its network]")
    ] = ""
    urgent: Annotated[str, o.option("--urgent", "SHARE", "Part of the requests that goes before the others.")] = "0"
    headroom: Annotated[
        str, o.option("--headroom", "TOKENS", "A replica with an urgent request is full at so much load.")
    ] = "0"

    def above(self, device: Device) -> Above:
        """Return what stands above replicas of a device."""
        from perfmodel.simulation.above import above_from

        return above_from(device, **vars(self))


@dataclass(frozen=True)
class Limits(TimeLimits):
    """What a request must keep to count as good."""

    tbt: Annotated[str, o.option("--tbt", "TIME", "Limit of the gaps between its tokens, for 99 of 100.")] = ""

    def slo(self) -> Slo | None:
        """Return the limits, None where none is stated."""
        from perfmodel.simulation.summary import Slo

        stated = {f"{name}_s": seconds(f"--{name}", text) for name, text in vars(self).items()}
        return Slo(**stated) if any(vars(self).values()) else None


@dataclass(frozen=True)
class Ways:
    """How the model is split, and what it computes in."""

    tp: o.Tp = "1"
    ep: o.Ep = "1"
    attention_dp: o.AttentionDp = "1"
    dp: o.Dp = "1"
    precision: o.Precision = ""
    kv: o.Kv = ""
    engine: o.Engine = ""
    prefill: Annotated[str, o.option("--prefill", "FIELD=N,..", "A prefill pool: workers=2,tp=2.")] = ""
    decode: Annotated[str, o.option("--decode", "FIELD=N,..", "The decode pool.")] = ""
    change: o.Changes = None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of :func:`perfmodel.estimate`."""
        arithmetic = Arithmetic(self.precision, kv=self.kv, engine=self.engine, change=self.change)
        apart = pools("", {"prefill": self.prefill, "decode": self.decode})
        split = {"tp": self.tp, "ep": self.ep, "attention_dp": self.attention_dp, "dp": self.dp}
        return {**split, **arithmetic.arguments(), **apart}


@dataclass(frozen=True)
class Decoding:
    """Steps that yield more than a token, and tokens that leave early."""

    draft_tokens: o.DraftTokens = ""
    acceptance: o.Acceptance = ""
    acceptance_spread: Annotated[
        str, o.option("--acceptance-spread", "SHARE", "Standard deviation of the acceptance between requests.")
    ] = ""
    draft: Annotated[
        str, o.option("--draft", "MODEL", "A small model that drafts  [default: the model's own module]")
    ] = ""
    block: Annotated[str, o.option("--block", "N", "Decode blocks of so many tokens at once (block diffusion).")] = ""
    passes: Annotated[str, o.option("--passes", "N", "Steps that a block takes  [default: half of its tokens]")] = ""
    exit_: Annotated[
        str, o.option("--exit", "LAYER=SHARE", "Decoded tokens that leave after a layer, such as 16=0.4.")
    ] = ""

    @property
    def drafts(self) -> dict[str, Any]:
        """Return how many tokens are drafted, and how likely one is kept."""
        return {"draft_tokens": self.draft_tokens or 0, "acceptance": self.acceptance or 0.8}


@dataclass(frozen=True)
class Beside:
    """What replicas have beside their devices' memory."""

    lora_rank: Annotated[str, o.option("--lora-rank", "N", "Rank of an adapter.")] = "16"
    lora_targets: Annotated[str, o.option("--lora-targets", "NAME", "Layers with adapters: attention or all.")] = (
        "attention"
    )
    host: Annotated[
        str, o.option("--host", "SIZE[@RATE]", "Host memory of each device that keeps caches, such as 256GB.")
    ] = ""
    flash: Annotated[str, o.option("--flash", "SIZE@RATE", "Storage behind it, such as 2TB@7GB/s.")] = ""
    link: Annotated[
        str, o.option("--link", "RATE", "What a device receives from its host  [default: its host link]")
    ] = ""
    compress: Annotated[
        str, o.option("--compress", "X", "How many times smaller caches are in the host and on flash.")
    ] = "1"

    def equipment(self, device: Any, decoding: Decoding, adapters: str, draft: Any) -> Equipment:
        """Return what a replica has on a device; ``draft`` is the setup of the small model, if any."""
        from perfmodel.simulation.words import equipment_from

        return equipment_from(
            device, **vars(self), adapters=adapters, draft=draft, **decoding.drafts,
            acceptance_spread=decoding.acceptance_spread, block=decoding.block, passes=decoding.passes,
        )  # fmt: skip
