"""ResNet-50 on small accelerators."""

from __future__ import annotations

from typing import Any

from perfmodel.gallery.story import Rows, Story, Told, times, view
from perfmodel.reports.drawing import Axis, Bar, Part, bars
from perfmodel.reports.text import MISSING, percent, plain, seconds
from perfmodel.reports.views.style import BLUE, GREEN, GREY

_NETWORK, _PRECISION = "resnet50", "int8"
_DEVICES = ("edge-tpu", "hailo-8l", "hailo-8", "hailo-15h", "rk3588", "rv1126", "snapdragon-8-gen-3", "apple-a17-pro",
            "jetson-orin-nano", "jetson-agx-orin", "warboy")  # fmt: skip


def ask() -> Rows:
    """Return latency, its bound and energy of one image by device."""
    from perfmodel.network_api import estimate_network

    rows: list[dict[str, Any]] = []
    for device in _DEVICES:
        found = estimate_network(_NETWORK, device, precision=_PRECISION).report()
        energy = found["energy"] or {}
        rows.append({"device": device, **found["latency_s"], "joules": found["joules_per_sample"],
                     "watts": energy.get("power_w_per_device"), "bottleneck": found["bottleneck"],
                     "images_per_s": found["samples_per_s"]})  # fmt: skip
    return rows


def tell(rows: Rows) -> Told:
    """Return the page: the fastest, the thriftiest, and what holds the slowest back."""
    ordered = sorted(rows, key=lambda r: r["expected"])
    fast, slow = ordered[0], ordered[-1]
    known = [r for r in rows if r["joules"]]
    thrifty = min(known, key=lambda r: r["joules"])
    same = thrifty is fast
    energy = (
        "and takes the least energy of those whose power is known"
        if same
        else f"{thrifty['device']} the least energy, {1e3 * thrifty['joules']:.1f} mJ ({seconds(thrifty['expected'])})"
    )
    finding = (
        f"{fast['device']} is the fastest, {seconds(fast['expected'])} an image (p10 {seconds(fast['p10'])}, p90 "
        f"{seconds(fast['p90'])}), {energy}. {slow['device']} takes {times(slow['expected'] / fast['expected'])} as "
        "long: it is "
        f"held back by {slow['bottleneck']} and reaches {percent(slow['bound'] / slow['expected'])} of its bound."
    )
    drawing = bars(
        "Latency of an image with band and bound",
        [Bar(r["device"], [Part("", 1e3 * r["expected"], BLUE if r is fast else GREEN if r is thrifty else GREY)],
             seconds(r["expected"]), (1e3 * r["p10"], 1e3 * r["p90"]), 1e3 * r["bound"]) for r in ordered[:-1]
         if r["expected"] < 0.5 * slow["expected"]] or
        [Bar(r["device"], [Part("", 1e3 * r["expected"], GREY)], seconds(r["expected"])) for r in ordered],
        Axis("ms an image"),
    )  # fmt: skip
    cells = [
        (r["device"], seconds(r["expected"]), f"{seconds(r['p10'])} to {seconds(r['p90'])}", seconds(r["bound"]),
         plain(r["images_per_s"]), MISSING if not r["joules"] else f"{1e3 * r['joules']:.1f}",
         MISSING if not r["watts"] else f"{r['watts']:.1f}", r["bottleneck"]) for r in ordered
    ]  # fmt: skip
    said = f"Devices that take more than half as long as {slow['device']} are in the table alone."
    headers = ("device", "expected", "p10 to p90", "bound", "images/s", "mJ", "W", "limited by")
    return Told(
        finding,
        [view("latency", "Latency by device", said, drawing, headers, cells, (0, 7))],
        (
            (f"{_NETWORK}, 224x224, batch 1, {_PRECISION}. W is the mean while it runs, from the power that a file "
            "states."),
            "Bands are wide: a chip of this kind is off by half or twice in one case of five.",
        ),
        [f"perfmodel estimate {_NETWORK} --on {fast['device']} --precision {_PRECISION}",
         f"perfmodel network blocks {_NETWORK} --on {slow['device']} --precision {_PRECISION}"],
    )  # fmt: skip


STORY = Story(
    "resnet-on-an-edge-npu", "Which edge accelerator runs ResNet-50 fastest, and which with least energy?", ask, tell
)
