"""Which GPU serves a 70B model to people who chat, for the least money."""

from __future__ import annotations

from perfmodel.gallery.story import Rows, Story, Told, more, view
from perfmodel.reports.drawing import Axis, Bar, Part, bars
from perfmodel.reports.text import listed, seconds
from perfmodel.reports.views.style import BLUE, GREY

_DEVICES = ("l40s", "a100-sxm-80gb", "h100-sxm", "h200-sxm", "b200", "mi300x", "rtx-pro-6000-server")
_MODEL, _GPUS, _RATE, _INPUT, _OUTPUT, _TTFT_S, _TPOT_S = "llama-3.1-70b", 16, 4, 2048, 512, 2.0, 0.05


def ask() -> Rows:
    """Return the cheapest deployment on each device, or what stands in its way."""
    from perfmodel.search.report import plan_report

    rows: list[dict[str, object]] = []
    for device in _DEVICES:
        found = plan_report(
            _MODEL, [device], gpus=_GPUS, rate=_RATE, input_tokens=_INPUT, output_tokens=_OUTPUT, ttft_s=_TTFT_S,
            tpot_s=_TPOT_S, mode="agg", precisions=["bfloat16", "fp8"],
        )  # fmt: skip
        best = found["best"]
        row: dict[str, object] = {"device": device, "plan": None, "misses": ""}
        if best is None:
            row["misses"] = listed(list(found["misses"][0]["misses"])) if found["misses"] else "no plan"
        else:
            names = ("plan", "devices_used", "usd_per_million_tokens", "usd_per_hour", "ttft_s", "tpot_s", "tpot_p10_s",
                     "tpot_p90_s", "joules_per_token")  # fmt: skip
            row |= {name: best.get(name) for name in names}
        rows.append(row)
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: the cheapest, by how much, and who cannot."""
    able = sorted((r for r in rows if r["plan"] and r["usd_per_million_tokens"]), key=_dollars)
    unable = [r for r in rows if not r["plan"]]
    drawing = bars(
        "Dollars a million output tokens, by device",
        [Bar(r["device"], [Part("", _dollars(r), BLUE if r is able[0] else GREY)],
         f"${_dollars(r):.2f}") for r in able],
        Axis("$ a million output tokens", write=lambda v: f"{v:g}"),
    )  # fmt: skip
    cells = [
        (r["device"], r["plan"], f"{r['devices_used']}", f"${_dollars(r):.2f}", f"${r['usd_per_hour']:.2f}",
         seconds(r["ttft_s"]), seconds(r["tpot_s"]), f"{seconds(r['tpot_p10_s'])} to {seconds(r['tpot_p90_s'])}")
        for r in able
    ]  # fmt: skip
    cells += [(r["device"], f"none: {r['misses']}", "", "", "", "", "", "") for r in unable]
    headers = ("device", "cheapest plan", "devices", "$ a million", "$ an hour", "TTFT", "TPOT", "p10 to p90")
    cannot = (
        f"{listed([r['device'] for r in unable])} cannot keep the limits with {_GPUS} devices."
        if unable
        else "All of them can."
    )
    return Told(
        f"{_first(able)} {cannot}",
        [view("cost", "What a million tokens cost", cannot, drawing, headers, cells, (0, 1))],
        (
            (f"{_RATE} requests a second of {_INPUT:,} input and {_OUTPUT} output tokens, on at most {_GPUS} devices; "
            f"TTFT within {_TTFT_S:g} s and TPOT within {1e3 * _TPOT_S:g} ms, 10 % kept free below both."),
            "Prices are those of the device files (cloud, by the hour); devices that are hired are paid in full.",
            "Weights in bfloat16 or fp8, whichever is cheaper; no framework overhead; no accuracy.",
        ),
        ((f"perfmodel plan {_MODEL} --on {','.join(_DEVICES)} --gpus {_GPUS} --rate {_RATE} --input {_INPUT} --output "
         f"{_OUTPUT} --ttft {_TTFT_S:g}s --tpot {1e3 * _TPOT_S:g}ms --mode agg --precision bfloat16,fp8"),),
    )  # fmt: skip


def _dollars(row: object) -> float:
    return row["usd_per_million_tokens"]  # type: ignore[index]


def _first(able: Rows) -> str:
    if not able:
        return "No device here serves the load within its limits."
    best = able[0]
    said = f"{best['device']} is the cheapest: ${_dollars(best):.2f} a million output tokens with {best['plan']}."
    if len(able) == 1:
        return said
    gap = _dollars(able[1]) / _dollars(best)
    band = best["tpot_p90_s"] / best["tpot_s"]
    tie = (
        f"; the band of {best['device']}'s TPOT is as wide as that (p90 {more(band)}), so measure both"
        if gap < band
        else ""
    )
    return f"{said} {able[1]['device']} costs {more(gap)}{tie}."


STORY = Story("gpu-for-70b-chat", "Which GPU serves a 70B model to people who chat?", ask, tell)
