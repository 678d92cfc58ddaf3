"""Sparse attention on a GPU: a prompt at the published rate of its kernel, chosen rows or all of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.cost.facts import chip_facts
from perfmodel.cost.gpu import sparse
from perfmodel.devices import load_device
from perfmodel.ops.sparse import CompressedCore, SparseLatent

CHIP = chip_facts(load_device("h100-sxm"))
PROMPT = SparseLatent(1, 40_000, 40_000, 128, 512, 64, 2048, 320)


def _rate(op: SparseLatent | CompressedCore, seconds: float) -> float:
    return float(op.counts().filter_flops(engine="tensor").total_flops()) / seconds


def test_a_long_prompt_runs_at_the_published_rate() -> None:
    seconds = float(sparse.sparse_prefill_s(PROMPT, CHIP, {}))
    assert _rate(PROMPT, seconds - sparse.LAUNCH_S) == pytest.approx(0.65 * 989.4e12, rel=1e-3)


def test_few_heads_are_padded() -> None:
    whole = float(sparse.sparse_prefill_s(PROMPT, CHIP, {})) - sparse.LAUNCH_S
    for heads in (64, 16, 8):
        few = float(sparse.sparse_prefill_s(replace(PROMPT, heads=heads), CHIP, {})) - sparse.LAUNCH_S
        assert few == pytest.approx(0.5 * whole)


def test_a_short_prompt_attends_to_all() -> None:
    short = replace(PROMPT, q_tokens=2000, kv_tokens=2000)
    pairs = 2000 * 2001 / 2
    expected = 2 * pairs * 320 * 128 / (0.65 * 989.4e12)
    assert float(sparse.sparse_prefill_s(short, CHIP, {})) - sparse.LAUNCH_S == pytest.approx(expected, rel=1e-3)


def test_compressed_entries_run_at_the_same_rate() -> None:
    op = CompressedCore(1, 32_768, 32_768, 64, 512, 128, 4, 512)
    assert _rate(op, float(sparse.compressed_prefill_s(op, CHIP, {})) - sparse.LAUNCH_S) == pytest.approx(
        0.65 * 989.4e12, rel=1e-3
    )
