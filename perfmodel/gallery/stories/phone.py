"""Language models on phones."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, view
from perfmodel.reports.drawing import Axis, Bar, Part, bars
from perfmodel.reports.text import MISSING, listed, percent, plain
from perfmodel.reports.views.style import BLUE, ORANGE

_DEVICES = ("apple-a18-pro", "apple-a17-pro", "snapdragon-8-elite-gen-5", "snapdragon-8-elite", "snapdragon-8-gen-3",
            "dimensity-9400", "exynos-2400", "pixel-tensor-g4")  # fmt: skip
_MODELS = ("llama-3.2-1b", "llama-3.2-3b", "qwen3-8b")
_INPUT, _OUTPUT, _PRECISION = 512, 128, "int4_wo"
_READING = 6.0
"""Tokens a second that somebody reads: 270 words a minute, 1.3 tokens a word (from memory)."""

_BATTERY_J = 15.0 * 3600.0
"""A phone's battery, 15 Wh (from memory)."""


def ask() -> Rows:
    """Return speed and energy of one user by device and model."""
    from perfmodel.api import estimate

    rows: list[dict[str, Any]] = []
    for model in _MODELS:
        for device in _DEVICES:
            e = estimate(model, device, input_tokens=_INPUT, output_tokens=_OUTPUT, precision=_PRECISION)
            assert e.tpot_s is not None
            assert e.ttft_s is not None
            t = e.tpot_s
            rows.append({"model": model, "device": device, "tokens_per_s": 1 / t.expected, "low": 1 / t.p90,
                "high": 1 / t.p10,
                         "bound": 1 / t.bound, "ttft_s": e.ttft_s.expected, "joules": e.joules_per_token,
                         "fits": e.fits,
                         "limit": e.bottleneck})  # fmt: skip
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: who is faster than a reader, and what a battery is good for."""
    models = list(dict.fromkeys(r["model"] for r in rows))
    clauses = [_clause([r for r in rows if r["model"] == model]) for model in models]
    middle = [r for r in rows if r["model"] == models[len(models) // 2] and r["fits"]]
    middle.sort(key=lambda r: -r["tokens_per_s"])
    finding = f"Somebody reads about {_READING:g} tokens a second. {' '.join(clauses)}"
    name = middle[0]["model"] if middle else ""
    drawing = bars(
        f"Tokens a second of {name}, with band and bound",
        [Bar(r["device"], [Part("faster than reading" if r["tokens_per_s"] >= _READING else "slower than reading",
                                r["tokens_per_s"], BLUE if r["tokens_per_s"] >= _READING else ORANGE)],
             f"{r['tokens_per_s']:.1f}", (r["low"], r["high"]), r["bound"]) for r in middle],
        Axis(f"tokens/s of {name}"),
    )  # fmt: skip
    cells = [
        (r["model"], r["device"], f"{r['tokens_per_s']:.1f}", f"{r['low']:.1f} to {r['high']:.1f}", f"{r['bound']:.1f}",
         f"{r['ttft_s']:.2f} s", MISSING if r["joules"] is None else f"{r['joules']:.2f}",
         MISSING if not r["joules"] else plain(_BATTERY_J / r["joules"]), "yes" if r["fits"] else "no") for r in rows
    ]  # fmt: skip
    headers = ("model", "device", "tokens/s", "p10 to p90", "bound", "TTFT", "J a token", "tokens a charge", "fits")
    return Told(
        finding,
        [view("speed", f"{name} by phone", _battery(middle), drawing, headers, cells, (0, 1))],
        (
            f"One user, {_INPUT} input and {_OUTPUT} output tokens, weights in 4 bits, activations in 16.",
            "No phone's kernels were fitted one by one: the bands are as wide as the class of such chips is.",
            "A charge is 15 Wh and all of it is the model's: no screen, no throttling when the phone grows hot.",
        ),
        [(f"perfmodel estimate {name} --on {middle[0]['device'] if middle else _DEVICES[0]} --precision {_PRECISION} "
         f"--input {_INPUT} --output {_OUTPUT}")],
    )  # fmt: skip


def _clause(rows: Rows) -> str:
    able = [r for r in rows if r["fits"]]
    name = rows[0]["model"]
    if not able:
        return f"{name} fits none of these phones."
    quick = [r for r in able if r["tokens_per_s"] >= _READING]
    best = max(able, key=lambda r: r["tokens_per_s"])
    kept = f"on {len(quick)} of {len(rows)} phones" if quick else "on none of these phones"
    limits = listed(sorted({r["limit"] for r in able}))
    return (
        f"{name} is expected to keep up {kept}, best {best['device']} at {best['tokens_per_s']:.0f} tokens/s "
        f"({percent(best['tokens_per_s'] / best['bound'])} of what its {limits} allows)."
    )


def _battery(rows: Rows) -> str:
    known = [r for r in rows if r["joules"]]
    if not known:
        return "No energy is known of these devices."
    best = min(known, key=lambda r: r["joules"])
    return (
        f"A charge makes {plain(_BATTERY_J / best['joules'])} tokens of {best['model']} on {best['device']}, the "
        "thriftiest."
    )


STORY = Story("llm-on-a-phone", "Which language model does a phone run at reading speed?", ask, tell)
