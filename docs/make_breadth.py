"""Write docs/breadth.md: published figures of every device against the model, and why the worst are off.

python docs/make_breadth.py DIR

DIR holds published_inference.csv.gz and published_vision.csv.gz.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfmodel.validation.published import as_row, read_published
from perfmodel.validation.tables import summary
from perfmodel.validation.vision_published import read_vision

Row = Mapping[str, Any]
WORST = 10
PREFILL = ("ttft_ms", "ttft_mean_ms", "ttft_p50_ms", "prefill_tok_s")
DECODE = ("tpot_ms", "tpot_mean_ms", "tpot_p50_ms", "itl_p50_ms", "decode_tok_s", "decode_total_s")

HEAD = """# Breadth: published figures by device

Figures that others published, device by device, against `expected`; nothing here was fitted on the language-model rows.
The error is that of the time; a ratio above 1 means that we predict too slow. "In band": published within p10 to p90.
"Faster than the bound": published figures that beat our bound by more than a percent, which says that a peak, a
bandwidth or an assumption is wrong. The table is written by

    python docs/make_breadth.py ../shared/reference
"""

_QNN = (
    "prefill through QNN in w4a16: we compute it at the float16 peak, a quarter of the int8 one, while "
    "the NPU has 16-bit integers (presumably at half the int8 rate)"
)
_RKLLM = (
    "RKLLM's prefill takes three to five times as long as `gemm` says (no language model was fitted on an"
    " NPU); its decode is an eighth faster"
)
_OFFLINE = (
    "the `accelerator` rule of the vendor was fitted on phones at one image: MLPerf's large batches on a "
    "card run up to three times faster than it says, its single images take two to three times as long"
)
LANGUAGE_REASONS = {
    "gaudi1": (
        "generation of one sequence: bare kernels are predicted, the framework adds two fifths; one row of GPT-J beats "
        "the memory's bandwidth 1.8 times (an error of the source)"
    ),
    "apple-m5-max": "prefill is at 0.64: the rate of its matrix units is a guess from Apple's ratio (the file's notes)",
    "apple-m1-max": "one row of 70B in Q4_K_M decodes at 0.43 of the bandwidth: M1 unpacks 4-bit weights more slowly",
    "snapdragon-x-elite": _QNN,
    "snapdragon-8-elite": _QNN,
    "snapdragon-8-gen-3": _QNN,
    "a100-sxm-40gb": (
        "93 of 102 rows are vLLM 0.4 and 0.5 in a closed loop of up to hundreds of requests (ML.ENERGY): its steps "
        "take three to four times ours; the calibration knows vLLM of 2025"
    ),
    "gb10": (
        "llama.cpp's prefill (MXFP4, Q8_0) reaches a fifth to a third of what `gemm` says from the measured "
        "peaks of the tensor cores; its decode is at 0.95 to 1.3"
    ),
    "rk3576": _RKLLM,
    "rk3588": _RKLLM,
    "rk3562": _RKLLM,
    "arc-140v": (
        "prefill with OpenVINO on an integrated GPU of 30 W reaches a third (int8) to a half (float16, int4 "
        "weights) of what the general rules say; no kernel of an Intel GPU was fitted, and the boost clock is"
        " not held"
    ),
    "h100-pcie": "llama.cpp: its prefill takes three times as long as `gemm` says, its decode a third longer",
}
_FRAMEWORKS = (
    "most rows are NVIDIA's DeepLearningExamples and FasterTransformer of 2019 to 2022, at 0.25 to 0.5: "
    "frameworks that fuse less than we assume, presumably with host time; MLPerf's rows are at 0.5 to 0.9"
)
NETWORK_REASONS = {
    "cloud-ai-100-pro": _OFFLINE,
    "cloud-ai-100-standard": _OFFLINE,
    "cloud-ai-100-dm2": _OFFLINE,
    "cloud-ai-100-dm2e": _OFFLINE,
    "inferentia2": (
        "one network, Stable Diffusion 2.1, nine times its bound by our rules; no network of this vendor was "
        "fitted, Neuron runs it 2.4 times faster than that"
    ),
    "snapdragon-7-gen-4": (
        "its TOPS are those of an IoT chip taken for the same silicon (the file's notes): networks run 1.6 "
        "times faster than with them"
    ),
    "qcs6490": "the kit that AI Hub times has LPDDR4X at 17 GB/s, the chip's file its most, 25.6 (its notes); 45 rows",
    "qcs8275": (
        "float16 rows (143) are at 0.35, int8 rows at 0.70: float16 at a quarter of int8, as stated for the QCS8550, "
        "is too fast for this part"
    ),
    "t4": _FRAMEWORKS,
    "v100-sxm-16gb": _FRAMEWORKS,
    "v100-sxm-32gb": _FRAMEWORKS,
    "rbln-atom": ("two rows of MLPerf; no network of this vendor was fitted"),
    "v100s-pcie-32gb": ("one row of MLPerf v1.1 (3D U-Net), whose network is elsewhere predicted too fast as well"),
}
"""What was found behind the errors of a device, looked into by hand."""


def language(path: Path) -> tuple[list[dict[str, Any]], Mapping[str, int]]:
    """Return the language-model figures as rows, and the reasons of those not answered."""
    found, reasons = read_published(path)
    return [as_row(one) for one in found], reasons


def by(rows: Iterable[Row], *columns: str) -> dict[tuple[str, ...], list[Row]]:
    """Return rows in groups by their columns, sorted."""
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(str(row[name]) for name in columns), []).append(row)
    return dict(sorted(groups.items()))


def line(cells: Sequence[object]) -> str:
    """Return a row of a Markdown table."""
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(rows: Sequence[Row], *columns: str) -> list[str]:
    """Return a Markdown table of errors by columns, with all rows at its end.

    Language models have two more columns: the median ratio of prefill and of decode figures alone.
    """
    phases = ["prefill", "decode"] if any(row["metric"] in PREFILL for row in rows) else []
    titles = ["rows", "median error", "median ratio", *phases, "in band", "faster than the bound"]
    lines = [line([*columns, *titles]), line(["---"] * len(columns) + ["--:"] * len(titles))]
    for key, members in [*by(rows, *columns).items(), (("all",) + ("",) * (len(columns) - 1), list(rows))]:
        lines.append(line([*key, *_figures(members, bool(phases))]))
    return lines


def _figures(rows: Sequence[Row], phases: bool) -> list[str]:
    one = summary(rows)
    parts = [_median(rows, PREFILL), _median(rows, DECODE)] if phases else []
    return [
        str(len(rows)), f"{one['median_error_percent']:.0f} %", f"{one['median_ratio']:.2f}", *parts,
        f"{one['in_band_percent']:.0f} %", str(one["beats_bound"]),
    ]  # fmt: skip


def _median(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    found = [row["ratio"] for row in rows if row["metric"] in metrics]
    return f"{statistics.median(found):.2f}" if found else ""


def worst(rows: Sequence[Row], reasons: Mapping[str, str]) -> list[str]:
    """Return the devices with the largest median error, and what is behind it."""
    groups = by(rows, "device")
    order = sorted(groups, key=lambda key: -summary(groups[key])["median_error_percent"])[:WORST]
    lines = [
        line(["device", "rows", "median error", "median ratio", "behind it"]),
        line(["---", "--:", "--:", "--:", "---"]),
    ]
    for (device,) in order:
        one = summary(groups[device,])
        cells = [len(groups[device,]), f"{one['median_error_percent']:.0f} %", f"{one['median_ratio']:.2f}"]
        lines.append(line([device, *cells, reasons.get(device, "not looked into")]))
    return lines


def refused(reasons: Mapping[str, int]) -> list[str]:
    """Return the most frequent reasons for which a row was not answered."""
    order = sorted(reasons.items(), key=lambda item: -item[1])
    shown = [f"- {count}: {reason}" for reason, count in order[:WORST]]
    return [
        f"{sum(reasons.values()):,} rows were not answered:",
        "",
        *shown,
        f"- and {max(len(order) - WORST, 0)} other reasons",
    ]


def page(folder: Path) -> str:
    """Return the page."""
    text, unread = language(folder / "published_inference.csv.gz")
    nets, unseen = read_vision(folder / "published_vision.csv.gz")
    parts = [
        HEAD,
        "## Language models\n", *table(text, "device"), "\nThe worst ten:\n", *worst(text, LANGUAGE_REASONS), "",
        *refused(unread), "\n## Vision, speech and recommendation networks\n", *table(nets, "device"),
        "\nThe worst ten:\n", *worst(nets, NETWORK_REASONS), "", *refused(unseen), "\nBy source:\n",
        *table(nets, "group"),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    Path(__file__).with_name("breadth.md").write_text(page(Path(sys.argv[1])), encoding="utf-8")
