"""A mixture of experts spread over more and more of 72 GPUs."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, more, times, view
from perfmodel.reports.drawing import Axis, Line, lines
from perfmodel.reports.text import percent, plain, seconds

_MODEL, _DEVICE, _INPUT, _OUTPUT = "deepseek-v3", "gb200-nvl72", 2048, 1024
_GROUPS = (8, 16, 24, 32, 36, 48, 64, 72)
_LOADS = (16, 64, 256)


def ask() -> Rows:
    """Return tokens a GPU and the step by the size of the expert group and the requests a GPU."""
    from perfmodel.api import estimate

    rows: list[dict[str, Any]] = []
    for load in _LOADS:
        for group in _GROUPS:
            spare = -256 % group
            e = estimate(_MODEL, _DEVICE, batch=load * group, input_tokens=_INPUT, output_tokens=_OUTPUT,
                         attention_dp=group, ep=group, redundant_experts=spare, phase="decode")  # fmt: skip
            assert e.tpot_s is not None
            found = e.operator_rows()
            moved = sum(r["expected_s"] for r in found if r["bottleneck"] == "link" or r["link_bytes"])
            rows.append({"load": load, "group": group, "tokens_per_s": e.tokens_per_s_per_device,
                "tpot_s": e.tpot_s.expected,
                         "links": moved / sum(r["expected_s"] for r in found), "fits": e.fits})  # fmt: skip
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: what a wider group gains at each load, and where it stops."""
    clauses = [_clause([r for r in rows if r["load"] == load]) for load in dict.fromkeys(r["load"] for r in rows)]
    drawing = lines(
        "Output tokens a second of a GPU by the size of the expert group",
        [Line(f"{load} requests a GPU", [(r["group"], r["tokens_per_s"]) for r in rows if r["load"] == load])
         for load in dict.fromkeys(r["load"] for r in rows)],
        Axis("GPUs that share the experts", named=_GROUPS, zero=False), Axis("output tokens/s a GPU"),
    )  # fmt: skip
    cells = [
        (f"{r['load']}", f"{r['group']}", plain(r["tokens_per_s"]), seconds(r["tpot_s"]), percent(r["links"]),
         "yes" if r["fits"] else "no") for r in rows
    ]  # fmt: skip
    finding = f"Spread over more GPUs, each holds fewer experts and reads each for more tokens: {'; '.join(clauses)}."
    said = f"With all GPUs in one group, links take {percent(rows[-1]['links'])} of the step at the highest load."
    return Told(
        finding,
        [view("groups", "Tokens a GPU by group", said, drawing,
              ("requests a GPU", "group", "tokens/s a GPU", "TPOT", "links' share", "fits"), cells)],
        (
            (f"{_MODEL} in its own fp8 on {_DEVICE}, decode alone, {_INPUT:,} input and {_OUTPUT:,} output tokens; "
             "attention "
            "by sequence, experts by expert, as many groups side by side as there is room for."),
            "256 experts do not divide by 24, 36, 48 or 72: the rest is filled with copies of experts.",
            "Every expert is equally likely; a skewed router makes the most loaded GPU slower.",
        ),
        [f"perfmodel estimate {_MODEL} --on {_DEVICE} --attention-dp {g} --ep {g} --redundant-experts {-256 % g} "
         "--batch "
         f"{64 * g} --input {_INPUT} --output {_OUTPUT} --phase decode" for g in (8, 72)],
    )  # fmt: skip


def _clause(rows: Rows) -> str:
    first, last = rows[0], rows[-1]
    best = max(rows, key=lambda r: r["tokens_per_s"])
    gain = last["tokens_per_s"] / first["tokens_per_s"]
    said = (
        f"{first['load']} requests a GPU make {times(gain)} the tokens on {last['group']} that they make on "
        f"{first['group']}"
    )
    short = best["tokens_per_s"] / last["tokens_per_s"]
    if short < 1.005:
        return said
    return f"{said} (the best is {best['group']}, {more(short)} than {last['group']})"


STORY = Story("moe-on-72-gpus", "Over how many of 72 GPUs should a mixture of experts be spread?", ask, tell)
