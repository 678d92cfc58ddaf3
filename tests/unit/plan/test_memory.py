"""Memory by hand for llama-3.1-8b, and limits that are exactly the last that fits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.plan import Plan, choose_precisions
from perfmodel.plan.memory import (
    RUNTIME_BYTES,
    USABLE_FRACTION,
    MemoryModel,
    activation_bytes,
    kv_bytes_per_sequence,
    weights_bytes_per_device,
)
from perfmodel.workloads.library import load_model
from perfmodel.workloads.parameters import parameters

PEAKS = frozenset({"tf32", "float16", "bfloat16", "fp8", "int8"})
GB80 = 80e9


def _memory(name: str, plan: Plan | None = None, capacity: float = GB80, precision: str | None = None) -> MemoryModel:
    model = load_model(name)
    return MemoryModel(model, plan or Plan(), choose_precisions(model, PEAKS, precision), capacity)


def _weights(name: str, plan: Plan | None = None, precision: str | None = None) -> float:
    m = _memory(name, plan, precision=precision)
    return float(weights_bytes_per_device(m.model, m.plan, m.precisions))


def test_weights_of_llama_by_hand() -> None:
    # 8,030,261,248 parameters less the norms, 65*4096: two bytes each, 16.06 GB
    assert _weights("llama-3.1-8b") == (8_030_261_248 - 65 * 4096) * 2 == 16_059_990_016
    # in fp8 the linear layers' 6,979,321,856 take one byte; embedding and head, 525,336,576 each, two
    assert _weights("llama-3.1-8b", precision="fp8") == 6_979_321_856 + 2 * 2 * 525_336_576
    assert _weights("llama-3.1-8b", Plan(tp=8)) == 16_059_990_016 / 8


@pytest.mark.parametrize("name", ["llama-3.1-8b", "qwen3-0.6b", "llama-3.2-1b", "mixtral-8x7b", "deepseek-v2-lite"])
def test_weights_are_two_bytes_a_parameter(name: str) -> None:
    # norms, biases and the router's correction are left out
    assert _weights(name, precision="bfloat16") == pytest.approx(2 * parameters(load_model(name)), rel=5e-4)


def test_tied_embeddings_are_stored_once() -> None:
    # llama-3.2-1b: 1,235,814,400 with one table of 128256*2048, less the norms 33*2048
    assert _weights("llama-3.2-1b") == (1_235_814_400 - 33 * 2048) * 2


def test_experts_are_split_by_ep_and_attention_is_not() -> None:
    one, many = _weights("deepseek-v3", Plan()), _weights("deepseek-v3", Plan(attention_dp=8, ep=8))
    experts = 58 * 256 * 3 * 7168 * 2048 * (1 + 4 / 16384)
    assert one - many == pytest.approx(experts * 7 / 8)


def test_the_cache_of_llama_is_131072_bytes_a_token() -> None:
    model = load_model("llama-3.1-8b")
    assert kv_bytes_per_sequence(model, Plan(), 2.0, 1) == 131_072  # 2*8*128*2*32
    assert kv_bytes_per_sequence(model, Plan(), 1.0, 1000) == 65_536_000
    assert kv_bytes_per_sequence(model, Plan(tp=8), 2.0, 1) == 16_384
    assert kv_bytes_per_sequence(model, Plan(tp=16), 2.0, 1) == 16_384, "replicated: one KV head a device is the least"


def test_a_latent_cache_is_never_split() -> None:
    model = load_model("deepseek-v3")
    assert kv_bytes_per_sequence(model, Plan(), 2.0, 1) == 70_272  # 61*576*2
    assert kv_bytes_per_sequence(model, Plan(tp=8), 2.0, 1) == 70_272


def test_windows_stop_growing() -> None:
    model = load_model("gpt-oss-20b")  # 12 layers with a window of 128, 12 without; a row is 2*8*64*2 = 2048 B
    assert kv_bytes_per_sequence(model, Plan(), 2.0, 100) == 24 * 100 * 2048
    assert kv_bytes_per_sequence(model, Plan(), 2.0, 1000) == (12 * 1000 + 12 * 128) * 2048


def test_activations_by_hand() -> None:
    # residual and block input 2*4096, gate, up and their product 3*14336, in 16 bits
    assert activation_bytes(load_model("llama-3.1-8b"), Plan(), 8192) == 8192 * (8192 + 43008) * 2 == 838_860_800
    # with attention groups a device works on all groups' rows, split over all devices
    deepseek = load_model("deepseek-v3")
    assert activation_bytes(deepseek, Plan(tp=2, attention_dp=4, ep=8), 1) == (2 * 7168 + 3 * 18432 / 2) * 2


def test_what_is_used_by_hand() -> None:
    use = _memory("llama-3.1-8b").use(4, 2000, 8192)
    assert use.kv_bytes == 4 * 2000 * 131_072
    assert use.used_bytes == 16_059_990_016 + 1_048_576_000 + 838_860_800 + 1.5e9
    assert use.free_bytes == GB80 - use.used_bytes


def test_limits_by_hand() -> None:
    # 0.95*80e9 - 16,059,990,016 - 1.5e9 - 838,860,800 = 57,601,149,184 bytes for the cache: 439,461.8 tokens
    memory = _memory("llama-3.1-8b")
    assert memory.largest_batch(1000, 8192) == 439
    assert memory.longest_context(1, 8192) == 439_461
    assert memory.longest_context(16, 8192) == 27_466


def _fits(memory: MemoryModel, sequences: float, tokens: float) -> bool:
    return bool(memory.use(sequences, tokens, 1024).used_bytes <= memory.capacity_bytes * USABLE_FRACTION + 1e-3)


MODELS = ["llama-3.1-8b", "gpt-oss-20b", "mistral-7b", "deepseek-v2-lite"]


@given(
    name=st.sampled_from(MODELS),
    tokens=st.integers(1, 50_000),
    gb=st.integers(40, 200),
    adp=st.sampled_from([1, 4]),
)
@settings(deadline=None, max_examples=60)
def test_the_largest_batch_is_the_last_that_fits(name: str, tokens: int, gb: int, adp: int) -> None:
    memory = _memory(name, Plan(attention_dp=adp), gb * 1e9)
    groups = memory.largest_batch(tokens, 1024) / adp
    assert groups == int(groups)
    assert groups == 0 or _fits(memory, groups, tokens)
    assert not _fits(memory, groups + 1, tokens)


@given(name=st.sampled_from(MODELS), sequences=st.integers(1, 50_000), gb=st.integers(40, 200))
@settings(deadline=None, max_examples=60)
def test_the_longest_context_is_the_last_that_fits(name: str, sequences: int, gb: int) -> None:
    memory = _memory(name, capacity=gb * 1e9)
    tokens = memory.longest_context(sequences, 1024)
    assert tokens == int(tokens)
    assert tokens == 0 or _fits(memory, sequences, tokens)
    if tokens != memory.model.maximum_tokens:
        assert not _fits(memory, sequences, tokens + 1)


def test_windows_everywhere_leave_the_models_own_limit() -> None:
    memory = _memory("mistral-7b")  # a window of 4096 in every layer: 4096*131,072 B = 0.54 GB a sequence
    assert memory.longest_context(1, 1024) == 32768
    assert memory.longest_context(1000, 1024) < 4096


def test_too_small_a_device_holds_nothing() -> None:
    memory = _memory("llama-3.1-8b", capacity=16e9)
    assert memory.largest_batch(1, 1) == 0
    assert memory.longest_context(1, 1) == 0
    assert memory.use(0, 1, 1).free_bytes < 0


def test_runtime_is_counted() -> None:
    assert _memory("llama-3.1-8b").fixed_bytes() == 16_059_990_016 + RUNTIME_BYTES
