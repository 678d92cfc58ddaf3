"""Every command that writes a page, a workbook or a table, asked about things whose names are code."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

NAME = "=cmd|'/C calc'!A0\"><img src=x onerror=alert(1)></script><script>alert(1)</script>"
"""A name that a spreadsheet would run, that ends an attribute and a script, and that loads what is not there."""

FILE = '"><script>'
MODEL, NETWORK, DEVICE, OTHER = (f"{FILE}{kind}.yaml" for kind in ("model", "network", "device", "other"))
TABLE, KERNELS, SCENARIOS = "table.csv", "kernels.csv", "scenarios.csv"
_SPECS = {
    MODEL: "workloads/transformer/llama-3.2-1b.yaml", NETWORK: "workloads/tiny/mobilenetv1-vww.yaml",
    DEVICE: "hardware_specs/gpu/h100-sxm.yaml", OTHER: "hardware_specs/gpu/l4.yaml",
}  # fmt: skip

LANGUAGE = (MODEL, "--on", DEVICE)
COMMANDS: dict[str, tuple[str, ...]] = {
    "estimate": ("estimate", *LANGUAGE, "--html", "out.html", "--csv", "out.csv"),
    "estimate, workbook": ("estimate", *LANGUAGE, "--xlsx", "out.xlsx"),
    "estimate, network": ("estimate", NETWORK, "--on", DEVICE, "--html", "out.html", "--csv", "out.csv"),
    "estimate, network's workbook": ("estimate", NETWORK, "--on", DEVICE, "--xlsx", "out.xlsx"),
    "ops": ("ops", *LANGUAGE, "--csv", "out.csv"),
    "compare": ("compare", MODEL, "--on", f"{DEVICE},{OTHER}", "--html", "out.html", "--csv", "out.csv"),
    "sweep": ("sweep", *LANGUAGE, "--batch", "1,8,64", "--input", "512,2048,8192", "--slo", "tpot=5ms",
              "--html", "out.html", "--csv", "out.csv"),
    "sweep, lines": ("sweep", NETWORK, "--on", DEVICE, "--batch", "1,8", "--html", "out.html", "--csv", "out.csv"),
    "explore": ("explore", *LANGUAGE, "--tp", "1", "--precision", "stored", "--html", "out.html"),
    "explore, network": ("explore", NETWORK, "--on", DEVICE, "--precision", "stored", "--html", "out.html"),
    "plan": ("plan", *LANGUAGE, "--gpus", "2", "--rate", "1", "--html", "out.html", "--csv", "out.csv"),
    "simulate": ("simulate", *LANGUAGE, "--rate", "4", "--requests", "40", "--output", "16", "--ttft", "1s",
                 "--html", "out.html", "--csv", "out.csv"),
    "simulate, runs": ("simulate", *LANGUAGE, "--rate", "2,4", "--requests", "20", "--output", "8",
                       "--html", "out.html", "--csv", "out.csv"),
    "fleet": ("fleet", MODEL, "--on", f"{DEVICE},{OTHER}", "--rate", "5", "--cuts", "1", "--largest-replica", "1",
              "--day", "usual", "--html", "out.html", "--csv", "out.csv"),
    "workflow": ("workflow", "run", "rag-answer", *LANGUAGE, "--rate", "1", "--runs", "12", "--csv", "out.csv"),
    "cascade": ("cascade", MODEL, MODEL, "--on", DEVICE, "--tpot", "50ms", "--csv", "out.csv"),
    "tco": ("tco", *LANGUAGE, "--html", "out.html"),
    "require": ("require", *LANGUAGE, "--tpot", "20ms", "--trade", "bandwidth,peak", "--html", "out.html",
                "--csv", "out.csv"),
    "sensitivity": ("sensitivity", *LANGUAGE, "--html", "out.html", "--csv", "out.csv"),
    "design": ("design", MODEL, "--like", DEVICE, "--vary", "bandwidth=1TB/s:8TB/s", "--trials", "16",
               "--searcher", "random", "--html", "out.html", "--csv", "out.csv"),
    "validate": ("validate", "kernels", TABLE, "--by", "op,device", "--html", "out.html", "--csv", "out.csv"),
    "calibrate": ("calibrate", TABLE, "--device", DEVICE, "--out", "made.yaml", "--html", "out.html"),
    "run": ("run", SCENARIOS, "--out", "out.csv"),
    "kernels": ("kernels", KERNELS, "--out", "out.csv"),
    "network blocks": ("network", "blocks", NETWORK, "--on", DEVICE, "--csv", "out.csv"),
    "network memory": ("network", "memory", NETWORK, "--csv", "out.csv"),
    "network cuts": ("network", "cuts", NETWORK, "--from", OTHER, "--to", DEVICE, "--link", "100 Mbit/s,5 ms",
                     "--csv", "out.csv"),
    "network bits": ("network", "bits", NETWORK, "--on", DEVICE, "--policy", "*=int8", "--csv", "out.csv"),
}  # fmt: skip


def write_specs(folder: Path, root: Path) -> None:
    """Write a model, a network, two devices and tables whose names and cells are hostile."""
    for target, source in _SPECS.items():
        head, _, tail = (root / source).read_text(encoding="utf-8").partition("\nname: ")
        rest = tail.partition("\n")[2]
        (folder / target).write_text(f"{head}\nname: {json.dumps(NAME)}\n{rest}", encoding="utf-8")
    shapes = [(16 << i, 4096) for i in range(8)]
    kernels = [("gemm", NAME, "bfloat16", m, n, n, 5 + m * n * n * 2e-6 / 600e6, NAME, NAME) for m, n in shapes]
    heads = ("op", "device", "dtype", "m", "n", "k", "latency_us", "lab", f"={NAME}")
    _write(folder / KERNELS, heads, kernels)
    _write(folder / TABLE, heads, [(op, "h100-sxm" if i % 2 else DEVICE, *rest)
                                   for i, (op, _, *rest) in enumerate(kernels)])  # fmt: skip
    _write(folder / SCENARIOS, ("model", "device", NAME), [(MODEL, DEVICE, NAME), (NAME, NAME, "+1+cmd|x")])


def _write(path: Path, heads: tuple[str, ...], rows: list[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([heads, *rows])


def ask(
    name: str, folder: Path, root: Path, patch: pytest.MonkeyPatch, run: Callable[..., tuple[int, str, str]]
) -> Path:
    """Run a command in a folder, assert that it answered, and return the folder."""
    write_specs(folder, root)
    patch.chdir(folder)
    code, _, err = run(*COMMANDS[name])
    assert code == 0, err
    return folder
