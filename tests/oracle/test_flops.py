"""Flops of a forward pass against PyTorch's counter, where the shared folder is there."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from perfmodel.plan import Plan, StepShape, choose_precisions, step_operators
from perfmodel.workloads import load_model
from perfmodel.workloads.families import ADAPTERS

_FOLDER = Path(__file__).resolve().parents[3] / "shared" / "hf_configs"
_TRUTH = _FOLDER / "truth.csv"
_ALL = list(csv.DictReader(_TRUTH.read_text().splitlines())) if _TRUTH.is_file() else []
_ROWS = [r for r in _ALL if r["forward_flops_batch2_seq128_all_logits"] and r["model_type"] in ADAPTERS]

pytestmark = pytest.mark.skipif(not _ALL, reason="the shared configs are not there")


@pytest.mark.parametrize("row", _ROWS, ids=lambda row: row["file"])
def test_matmul_flops_of_a_forward_pass(row: dict[str, str]) -> None:
    model = load_model(_FOLDER / row["file"])
    # PyTorch counts the full square of attention and the logits of every position
    shape = StepShape(prefills=2, new_tokens=128, prefill_context=128, logits="all", causal=False)
    precisions = choose_precisions(model, frozenset({"bfloat16", "fp8"}), "bfloat16")
    steps = step_operators(model, Plan(), precisions, shape)
    flops = sum(s.repeat * s.operator.counts().filter_flops(engine="tensor").total_flops() for s in steps)
    assert flops == pytest.approx(float(row["forward_flops_batch2_seq128_all_logits"]), rel=1e-3)


def test_there_are_rows_to_compare_with() -> None:
    assert len(_ROWS) >= 7
