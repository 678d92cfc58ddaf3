"""Decoding in memory against GPUs."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, times, view
from perfmodel.reports.drawing import Axis, Line, lines
from perfmodel.reports.text import MISSING, percent, plain, seconds

_MODEL, _INPUT, _OUTPUT = "llama-2-7b", 2048, 128
_GPU = "h100-sxm"
_DEVICES = (_GPU, "attacc", "attacc-buffer", "duplex", "hbm2-pim", "gddr6-aim")
_BATCHES = (1, 2, 4, 8, 16, 32, 48)


def ask() -> Rows:
    """Return decode speed and energy by device and batch, as far as memory holds the sequences."""
    from perfmodel.api import estimate

    rows: list[dict[str, Any]] = []
    for device in _DEVICES:
        for batch in _BATCHES:
            e = estimate(_MODEL, device, batch=batch, input_tokens=_INPUT, output_tokens=_OUTPUT, phase="decode")
            assert e.tpot_s is not None
            found = e.operator_rows()
            spent = sum(r["expected_s"] for r in found if r["kind"] == "attention_decode")
            if float(e.answer.most_running) < batch:
                continue
            whole = sum(r["expected_s"] for r in found)
            rows.append({"device": device, "batch": batch, "tpot_s": e.tpot_s.expected, "attention": spent / whole,
                         "tokens_per_s": e.tokens_per_s, "joules": e.joules_per_token})  # fmt: skip
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: what memory that computes gains for one user and for many."""
    alone = [r for r in rows if r["batch"] == 1]
    most = max(r["batch"] for r in rows if r["device"] == _GPU)
    many = [r for r in rows if r["batch"] == most]
    finding = f"{_best(alone)} {_best(many)} {_why(rows, most)}"
    drawing = lines(
        "Tokens a second by requests at once",
        [Line(d, [(r["batch"], r["tokens_per_s"]) for r in rows if r["device"] == d]) for d in _DEVICES],
        Axis("requests at once", log=True, named=_BATCHES), Axis("tokens/s", log=True),
    )  # fmt: skip
    cells = [
        (r["device"], f"{r['batch']}", plain(r["tokens_per_s"]), seconds(r["tpot_s"]), percent(r["attention"]),
         MISSING if not r["joules"] else f"{r['joules']:.3f}") for r in rows
    ]  # fmt: skip
    ends = {d: max((r["batch"] for r in rows if r["device"] == d), default=0) for d in _DEVICES}
    short = min(ends, key=lambda d: ends[d])
    said = f"Lines end where memory is full: {short} holds {ends[short]} requests, {_GPU} at least {ends[_GPU]}."
    headers = ("device", "requests", "tokens/s", "TPOT", "attention's share", "J a token")
    return Told(
        finding,
        [view("speed", "Tokens a second by load", said, drawing, headers, cells)],
        (
            f"{_MODEL} in 16 bits, one device, decode alone, {_INPUT:,} input and {_OUTPUT} output tokens.",
            ("attacc and duplex put memory that computes beside a processor for the dense layers; their figures "
             "follow the "
            "papers and their simulators, nobody sells them. hbm2-pim and gddr6-aim hold little."),
        ),
        [(f"perfmodel compare {_MODEL} --on {','.join(_DEVICES[:4])} --batch {most} --input {_INPUT} --output "
         f"{_OUTPUT} "
         "--phase decode --per watt")],
    )  # fmt: skip


def _best(rows: Rows) -> str:
    """Return who leads at a load, and by how much against the GPU."""
    gpu = next(r for r in rows if r["device"] == _GPU)
    best = max(rows, key=lambda r: r["tokens_per_s"])
    load = "For one user" if gpu["batch"] == 1 else f"With {gpu['batch']} requests at once"
    if best is gpu:
        return f"{load} nothing beats {_GPU}."
    return f"{load} {best['device']} makes {times(best['tokens_per_s'] / gpu['tokens_per_s'])} the tokens of {_GPU}."


def _why(rows: Rows, batch: int) -> str:
    share = next(r["attention"] for r in rows if r["device"] == _GPU and r["batch"] == batch)
    if share < 0.3:
        return f"Attention, which in-memory units are for, is but {percent(share)} of the GPU's step there."
    return (
        f"There attention, whose cache no batch can share, is {percent(share)} of the GPU's step: that is what "
        "banks take over."
    )


STORY = Story("pim-for-decode", "Does processing in memory pay for decoding?", ask, tell)
