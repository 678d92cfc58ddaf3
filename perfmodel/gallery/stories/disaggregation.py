"""Separate pools for prompts and tokens against whole replicas."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, more, times, view
from perfmodel.reports.drawing import Axis, Line, Mark, lines
from perfmodel.reports.text import MISSING, plain, seconds

_MODEL, _DEVICE, _GPUS, _OUTPUT, _TTFT_S = "llama-3.1-70b", "h100-sxm", 16, 512, 3.0
_INPUTS = (1024, 8192)
_TPOTS_S = (0.012, 0.015, 0.02, 0.03, 0.045, 0.06)


def ask() -> Rows:
    """Return the best of each kind of deployment by prompt length and limit on TPOT."""
    from perfmodel.search.report import plan_report

    rows: list[dict[str, Any]] = []
    for tokens in _INPUTS:
        for tpot in _TPOTS_S:
            row: dict[str, Any] = {"input_tokens": tokens, "tpot_s": tpot}
            for mode in ("agg", "disagg"):
                best = plan_report(
                    _MODEL, [_DEVICE], gpus=_GPUS, input_tokens=tokens, output_tokens=_OUTPUT, ttft_s=_TTFT_S,
                    tpot_s=tpot,
                    objective="throughput", mode=mode, precisions=["fp8"],
                )["best"]  # fmt: skip
                row[mode] = best["tokens_per_s_per_device"] if best else None
                row[f"{mode}_plan"] = best["plan"] if best else "none keeps the limits"
            rows.append(row)
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: under which limits separate pools gain."""
    lengths = list(dict.fromkeys(r["input_tokens"] for r in rows))
    finding = " ".join(_clause([r for r in rows if r["input_tokens"] == n]) for n in lengths)
    drawing = lines(
        "Tokens of separate pools over those of replicas, by limit on TPOT",
        [Line(f"{n:,} input tokens", [(1e3 * r["tpot_s"], r["disagg"] / r["agg"]) for r in rows
                                      if r["input_tokens"] == n and r["agg"] and r["disagg"]]) for n in lengths],
        Axis("limit on TPOT, ms", zero=False), Axis("tokens of pools over replicas", zero=False),
        marks=[Mark("y", 1.0, "no gain")],
    )  # fmt: skip
    cells = [
        (
            f"{r['input_tokens']:,}",
            seconds(r["tpot_s"]),
            _rate(r["agg"]),
            _rate(r["disagg"]),
            r["agg_plan"],
            r["disagg_plan"],
        )
        for r in rows
    ]
    headers = (
        "input",
        "limit on TPOT",
        "replicas, tokens/s a GPU",
        "pools, tokens/s a GPU",
        "best replicas",
        "best pools",
    )
    return Told(
        finding,
        [view("gain", "The gain by limit", _trend(rows), drawing, headers, cells, (4, 5))],
        (
            (f"{_MODEL} in fp8 on up to {_GPUS} {_DEVICE}, as many requests as keep TTFT within {_TTFT_S:g} s and the "
             "limit on "
            f"TPOT (10 % kept free below both), {_OUTPUT} output tokens."),
            "Every split is searched. Replicas read whole prompts between steps; chunked prefill would narrow the gap.",
            "The cache moves over the scale-up links.",
        ),
        [f"perfmodel plan {_MODEL} --on {_DEVICE} --gpus {_GPUS} --input {n} --output {_OUTPUT} --ttft {_TTFT_S:g}s "
         "--tpot 20ms "
         "--objective throughput --precision fp8 --mode both" for n in lengths],
    )  # fmt: skip


def _rate(value: Any) -> str:
    return MISSING if value is None else plain(value)


def _clause(rows: Rows) -> str:
    both = [(r["disagg"] / r["agg"], r) for r in rows if r["agg"] and r["disagg"]]
    name = f"With {rows[0]['input_tokens']:,} input tokens"
    if not both:
        return f"{name} no limit here is kept by both kinds of deployment."
    gain, best = max(both, key=lambda pair: pair[0])
    if gain <= 1.005:
        return f"{name} separate pools never gain."
    loose = both[-1][0]
    return (
        f"{name} separate pools make up to {times(gain)} the tokens (TPOT within {1e3 * best['tpot_s']:g} ms), and "
        f"{more(loose)} within {1e3 * both[-1][1]['tpot_s']:g} ms."
    )


def _trend(rows: Rows) -> str:
    alone = [r for r in rows if r["disagg"] and not r["agg"]]
    if alone:
        return (
            f"Only pools keep TPOT within {1e3 * alone[0]['tpot_s']:g} ms with {alone[0]['input_tokens']:,} input "
            "tokens."
        )
    gains = [r["disagg"] / r["agg"] for r in rows if r["agg"] and r["disagg"]]
    won = sum(g > 1.005 for g in gains)
    return f"Pools win in {won} of {len(gains)} cases that both keep."


STORY = Story("disaggregation", "When do separate pools for prefill and decode pay?", ask, tell)
