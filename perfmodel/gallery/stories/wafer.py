"""A wafer that holds the model against eight GPUs."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, times, view
from perfmodel.reports.drawing import Axis, Line, lines
from perfmodel.reports.text import MISSING, percent, plain, seconds

_MODEL, _INPUT, _OUTPUT = "llama-3.1-8b", 1024, 256
_SYSTEMS = (("wse-3", 1), ("h100-sxm", 8), ("b200", 8), ("h100-sxm", 1))
_PUBLISHED = 1837.0
"""Tokens/s of a user that a service reached (Artificial Analysis, 2024-09; docs/engines.md)."""

_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


def ask() -> Rows:
    """Return decode speed and energy by system and batch."""
    from perfmodel.api import estimate

    rows: list[dict[str, Any]] = []
    for device, tp in _SYSTEMS:
        for batch in _BATCHES:
            e = estimate(_MODEL, device, tp=tp, batch=batch, input_tokens=_INPUT, output_tokens=_OUTPUT, phase="decode")
            assert e.tpot_s is not None
            if float(e.answer.most_running) >= batch:
                rows.append({"system": device if tp == 1 else f"{tp} x {device}", "wafer": device.startswith("wse"),
                             "batch": batch, "user": 1 / e.tpot_s.expected, "tokens_per_s": e.tokens_per_s,
                             "tpot_s": e.tpot_s.expected, "p90_s": e.tpot_s.p90,
                             "joules": e.joules_per_token})  # fmt: skip
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: speed for one user, and the load from which GPUs make more tokens."""
    wafer = {r["batch"]: r for r in rows if r["wafer"]}
    others = [r for r in rows if not r["wafer"]]
    one = max((r for r in others if r["batch"] == 1), key=lambda r: r["user"])
    name = wafer[1]["system"]
    ratio = wafer[1]["user"] / one["user"]
    first = (
        f"For one user {name} is expected to be {times(ratio)} as fast as {one['system']}, the fastest of the GPUs "
        f"({plain(wafer[1]['user'])} against {plain(one['user'])} tokens/s)."
        if ratio > 1
        else f"Even for one user {one['system']} is faster than {name}, {times(1 / ratio)} as fast."
    )
    names = list(dict.fromkeys(r["system"] for r in rows))
    drawing = lines(
        "Tokens a second of the system against those of a user",
        [Line(n, [(r["user"], r["tokens_per_s"]) for r in rows if r["system"] == n]) for n in names],
        Axis("tokens/s of a user", log=True, zero=False), Axis("tokens/s of the system", log=True),
    )  # fmt: skip
    cells = [
        (r["system"], f"{r['batch']}", plain(r["user"]), plain(r["tokens_per_s"]), seconds(r["tpot_s"]),
         seconds(r["p90_s"]),
         MISSING if not r["joules"] else f"{r['joules']:.3f}") for r in rows
    ]  # fmt: skip
    headers = ("system", "requests", "tokens/s a user", "tokens/s", "TPOT", "p90", "J a token")
    crossed = _crossed(wafer, others)
    return Told(
        f"{first} {crossed} {_energy(wafer, others)}",
        [view("trade", "Speed for a user against tokens", crossed, drawing, headers, cells)],
        (
            (f"{_MODEL} in 16 bits, decode alone, {_INPUT:,} input and {_OUTPUT} output tokens; points are batches "
            "from 1 up."),
            (f"No one measured this wafer for perfmodel: its form follows a paper's meshes, and its p90 is "
            f"{times(wafer[1]['p90_s'] / wafer[1]['tpot_s'])} the expected time. A service on such wafers, which users "
            f"share, makes {plain(_PUBLISHED)} tokens/s ({percent(_PUBLISHED / wafer[1]['user'])} of ours, "
            f"docs/engines.md)."),
            "Devices alone: no hosts, no cooling.",
        ),
        [f"perfmodel estimate {_MODEL} --on wse-3 --input {_INPUT} --output {_OUTPUT} --phase decode",
         f"perfmodel estimate {_MODEL} --on b200 --tp 8 --input {_INPUT} --output {_OUTPUT} --phase decode"],
    )  # fmt: skip


def _crossed(wafer: Any, others: Rows) -> str:
    for batch in sorted(wafer):
        best = max((r for r in others if r["batch"] == batch), key=lambda r: r["tokens_per_s"], default=None)
        if best and best["tokens_per_s"] > wafer[batch]["tokens_per_s"]:
            return f"From {batch} requests at once {best['system']} makes more tokens."
    return f"At no load up to {max(wafer)} requests do the GPUs make more tokens."


def _energy(wafer: Any, others: Rows) -> str:
    last = max(wafer)
    known = [r for r in others if r["batch"] == last and r["joules"]]
    if not known or not wafer[last]["joules"]:
        return ""
    best = min(known, key=lambda r: r["joules"])
    ratio = wafer[last]["joules"] / best["joules"]
    verb = f"{times(ratio)} the energy" if ratio >= 1 else f"{times(1 / ratio)} less energy"
    return f"With {last} a token takes {verb} of {best['system']}'s."


STORY = Story("wafer-against-gpu", "When is a wafer worth more than eight GPUs?", ask, tell)
