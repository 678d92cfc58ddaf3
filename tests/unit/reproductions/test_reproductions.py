"""Every reproduction of the library computes; those that are good stay as good; those that are not say why."""

from __future__ import annotations

import math

import pytest

from perfmodel.errors import InputError, SpecError
from perfmodel.reproductions import list_reproductions, load_reproduction, reproduce
from perfmodel.reproductions.compute import Outcome
from perfmodel.reproductions.load import Result
from perfmodel.reproductions.registry import answer, kinds
from perfmodel.reproductions.table import markdown

TOLERANCE = 1.25
"""How far a recorded ratio may drift before somebody must look: coefficients are refitted now and then."""

SIMULATED = {
    "sarathi-serve", "distserve", "apex", "melange", "nexus", "vllm-lora", "s-lora", "batch-speculation", "punica",
}  # fmt: skip
"""Searches and simulations: seconds each."""

NAMES = list_reproductions()


def check(name: str) -> list[Outcome]:
    found = reproduce(load_reproduction(name))
    for outcome in found:
        assert math.isfinite(outcome.ours), outcome.result.name
        if outcome.verdict in ("near", "miss"):
            assert outcome.result.reason, f"{name}: {outcome.result.name} is a {outcome.verdict} without a reason"
        if outcome.result.expected_ratio is not None:
            drift = outcome.ratio / outcome.result.expected_ratio
            assert 1 / TOLERANCE < drift < TOLERANCE, f"{name}: {outcome.result.name} was and is {drift:.3g} of it"
    return found


@pytest.mark.parametrize("name", [name for name in NAMES if name not in SIMULATED])
def test_it_computes_and_is_as_good_as_recorded(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SIMULATED))
def test_searches_and_simulations_too(name):
    check(name)


def test_the_library_has_those_that_were_asked_for():
    asked = {
        "long-context-peak", "cloudmatrix384", "cambricon-llm", "marlin", "smoothquant-plus", "kivi", "duplex",
        "waferllm", "sn40l", "nanoflow", "flashdecoding-plus-plus", "leanattention", "longgen", "gh200-launch",
        "fusemax", "pim-gpt", "sail", "deepspeed-inference", "smallthinker", "tpi-llm", "sequence-parallelism",
        "mmmamba", "quamba", "mobile-networks", "draco", "palm-540b-tpu-v4", "deepseek-v3-serving", "distserve",
        "sarathi-serve", "melange", "apex", "cachegen", "llumnix", "s-lora", "batch-speculation",
        "lookahead-reasoning",
    }  # fmt: skip
    assert asked <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_used_and_has_a_source(name):
    found = load_reproduction(name)
    text = (
        str([dict(part) for part in found.parts.values()]) + str(dict(found.let)) + str([r.ours for r in found.results])
    )
    for one in found.inputs:
        assert one.source.title
        quoted = one.name in text
        assert quoted or isinstance(one.value, str), f"{name}: nothing takes the number {one.name}"
    assert all(result.source is not None for result in found.results if result.published is not None)


FILE = """
schema: reproduction/1
name: mine
title: "t"
conditions: "c"
paper: {source: p, model: llama-3.1-8b, batch: {value: 4, note: "as stated"}}
ours: {source: p, device: h100-sxm, widths: [1, 2]}
parts:
  fast: {kind: estimate, take: model device batch, phase: decode}
  wide: {kind: estimate, each: batch, batch: $widths, take: model device, phase: decode}
let: {twice: 2*fast.tpot_s.bound}
results:
  - {name: a, quantity: q, ours: twice/fast.tpot_s.bound, published: {value: 4, source: p}}
  - {name: b, quantity: q, ours: max(wide.tokens_per_s)/min(wide.tokens_per_s), published: {low: 1, high: 3, source: p}}
  - {name: c, quantity: q, ours: fast.memory.weights_bytes}
sources: {p: {title: "a paper", verified: true}}
"""


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_a_file_of_ones_own(tmp_path):
    first, second, third = reproduce(load_reproduction(written(tmp_path, FILE)))
    assert first.ours == pytest.approx(2.0)
    assert first.ratio == pytest.approx(0.5)
    assert first.verdict == "near"
    assert 1.0 < second.ours < 2.0
    assert second.ratio == 1.0
    assert third.ratio is None
    assert third.verdict == "ours"
    row = first.row()
    assert row["inputs"]["paper"][1]["name"] == "batch"
    assert row["inputs"]["ours"][0]["value"] == "h100-sxm"
    assert "batch 4" not in " ".join(row["assumptions"])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch: $widths", "batch: 7", "make it an input"),
        ("twice/fast.tpot_s.bound", "twice*17", "17 in an expression has no source"),
        ("max(wide.tokens_per_s)", "wide.tokens_per_s", "is a list"),
        ("fast.memory.weights_bytes", "fast.memory.weight_bytes", "did you mean 'weights_bytes'"),
        ("kind: estimate, take", "kind: estimat, take", "did you mean 'estimate'"),
        ("let: {twice", "let: {fast", "stands for two things"),
        ("published: {value: 4, source: p}", "published: {value: 4, source: q}", "not an id under 'sources'"),
        ("2*fast.tpot_s.bound", "__import__('os')", "unknown function"),
        ("2*fast.tpot_s.bound", "fast.tpot_s.bound/0", "divides by zero"),
        ("conditions:", "condition:", "did you mean 'conditions'"),
        ("name: mine", "name: yours", "but the file is"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, old, new, said):
    path = written(tmp_path, FILE.replace(old, new))
    with pytest.raises((InputError, SpecError)) as caught:
        reproduce(load_reproduction(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("low", "high", "ours", "ratio"),
    [(2.0, 4.0, 1.0, 0.5), (2.0, 4.0, 3.0, 1.0), (2.0, 4.0, 8.0, 2.0), (2.0, None, 9.0, 1.0), (5.0, 5.0, 4.0, 0.8)],
)
def test_ratio_to_the_nearest_end(low, high, ours, ratio):
    result = Result("a", "q", "", "1", low, high, "", None, "", None)
    assert Outcome(load_reproduction("duplex"), result, ours).ratio == pytest.approx(ratio)


def test_largest_ends_at_the_limit(tmp_path):
    text = FILE.replace(
        "let: {", "  most: {kind: largest, of: fast, vary: batch, metric: tpot_s.expected, limit: $limit}\nlet: {"
    )
    text = text.replace("widths: [1, 2]", "widths: [1, 2], limit: 0.01")
    text = text.replace("twice/fast.tpot_s.bound", "most.value")
    batch = reproduce(load_reproduction(written(tmp_path, text)))[0].ours
    arguments = {"model": "llama-3.1-8b", "device": "h100-sxm", "phase": "decode"}
    at, beyond = (answer("estimate", {**arguments, "batch": int(batch) + i})["tpot_s"]["expected"] for i in (0, 1))
    assert at <= 0.01 < beyond


def test_the_page_has_every_result():
    rows = [outcome.row() for name in ("duplex", "tpi-llm") for outcome in reproduce(load_reproduction(name))]
    page = markdown(rows, list(kinds()))
    assert page.count("[duplex](#duplex)") == 3
    assert "## tpi-llm" in page
    assert "`estimate`" in page
