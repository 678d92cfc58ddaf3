"""What ``perfmodel simulate`` prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfmodel.cli.output import note, print_columns
from perfmodel.units import time_text


def print_runs(report: Mapping[str, Any]) -> None:
    """Print a row a run."""
    print(f"{report['model']} on {report['devices']} {report['device']}\n")
    rows = report["rows"]
    load = next(iter(rows[0]))
    heading = (load.replace("_", " "), "seed", "requests/s", "tokens/s", "TTFT p50", "p90", "TPOT p50", "p90", "")
    cells = [
        (f"{row[load]:g}", str(row["seed"]), f"{row['requests_per_s']:.4g}", f"{row['tokens_per_s']:,.0f}",
         *(time_text(row[f"{name}_{share}_s"] or 0.0) for name in ("ttft", "tpot") for share in ("p50", "p90")),
         "saturated" if row["saturated"] else "")
        for row in rows
    ]  # fmt: skip
    print_columns([heading, *cells], numbers=range(8))
    for problem in report["problems"]:
        note(problem)


def print_simulation(report: Mapping[str, Any]) -> None:
    """Print percentiles, rates, and what was found in caches."""
    devices = f"{report['devices']} {report['device']}"
    print(f"{report['model']} on {devices}: {report['requests']:,} requests, {report['inputs']['policy']}\n")
    if report["saturated"]:
        print("SATURATED: more arrives than this deployment serves; waiting grows as long as the run lasts.")
        print(f"It serves about {report['requests_per_s']:.3g} requests a second.\n")
    heading = ("", "mean", "p50", "p90", "p99", "closed form")
    print_columns(
        [heading, *(_times(report, name) for name in ("ttft", "tpot", "tbt", "e2e"))], numbers=(1, 2, 3, 4, 5)
    )
    print(f"\n{report['requests_per_s']:.4g} requests/s, {report['tokens_per_s']:,.0f} tokens/s, "
          f"busy {100 * report['busy_share']:.0f} % of the time, {report['preemptions']} preemptions")  # fmt: skip
    if "slo_share" in report:
        print(f"{100 * report['slo_share']:.1f} % keep all limits: goodput {report['goodput_per_s']:.4g} requests/s")
    for line in _found(report):
        print(line)
    for problem in report["problems"]:
        note(problem)


def _found(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each of caches, adapters and swaps of which there is something to say."""
    lines: list[str] = []
    if cache := report.get("prefix_cache"):
        computed = f", {cache['computed_instead']} computed instead" if cache["computed_instead"] else ""
        lines.append(
            f"prefix cache: {100 * cache['hit_rate']:.1f} % of the requests find theirs, "
            f"{100 * cache['token_hit_rate']:.1f} % of the input ({cache['tokens_on_device']:,} tokens on the device, "
            f"{cache['tokens_loaded']:,} loaded{computed})"
        )
        if rate := cache.get("break_even_bytes_per_s"):
            lines.append(f"loading a mean input is quicker than computing it from {rate / 1e9:.3g} GB/s on")
    if pool := report.get("adapters"):
        size = f"{pool['bytes_each'] / 1e6:.4g} MB"
        lines.append(
            f"adapters of {size}: {100 * pool['hit_rate']:.1f} % are on the device, {pool['fetched']:,} fetched"
        )
    if swaps := report.get("swaps"):
        lines.append(f"{swaps} caches swapped to the host and back")
    return lines + _above(report)


def _above(report: Mapping[str, Any]) -> list[str]:
    """Return a line of the moves between replicas, and one of each class of requests."""
    lines: list[str] = []
    if moves := report.get("migrations"):
        lines.append(
            f"{moves['moved']:,} requests moved to another replica ({moves['dropped']:,} given up): copying takes "
            f"{time_text(moves['mean_copy_s'])}, the request stops for {time_text(moves['mean_downtime_s'])} "
            f"(at most {time_text(moves['longest_downtime_s'])})"
        )
    for name, found in report.get("priorities", {}).items():
        times = (f"{what.upper()} p99 {time_text(found[f'{what}_s']['p99'])}" for what in ("ttft", "tpot", "e2e")
                 if found[f"{what}_s"])  # fmt: skip
        lines.append(f"{name}: {found['requests']:,} requests, {', '.join(times)}, {found['preemptions']} preemptions")
    return lines


def _times(report: Mapping[str, Any], name: str) -> tuple[str, ...]:
    found = report[f"{name}_s"]
    if found is None:
        return name.upper(), "", "", "", "", ""
    known = report["closed_form"].get(f"{name}_s")
    shares = map(time_text, (found[part] for part in ("mean", "p50", "p90", "p99")))
    return name.upper(), *shares, time_text(known) if known else ""
