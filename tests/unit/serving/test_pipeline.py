"""Pipelines by hand: the bubble, the slowest stage, and limits in which stages change nothing."""

from __future__ import annotations

import pytest

from perfmodel import api
from perfmodel.devices import load_device
from perfmodel.plan import Plan, StepShape
from perfmodel.plan.layout import stage_repeats
from perfmodel.serving.pipeline import (
    decode_steps,
    decode_steps_bound,
    microbatches,
    prefill_bound,
    prefill_step,
    prompt_step,
)
from perfmodel.serving.scenario import Question, prepare
from perfmodel.serving.step import Deployment, step_time
from perfmodel.workloads.library import load_model


def _deployment(model: str = "llama-3.1-8b", **plan: int) -> Deployment:
    return prepare(load_model(model), load_device("h100-sxm"), Question(plan=Plan(**plan), static=True)).decode


def test_stages_share_the_layers_and_the_last_has_the_head() -> None:
    model = load_model("llama-3.1-8b")  # 32 layers
    (last,) = stage_repeats(model, Plan(pp=4))
    assert last == {"attention": 0.25, "ffn": 0.25, "embedding": 0.0, "head": 1.0, "pipeline": 0.0}
    last, fuller = stage_repeats(model, Plan(pp=5))
    assert last["ffn"] == 6 / 32
    assert fuller["ffn"] == 7 / 32
    assert fuller["head"] == 0.0
    assert stage_repeats(model, Plan()) == [{}]


@pytest.mark.parametrize(
    ("plan", "sequences", "count"),
    [(Plan(pp=4), 32, 4), (Plan(pp=4), 2, 2), (Plan(pp=4), 0.5, 1), (Plan(pp=4, microbatches=8), 32, 8),
     (Plan(pp=4, attention_dp=4), 8, 2)],
)  # fmt: skip
def test_no_microbatch_has_less_than_a_sequence_a_group(plan: Plan, sequences: float, count: float) -> None:
    assert microbatches(plan, sequences) == count


def test_a_prefill_of_m_microbatches_takes_one_and_m_minus_one_slowest_stages() -> None:
    deployment = _deployment(pp=4)
    one = step_time(deployment, StepShape(2, 1000, 1000))
    step = prefill_step(deployment, 8, 1000)
    assert step.microbatches == 4
    assert step.time.expected == pytest.approx(one.time.expected + 3 * one.stage_s)
    assert prefill_bound(deployment, 8, 1000) == step.time.bound
    # all prompts pass the last stage: a quarter of the layers and the head
    assert one.stage_bound_s < step.time.bound < one.time.bound + 3 * one.stage_bound_s


def test_a_decode_step_comes_round_when_the_last_microbatch_has_passed() -> None:
    deployment = _deployment(pp=4)
    step = decode_steps(deployment, 64, 1000, 100)
    assert step.time.expected == pytest.approx(max(step.microbatch_s, 4 * step.stage_s))
    assert decode_steps_bound(deployment, 64, 1000, 100) == pytest.approx(step.time.bound)
    alone = decode_steps(deployment, 1, 1000, 100)
    assert alone.microbatches == 1
    assert alone.time.expected == alone.microbatch_s


def test_one_request_gains_nothing_from_a_pipeline() -> None:
    whole, staged = (api.estimate("llama-3.1-8b", "h100-sxm", static=True, pp=pp) for pp in (1, 4))
    assert whole.tpot_s
    assert staged.tpot_s
    assert staged.tpot_s.expected > whole.tpot_s.expected
    assert staged.memory.weights_bytes < whole.memory.weights_bytes / 2.5


def test_a_full_pipeline_raises_the_throughput_of_prefill() -> None:
    rates = [
        api.estimate("llama-3.1-70b", "h100-sxm", phase="prefill", batch=64, tp=4, pp=pp).tokens_per_s
        for pp in (1, 2, 4)
    ]
    assert rates[0] < rates[1] < rates[2] < 4 * rates[0]


def test_the_weights_of_all_stages_are_those_of_the_model() -> None:
    """With 32 layers on 4 stages: the first has the embedding and a quarter, the last the head and a quarter."""
    whole = float(api.estimate("llama-3.1-8b", "h100-sxm").memory.weights_bytes)
    quarter = float(api.estimate("llama-3.1-8b", "h100-sxm", pp=4).memory.weights_bytes)
    table = 128256 * 4096 * 2
    assert quarter == pytest.approx((whole - 2 * table) / 4 + table)


def test_the_cache_is_split_over_stages_and_ranks() -> None:
    one, many = (
        float(api.estimate("llama-3.1-8b", "h100-sxm", batch=8, input_tokens=4096, **plan).memory.kv_bytes)
        for plan in ({}, {"pp": 2, "cp": 4})
    )
    assert many == pytest.approx(one / 8)


@pytest.mark.parametrize("cp", [2, 4, 8])
@pytest.mark.parametrize("mode", ["ring", "all_gather"])
def test_context_parallelism_shortens_a_long_prompt(cp: int, mode: str) -> None:
    ask = {"phase": "prefill", "input_tokens": 131072}
    one = api.estimate("llama-3.1-8b", "h100-sxm", **ask)
    many = api.estimate("llama-3.1-8b", "h100-sxm", cp=cp, cp_mode=mode, **ask)
    assert one.ttft_s
    assert many.ttft_s
    # attention in a wider rectangle runs a little better than at the end of a triangle
    assert one.ttft_s.expected / cp * 0.95 < many.ttft_s.expected < one.ttft_s.expected / cp * 1.3
    flops = [sum(r["flops"] for r in e.operator_rows() if r["kind"] == "attention_prefill") for e in (one, many)]
    assert flops[1] == pytest.approx(flops[0] / cp, rel=1e-3)


def test_a_ring_hides_behind_attention_and_a_gather_does_not() -> None:
    ask = {"phase": "prefill", "input_tokens": 131072, "cp": 8}
    ring, gather = (api.estimate("llama-3.1-8b", "h100-sxm", cp_mode=m, **ask) for m in ("ring", "all_gather"))
    hidden = ring.report()["communication"]["prefill"]
    assert hidden["overlapped_s"] > 0
    assert hidden["exposed_s"] == 0
    assert gather.report()["communication"]["prefill"]["overlapped_s"] == 0
    assert ring.ttft_s
    assert gather.ttft_s
    assert ring.ttft_s.expected < gather.ttft_s.expected


def test_context_parallel_decode_reads_a_part_of_the_cache_and_pays_for_exchanging_queries() -> None:
    rows = {
        cp: api.estimate("llama-3.1-70b", "h100-sxm", tp=4, cp=cp, input_tokens=100_000, static=True).operator_rows()
        for cp in (1, 2)
    }
    names = {r["name"] for r in rows[2] if r["phase"] == "decode"}
    assert {"context_query_gather", "context_output_scatter"} <= names
    reads = [next(r["bytes"] for r in rows[cp] if r["name"] == "attention_decode") for cp in (1, 2)]
    assert reads[1] == pytest.approx(reads[0] / 2, rel=0.01)


def test_sequence_parallelism_moves_the_same_bytes_and_norms_less() -> None:
    plain, split = (
        api.estimate("llama-3.1-70b", "h100-sxm", tp=8, phase="prefill", sequence_parallel=on).operator_rows()
        for on in (False, True)
    )
    assert sum(r["link_bytes"] for r in plain) == pytest.approx(sum(r["link_bytes"] for r in split))
    norms = [next(r["bytes"] for r in rows if r["name"] == "input_norm") for rows in (plain, split)]
    assert norms[1] < norms[0] / 6


def test_two_batches_hide_the_exchange_and_read_the_weights_twice() -> None:
    ask = {"tp": 1, "attention_dp": 16, "ep": 16, "phase": "prefill", "batch": 64, "input_tokens": 4096}
    plain, overlapped = (api.estimate("deepseek-v3", "h200-sxm", overlap=o, **ask) for o in ("none", "two_batch"))
    kept = overlapped.report()["communication"]["prefill"]
    assert kept["overlapped_s"] > 0
    assert kept["total_s"] == pytest.approx(kept["overlapped_s"] + kept["exposed_s"] + kept["non_overlappable_s"])
    assert plain.ttft_s
    assert overlapped.ttft_s
    assert overlapped.ttft_s.expected < plain.ttft_s.expected
    assert float(overlapped.memory.weights_bytes) == float(plain.memory.weights_bytes)


def test_redundant_experts_take_memory_and_even_the_split() -> None:
    ask = {"tp": 4, "attention_dp": 80, "ep": 320, "redundant_experts": 64, "batch": 12800, "input_tokens": 4096}
    found = api.estimate("deepseek-v3", "h800", phase="decode", **ask)
    experts = next(r for r in found.operator_rows() if r["name"] == "experts")
    # one expert of 3*7168*2048 weights a device and layer, in fp8 with a scale of 4 bytes a 128x128 block
    assert experts["bytes"] > 58 * 3 * 7168 * 2048
    assert found.fits
    assert found.setup.devices == 320


@pytest.mark.parametrize("plan", [{"pp": 3}, {"cp": 2}, {"pp": 2, "cp": 2}, {"tp": 2, "sequence_parallel": True}])
@pytest.mark.parametrize("phase", ["serve", "prefill", "decode"])
def test_answers_are_ordered_and_a_second_one_is_the_same(plan: dict[str, int], phase: str) -> None:
    found = [api.estimate("gpt-oss-20b", "h100-sxm", phase=phase, batch=8, **plan) for _ in range(3)]
    for time in (found[0].ttft_s, found[0].tpot_s, found[0].e2e_s):
        if time is not None:
            assert 0 < time.bound <= time.p10 <= time.expected <= time.p90
    assert len({(e.e2e_s and e.e2e_s.expected) for e in found}) <= 2  # compiled and plain may differ in the last bit
    assert found[0].bounds_s == pytest.approx(
        tuple(t and t.bound for t in (found[0].ttft_s, found[0].tpot_s, found[0].e2e_s))
    )


@pytest.mark.parametrize(("tokens", "rounds"), [(1024, 8.0), (8192, 1.0), (100_000, 1.0)])
def test_prompts_fill_a_step_up_to_the_token_budget(tokens: int, rounds: float) -> None:
    deployment = _deployment(attention_dp=2)
    step = prompt_step(deployment, tokens)
    assert step.rounds == rounds
    assert step.time == prefill_step(deployment, 2, tokens).time
    assert step.crowded_s is not None
    assert step.crowded_s == pytest.approx(prefill_step(deployment, 2 * rounds, tokens).time.expected)
