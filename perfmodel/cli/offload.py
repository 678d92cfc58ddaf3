"""``perfmodel offload``: a language model that is larger than the device's memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.grouped import grouped
from perfmodel.cli.output import give, print_columns, short
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.cost.offload import Tier
    from perfmodel.deployment.offload import Caching, Offloaded, OffloadedStep

app = new_app()


@dataclass(frozen=True)
class Store:
    """Where lies what the device does not hold, and how fast it comes."""

    host: Annotated[
        str,
        typer.Option("--host", metavar="SIZE[@RATE]", help="Host memory of each device, perhaps slower than the link."),
    ] = "256GB"
    flash: Annotated[
        str, typer.Option("--flash", metavar="SIZE@RATE", help="Storage behind it, such as 2TB@7GB/s.")
    ] = ""
    link: Annotated[
        str, typer.Option("--link", metavar="RATE", help="What a device receives  [default: the device's host link]")
    ] = ""
    link_efficiency: Annotated[
        str, typer.Option("--link-efficiency", metavar="SHARE", help="Share of the rates that copies reach.")
    ] = "0.8"
    keep: Annotated[str, typer.Option("--keep", metavar="NAME", help="What fills the device first: weights or kv.")] = (
        "weights"
    )


@dataclass(frozen=True)
class Experts:
    """How the experts on the device are chosen."""

    hits: Annotated[
        str, typer.Option("--hit-rate", metavar="SHARE", help="Experts found on the device  [default: from --zipf]")
    ] = ""
    cache: Annotated[str, typer.Option("--cache", metavar="NAME", help="Experts on the device: popular or lru.")] = (
        "popular"
    )
    exponent: Annotated[
        str, typer.Option("--zipf", metavar="S", help="Popularity of experts, 1/rank^S; 0 is uniform.")
    ] = "0"
    predicted: Annotated[
        str,
        typer.Option("--predicted", metavar="SHARE", help="Missing experts that are fetched before they are needed."),
    ] = "0"

    def caching(self) -> Caching:
        """Return what :mod:`perfmodel.deployment.offload` calls it."""
        from perfmodel.arguments import positive, share
        from perfmodel.deployment.offload import Caching

        return Caching(
            share("--hit-rate", self.hits) if self.hits else None, self.cache, positive("--zipf", self.exponent),
            share("--predicted", self.predicted),
        )  # fmt: skip


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "offload llama-3.1-70b --on rtx-4090 --host 256GB --input 512 --output 64",
        "offload llama-3.1-70b --on rtx-4090 --batch 16 --host 128GB --flash 2TB@7GB/s --precision int4_wo",
        "offload mixtral-8x7b --on rtx-4090 --host 128GB --cache lru --zipf 0.6 --json",
        "offload deepseek-v3 --on gb200 --host 960GB@450GB/s --link 450GB/s --precision fp8 --hit-rate 0.9",
    ),
)  # fmt: skip
@grouped
def offload(
    model: o.Model,
    device: o.On,
    batch: o.Batch = "1",
    input_tokens: o.Input = "1024",
    output_tokens: o.Output = "256",
    tp: o.Tp = "1",
    ep: o.Ep = "1",
    precision: o.Precision = "",
    moe_precision: o.MoePrecision = "",
    kv: o.Kv = "",
    *,
    store: Store,
    experts: Experts,
    json: o.Json = False,
) -> None:
    """Estimate a language model whose weights, experts or cache lie partly in host memory or on flash.

    The device is filled first, with what every step reads; the rest is streamed under the device's work, layer by
    layer. Experts are cached: what a step finds missing, it waits for. One static batch on the devices of one replica.
    """
    from perfmodel.api import estimate
    from perfmodel.arguments import share
    from perfmodel.deployment.offload import offload as ask

    asked = estimate(
        model, device, batch=batch, input_tokens=input_tokens, output_tokens=output_tokens, tp=tp, ep=ep,
        precision=precision or None, moe_precision=moe_precision or None, kv_precision=kv or None, static=True,
    )  # fmt: skip
    found = ask(
        asked.setup, float(asked.batch), float(asked.input_tokens), float(asked.output_tokens),
        _tiers(store.host, store.flash), _link(store.link, asked.device), kept_first=store.keep,
        caching=experts.caching(), link_efficiency=_above_zero(share("--link-efficiency", store.link_efficiency)),
    )  # fmt: skip
    answer = _answer(found, asked)
    give(answer, (), lambda: _print(found, answer), json=json)


def _above_zero(value: float) -> float:
    if value == 0:
        raise InputError("--link-efficiency must be above 0")
    return value


def _tiers(host: str, flash: str) -> list[Tier]:
    """Return the tiers beyond the device; a latency of a flash read is assumed, 100 us."""
    from perfmodel.cost.offload import Tier
    from perfmodel.units import stated_quantity

    found: list[Tier] = []
    for option, text, latency in (("host", host, 10e-6), ("flash", flash, 100e-6)):
        if not text:
            continue
        size, at, rate = text.partition("@")
        if option == "flash" and not at:
            raise InputError("--flash needs its rate: SIZE@RATE, such as 2TB@7GB/s")
        speed = stated_quantity(f"--{option}", rate, "bytes_per_s", "7GB/s") if at else float("inf")
        found.append(Tier(option, stated_quantity(f"--{option}", size, "bytes", "256GB"), speed, latency))
    return found


def _link(text: str, device: Any) -> float:
    from perfmodel.units import stated_quantity

    if text:
        return stated_quantity("--link", text, "bytes_per_s", "32GB/s")
    link = device.link("host")
    if link is None:
        raise InputError(f"{device.name} states no link to a host; give --link, such as --link 32GB/s")
    return link.bandwidth_bytes_per_s


def _answer(found: Offloaded, asked: Any) -> dict[str, Any]:
    tiers = [tier.name for tier in found.placement.tiers]
    return {
        "schema": "perfmodel/offload/1",
        "model": asked.model.name,
        "device": asked.device.name,
        "placement": [
            {"part": part.name, "bytes": part.stored_bytes, "read_bytes_per_step": part.step_bytes,
             **{f"{tier}_bytes": row[i] for i, tier in enumerate(tiers)}}
            for part, row in zip(found.placement.parts, found.placement.stored_bytes, strict=True)
        ],
        "tpot_s": _time(found.decode),
        "ttft_s": _time(found.prefill),
        "e2e_s": found.e2e_s,
        "tokens_per_s": found.tokens_per_s,
        "resident_tpot_s": found.resident_step_s,
        "decode": _step(found.decode, tiers[1:]),
        "prefill": _step(found.prefill, tiers[1:]),
        "bottleneck": found.decode.bottleneck,
    }  # fmt: skip


def _time(step: OffloadedStep) -> dict[str, float]:
    t = step.time
    return {"expected": t.expected, "bound": t.bound, "p10": t.p10, "p90": t.p90}


def _step(step: OffloadedStep, tiers: list[str]) -> dict[str, Any]:
    return {
        "device_s": step.device_s, "ahead_s": step.ahead_s, "missed_s": step.missed_s, "hit_rate": step.hit_rate,
        "fetched_bytes": {
            tier: ahead + missed
            for tier, ahead, missed in zip(tiers, step.fetched.ahead_bytes, step.fetched.missed_bytes, strict=True)
        },
        "bottleneck": step.bottleneck,
    }  # fmt: skip


def _print(found: Offloaded, answer: dict[str, Any]) -> None:
    rate, waits = short(found.tokens_per_s), answer["bottleneck"]
    print(f"{answer['model']} on {answer['device']}: {rate} tokens/s, limited by {waits}")
    rows = [("time", "bound", "p10", "expected", "p90", "device", "streamed", "missing")]
    for name, step in (("TPOT", found.decode), ("TTFT", found.prefill)):
        seconds = (
            step.time.bound,
            step.time.p10,
            step.time.expected,
            step.time.p90,
            step.device_s,
            step.ahead_s,
            step.missed_s,
        )
        rows.append((name, *(f"{1e3 * s:,.4g} ms" for s in seconds)))  # pyright: ignore[reportArgumentType]
    print_columns(rows, numbers=range(1, 8))
    print(f"\nTPOT with all in the device's memory: {1e3 * found.resident_step_s:.4g} ms")
    if found.decode.hit_rate is not None:
        print(f"experts found on the device: {100 * found.decode.hit_rate:.1f} % of those that a decode step wants")
    tiers = [tier.name for tier in found.placement.tiers]
    cells = [
        (part.name, *(f"{b / 1e9:,.4g} GB" for b in (part.stored_bytes, *row, part.step_bytes)))
        for part, row in zip(found.placement.parts, found.placement.stored_bytes, strict=True)
    ]
    print()
    print_columns([("part", "all", *tiers, "read a step"), *cells], numbers=range(1, 3 + len(tiers)))
