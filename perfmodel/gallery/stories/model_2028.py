"""What a machine must have for a model that nobody has built yet."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, times, view
from perfmodel.reports.drawing import Axis, Bar, Line, Mark, Part, bars, lines
from perfmodel.reports.text import listed
from perfmodel.reports.views.style import BLUE, GREY, ORANGE

_BASE, _DEVICE, _BATCH, _INPUT, _OUTPUT, _TTFT_S, _TPOT_S = "kimi-k2", "gb200-nvl72", 256, 8192, 1024, 4.0, 0.05
_PLAN: dict[str, Any] = {"attention_dp": 64, "ep": 64}
_SIZES = (1, 2, 5, 10)
_SHOWN = 10


def ask() -> Rows:
    """Return by size (in trillions of parameters) the factor of the machine, and what each number must be."""
    from perfmodel.api import estimate
    from perfmodel.errors import PlanError
    from perfmodel.search.require import Limits, jointly, needs
    from perfmodel.search.sensitivity_report import number_text
    from perfmodel.workloads.library import load_model
    from perfmodel.workloads.parameters import active_parameters_per_token
    from perfmodel.workloads.scaled import scaled_model

    rows: list[dict[str, Any]] = []
    for trillions in _SIZES:
        model = scaled_model(load_model(_BASE), f"{trillions}T")
        e = estimate(model, _DEVICE, batch=_BATCH, input_tokens=_INPUT, output_tokens=_OUTPUT, precision="fp8", **_PLAN)
        numbers, limits = (float(_BATCH), float(_INPUT), float(_OUTPUT)), Limits(_TTFT_S, _TPOT_S)
        try:
            factor: float | None = jointly(e.setup, numbers, limits)
        except PlanError:
            factor = None
        asked = [{"meaning": n.meaning, "has": n.has, "floor": n.floor, "formula": n.formula, "enough": n.enough,
                  "has_text": number_text(n.knob, n.has),
                  "floor_text": "" if n.floor is None else number_text(n.knob, n.floor),
                  "alone_text": "no value alone" if n.alone is None else number_text(n.knob, n.alone)}
                 for n in needs(e.setup, numbers, limits)]  # fmt: skip
        assert e.tpot_s is not None
        assert e.ttft_s is not None
        rows.append({"trillions": trillions, "active": active_parameters_per_token(model), "factor": factor,
            "needs": asked, "ttft_s": e.ttft_s.expected, "tpot_s": e.tpot_s.expected,
                     "bytes": float(e.memory.used_bytes), "has_bytes": float(e.memory.capacity_bytes)})  # fmt: skip
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: which sizes today's machine serves, and what the next must have."""
    row = next((r for r in rows if r["trillions"] == _SHOWN), rows[-1])
    short = [n["meaning"] for n in row["needs"] if not n["enough"]]
    able = [r["trillions"] for r in rows if r["factor"] and r["factor"] <= 1 and r["bytes"] <= r["has_bytes"]]
    today = f"serve models up to {max(able)} T parameters" if able else "serve none of these sizes within the limits"
    lacks = f"With all else as it is, the limits ask for more {listed(short)}." if short else "Nothing is too little."
    finding = (
        f"64 GPUs of a {_DEVICE} {today} of {_BASE}'s shape. A model of {row['trillions']} T would need "
        f"{_factor(row)}, and {times(row['bytes'] / row['has_bytes'])} the memory. {lacks}"
    )
    return Told(
        finding,
        [_growth(rows), _needs(row)],
        (
            (f"TTFT within {_TTFT_S:g} s and TPOT within {1e3 * _TPOT_S:g} ms (expected times) for {_BATCH} requests "
             "of "
            f"{_INPUT:,} input and {_OUTPUT:,} output tokens in fp8; attention by sequence, experts over all 64."),
            ("A larger model is the same one wider and deeper by the cube root of the ratio, with as many experts, all "
            "wider."),
            "Launches, wires and the host stay as they are today.",
        ),
        [(f"perfmodel require {_BASE} --parameters {row['trillions']}T --on {_DEVICE} --attention-dp 64 --ep 64 "
         "--batch "
         f"{_BATCH} --input {_INPUT} --output {_OUTPUT} --precision fp8 --ttft {_TTFT_S:g}s --tpot "
         f"{1e3 * _TPOT_S:g}ms")],
    )  # fmt: skip


def _factor(row: Any) -> str:
    if row["factor"] is None:
        return "more than faster chips: no factor on peak, bandwidth and links is enough"
    return f"{times(row['factor'])} the peak, the bandwidth and the links"


def _growth(rows: Rows) -> Any:
    drawing = lines(
        "What a larger model asks for, over what the machine has",
        [Line("peak, bandwidth and links together", [(r["trillions"], r["factor"]) for r in rows if r["factor"]]),
         Line("memory", [(r["trillions"], r["bytes"] / r["has_bytes"]) for r in rows])],
        Axis("parameters, trillions", log=True, named=[r["trillions"] for r in rows]), Axis("times what there is",
        log=True),
        marks=[Mark("y", 1.0, "what there is")],
    )  # fmt: skip
    cells = [
        (f"{r['trillions']} T", f"{r['active'] / 1e9:,.0f} B", "none" if r["factor"] is None else f"{r['factor']:.2f}",
         f"{r['bytes'] / r['has_bytes']:.2f}", *(("no room", "no room") if r["bytes"] > r["has_bytes"] else
           (f"{1e3 * r['ttft_s']:,.0f} ms", f"{1e3 * r['tpot_s']:.1f} ms"))) for r in rows
    ]  # fmt: skip
    first = next((r for r in rows if r["bytes"] > r["has_bytes"]), None)
    said = (
        f"Memory is too small from {first['trillions']} T on." if first else "Memory is large enough for all of them."
    )
    headers = ("size", "active", "speed factor", "memory factor", "TTFT today", "TPOT today")
    return view("growth", "By size", said, drawing, headers, cells)


def _needs(row: Any) -> Any:
    known = [n for n in row["needs"] if n["floor"] and n["has"]]
    drawing = bars(
        "What physics asks for, over what there is",
        [Bar(n["meaning"], [Part("enough" if n["floor"] <= n["has"] else "too little", n["floor"] / n["has"],
                                 BLUE if n["floor"] <= n["has"] else ORANGE)], n["floor_text"]) for n in known],
        Axis("times what one GPU has", write=lambda v: f"{v:g}"),
    ) if known else bars("What physics asks for", [Bar("", [Part("", 0.0, GREY)])], Axis(""))  # fmt: skip
    cells = [
        (
            n["meaning"],
            n["has_text"],
            n["floor_text"],
            n["formula"],
            n["alone_text"],
            "enough" if n["enough"] else "not enough",
        )
        for n in row["needs"]
    ]
    below = [n for n in known if n["floor"] > n["has"]]
    said = (
        f"Whatever the rest is like, {listed([n['meaning'] for n in below])} must be larger."
        if below
        else "Physics alone would let today's numbers do: it is what real kernels reach that does not."
    )
    headers = ("number of a GPU", "has", "physics asks for", "that is", "expected asks for, alone", "")
    return view("needs", f"{row['trillions']} T, number by number", said, drawing, headers, cells, (0, 3, 5))


STORY = Story("what-a-2028-model-needs", "What must a machine have for a model of ten trillion parameters?", ask, tell)
