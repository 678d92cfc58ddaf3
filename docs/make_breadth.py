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

LANGUAGE_REASONS = {
    "raspberry-pi-5": "distributed-llama on four boards; `gemm` pads one row to a tensor-core tile, which SIMD lanes do not",
    "raspberry-pi-4": "as the Raspberry Pi 5",
    "core-i9-13900k": "llama.cpp decodes at the memory's rate; `gemm` pads one row to a tensor-core tile, which AVX2 does not",
    "snapdragon-x-elite": "prefill through QNN: the NPU's int8 peak is used, we count w4a16 in float16 at a quarter of it",
    "snapdragon-8-elite": "as the Snapdragon X Elite",
    "snapdragon-8-gen-3": "as the Snapdragon X Elite",
    "a100-sxm-40gb": "FasterTransformer, Megatron and DeepSpeed of 2021 to 2023; the calibration knows engines of 2025",
    "gb10": "llama.cpp's prefill reaches a third of what cuBLAS would (MXFP4 and Q8_0 kernels); its decode is at 0.95 to 1.25",
    "rk3576": "RKLLM's prefill reaches a seventh of the NPU's float16 peak; no language model was fitted on an NPU",
    "rk3588": "as the RK3576",
    "rk3562": "as the RK3576",
    "rtx-5080": "llama.cpp multiplies Q4_0 in int8, at four times the 16-bit rate that we count for int4 weights",
    "rtx-3070": "as the RTX 5080, with fewer rows",
    "rtx-4070-ti": "as the RTX 5080, with fewer rows",
    "h100-sxm": "whole servers under load, where the queue and the host's work count; kernels alone are within 10 %",
    "apple-m5-max": "llama.cpp with and without the new matrix units; the peak of those is a guess from Apple's ratio",
    "a100-pcie-80gb": "one framework's first release: host time per step, which only newer engines are calibrated for",
    "h100-pcie": "as the A100 PCIe",
    "gb200": "TensorRT-LLM disaggregated at the rack: waits between prefill and decode pools are not in the figures we ask",
    "arc-140v": "OpenVINO on an integrated GPU: no Intel kernel was ever fitted, so that the general rules hold",
    "rtx-pro-6000-server": "vLLM and SGLang under load; no kernel of the chip was fitted (its family is Blackwell's consumer half)",
    "gaudi2": "no kernel was fitted; products reach 0.97 of the peak there, our general rule puts 0.6",
    "l40s": "mixed loads: a few rows of TensorRT-LLM's CI with start-up in the time pull the mean, not the median",
}
NETWORK_REASONS = {
    "cloud-ai-100-pro": "the 2:4-like compression and int8 kernels of the submitter; `accelerator` was fitted on phones of that vendor",
    "cloud-ai-100-standard": "as the Cloud AI 100 Pro",
    "cloud-ai-100-dm2": "as the Cloud AI 100 Pro: one network, batch unknown",
    "cloud-ai-100-dm2e": "as the Cloud AI 100 Pro",
    "inferentia2": "BERT on two NeuronCores at once; the figure is of one or both, which the source does not say",
    "snapdragon-7-gen-4": "launch time of a graph: small networks whose fixed time our vendor rule takes from flagships",
    "t4": "DeepLearningExamples of 2019 to 2021: TensorFlow and PyTorch eager, host time per operator",
    "a100-sxm-80gb": "as the T4: frameworks of 2020, whose operators we fuse and they did not",
    "a100-sxm-40gb": "as the A100 80 GB",
    "v100-sxm-16gb": "as the T4",
    "v100-sxm-32gb": "as the T4",
    "jetson-agx-xavier": "the deep-learning accelerators run part of MLPerf's networks; clocks of the 30 W mode",
    "jetson-xavier-nx": "as the AGX Xavier",
    "qcs8275": "a cut-down Hexagon: AI Hub's rows reach less than its TOPS say",
    "qcs6490": "as the QCS8275",
    "snapdragon-8-elite-gen-5": "its TOPS are a ratio of Qualcomm's; small networks are bound by launch",
    "quadro-rtx-8000": "MLPerf closed: tuned int8 TensorRT, clocks above the stated boost",
    "hailo-8": "networks that need several contexts: swapping over PCIe x4, of which the fit has one coefficient",
    "hailo-8l": "as the Hailo-8",
    "h100-pcie": "single stream of MLPerf: host time per query",
}


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
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def table(rows: Sequence[Row], *columns: str) -> list[str]:
    """Return a Markdown table of errors by columns, with all rows at its end."""
    titles = ["rows", "median error", "median ratio", "prefill", "decode", "in band", "faster than the bound"]
    lines = [line([*columns, *titles]), line(["---"] * len(columns) + ["--:"] * len(titles))]
    for key, members in [*by(rows, *columns).items(), (("all",) + ("",) * (len(columns) - 1), list(rows))]:
        lines.append(line([*key, *_figures(members)]))
    return lines


def _figures(rows: Sequence[Row]) -> list[str]:
    one = summary(rows)
    return [
        str(len(rows)), f"{one['median_error_percent']:.0f} %", f"{one['median_ratio']:.2f}", _median(rows, PREFILL),
        _median(rows, DECODE), f"{one['in_band_percent']:.0f} %", str(one["beats_bound"]),
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
