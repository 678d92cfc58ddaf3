"""Which kinds of models stay fast as the context grows to a million tokens."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, grows, power_of_two, times, view
from perfmodel.reports.drawing import Axis, Line, lines
from perfmodel.reports.text import listed, seconds, size

_DEVICE, _OUTPUT = "h200-sxm", 256
_MODELS = (("llama-3.1-8b", "grouped queries everywhere"), ("gemma-3-12b", "five windows to one full layer"),
           ("falcon-h1-7b", "attention and state space in each layer"), ("nemotron-nano-9b-v2",
            "a few attention layers"),
           ("falcon-mamba-7b", "state space alone"))  # fmt: skip
_CONTEXTS = (4096, 16384, 65536, 262144, 1048576)


def ask() -> Rows:
    """Return the decode step of one sequence and the sequences that fit, by model and context."""
    from perfmodel.api import estimate

    rows: list[dict[str, Any]] = []
    for model, kind in _MODELS:
        for context in _CONTEXTS:
            e = estimate(model, _DEVICE, input_tokens=context - _OUTPUT, output_tokens=_OUTPUT, phase="decode")
            assert e.tpot_s is not None
            rows.append({"model": model, "kind": kind, "context": context, "s": e.tpot_s.expected,
                "fit": float(e.answer.most_running),
                         "kv_bytes": float(e.memory.kv_bytes)})  # fmt: skip
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: whose step grows least, and what still fits."""
    names = list(dict.fromkeys(r["model"] for r in rows))
    grown = {n: _of(rows, n)[-1]["s"] / _of(rows, n)[0]["s"] for n in names}
    least, most = min(grown, key=lambda n: grown[n]), max(grown, key=lambda n: grown[n])
    longest = rows[-1]["context"]
    none = [n for n in names if _of(rows, n)[-1]["fit"] < 1]
    held = max(names, key=lambda n: _of(rows, n)[-1]["fit"])
    without = (
        f"{listed(none)} cannot hold one sequence of that length on a {_DEVICE}" if none else "each fits once at least"
    )
    finding = (
        f"From {power_of_two(rows[0]['context'])} to {power_of_two(longest)} tokens the decode step of {most} "
        f"({_kind(rows, most)}) {grows(grown[most])}, that of {least} ({_kind(rows, least)}) {grows(grown[least])}; "
        f"{without}, {held} holds {_of(rows, held)[-1]['fit']:,.0f}."
    )
    drawing = lines(
        "Decode step of one sequence by context",
        [Line(f"{n}: {_kind(rows, n)}", [(r["context"], 1e3 * r["s"]) for r in _of(rows, n)]) for n in names],
        Axis("tokens of context", log=True, write=power_of_two, named=_CONTEXTS), Axis("decode step, ms"),
    )  # fmt: skip
    cells = [
        (r["model"], power_of_two(r["context"]), seconds(r["s"]), size(r["kv_bytes"]), f"{r['fit']:,.0f}") for r in rows
    ]
    shortest = rows[0]["context"]
    quick = min((r for r in rows if r["context"] == shortest), key=lambda r: r["s"])
    said = (
        f"At {power_of_two(shortest)} tokens all are within {times(_spread(rows, shortest))} of {quick['model']}, "
        "the fastest."
    )
    return Told(
        finding,
        [view("steps", "The step by context", said, drawing, ("model", "context", "step", "cache and state",
         "sequences that fit"),
              cells)],
        (f"One {_DEVICE}, 16 bits, one sequence. Contexts beyond what a model was trained for are shown all the same.",
         "Reading the prompt is left out: it grows with the square of the context where attention is full."),
        [f"perfmodel sweep {n} --on {_DEVICE} --phase decode --input 4096:1048576:x4 --output "
         f"{_OUTPUT}" for n in (most, least)],
    )  # fmt: skip


def _of(rows: Rows, name: str) -> list[Any]:
    return [r for r in rows if r["model"] == name]


def _kind(rows: Rows, name: str) -> str:
    return _of(rows, name)[0]["kind"]


def _spread(rows: Rows, context: int) -> float:
    steps = [r["s"] for r in rows if r["context"] == context]
    return max(steps) / min(steps)


STORY = Story("long-context", "Which models stay fast at a million tokens?", ask, tell)
