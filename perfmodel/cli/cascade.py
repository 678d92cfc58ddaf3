"""``perfmodel cascade``: a small model before a large one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.durations import seconds
from perfmodel.cli.grouped import grouped
from perfmodel.cli.output import give, one_stdout, print_columns
from perfmodel.cli.plain import PlainCommand, examples, new_app
from perfmodel.cli.question import lengths
from perfmodel.units import time_text

app = new_app()


@dataclass(frozen=True)
class Where:
    """What serves the two models."""

    tp: Annotated[str, o.option("--tp", "N", "Tensor parallelism of the large model.")] = "1"
    small_on: Annotated[str, o.option("--small-on", "DEVICE", "Device of the small model  [default: --on]")] = ""
    small_tp: Annotated[str, o.option("--small-tp", "N", "Tensor parallelism of the small model.")] = "1"
    precision: o.Precision = ""
    engine: o.Engine = ""


@dataclass(frozen=True)
class Share:
    """Which requests go where, and what telling them apart takes."""

    small_share: Annotated[str, o.option("--share", "SHARE", "Part of the requests that the small model gets.")] = "1"
    escalated: Annotated[
        str, o.option("--escalate", "SHARE", "Part of its answers that do not do: the large one answers too.")
    ] = "0.3"
    router_time: Annotated[str, o.option("--router-time", "TIME", "What judging or routing a request takes.")] = ""
    router_usd: Annotated[str, o.option("--router-usd", "USD", "And what it costs.")] = "0"

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a report."""
        router_s = seconds("--router-time", self.router_time) if self.router_time else 0.0
        return {"small_share": self.small_share, "escalated": self.escalated, "router_s": router_s,
                "router_usd": self.router_usd}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """The requests, and what each call must keep."""

    input_tokens: o.Input = ""
    output_tokens: o.Output = ""
    usecase: o.UseCaseName = ""
    rate: Annotated[str, o.option("--rate", "R", "Requests a second, for whole replicas.")] = ""
    ttft: Annotated[str, o.option("--ttft", "TIME", "Limit of a call's TTFT, at which load is chosen.")] = ""
    tpot: Annotated[str, o.option("--tpot", "TIME", "Limit of its TPOT.")] = ""

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of a report."""
        first, second = lengths(self.usecase, self.input_tokens, self.output_tokens)
        return {"input_tokens": first, "output_tokens": second, "rate": self.rate,
                "ttft_s": seconds("--ttft", self.ttft), "tpot_s": seconds("--tpot", self.tpot)}  # fmt: skip


@app.command(
    cls=PlainCommand,
    epilog=examples(
        "cascade llama-3.1-8b llama-3.1-70b --on h100-sxm --tp 4 --escalate 0.3 --usecase chat --tpot 50ms",
        "cascade llama-3.2-1b llama-3.1-70b --on h100-sxm --tp 4 --small-on l4 --rate 20 --router-time 5ms --json",
    ),
)
@grouped
def cascade(
    small: Annotated[str, typer.Argument(metavar="SMALL", help="The model that is asked first.")],
    large: Annotated[str, typer.Argument(metavar="LARGE", help="The model that answers what is left.")],
    device: o.On,
    *,
    where: Where,
    shares: Share,
    asked: Asked,
    json: o.Json = False,
    csv: o.CsvFile = "",
) -> None:
    """Say what a small model before a large one costs and takes, and up to which escalation it pays.

    Each model is served at the load within the limits at which a request is cheapest. --csv writes cost and time by
    escalation; percentiles of such runs are those of `perfmodel workflow run cascade`.
    """
    one_stdout(json, csv)
    from perfmodel.api import estimate
    from perfmodel.search.cascade_report import cascade_report

    common: dict[str, Any] = {"precision": where.precision or None, "engine": where.engine}
    setups = (
        estimate(small, where.small_on or device, tp=where.small_tp, **common).setup,
        estimate(large, device, tp=where.tp, **common).setup,
    )
    report = cascade_report(*setups, **shares.arguments(), **asked.arguments())
    give(report, report["points"], lambda: _print(report), json=json, csv=csv)


def _print(report: Mapping[str, Any]) -> None:
    both = report["cascade"]
    heading = ("", "on", "requests at once", "TTFT", "TPOT", "E2E", "$ a 1000 requests")
    rows = [
        (one["model"], f"{one['devices']} {one['device']}", f"{one['in_flight']:.0f}", time_text(one["ttft_s"]),
         time_text(one["tpot_s"]), time_text(one["e2e_s"]), _usd(one["usd_per_request"]))
        for one in (report["small"], report["large"])
    ]  # fmt: skip
    name = f"both, {100 * report['inputs']['escalated']:g} % escalated"
    print_columns([heading, *rows, (name, "", "", "", "", time_text(both["e2e_s"]), _usd(both["usd_per_request"]))],
                  numbers=range(2, 7))  # fmt: skip
    print(f"\nan escalated request takes {time_text(both['worst_e2e_s'])}")
    for what, verb in (("cost", "costs no more"), ("time", "takes no longer on average")):
        found = report["break_even"][what]
        if found is None or found["escalated"] is None:
            continue
        said = f"up to {100 * found['escalated']:.1f} % escalated" if found["escalated"] >= 0.0 else "at no escalation"
        print(f"it {verb} than the large model alone {said}")
    if "small_replicas" in both:
        hourly = report["large"]["usd_per_hour"], both["usd_per_hour"]
        dollars = "" if None in hourly else f", ${hourly[0]:,.2f} against ${hourly[1]:,.2f} an hour"
        alone = report["large"]["replicas"]
        print(f"at {report['inputs']['rate']:g} requests/s: {alone} replicas of the large model, or "
              f"{both['small_replicas']} small and {both['large_replicas']} large{dollars}")  # fmt: skip


def _usd(value: float | None) -> str:
    return "" if value is None else f"{1e3 * value:,.4g}"
