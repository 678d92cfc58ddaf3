"""Parameter counts worked out by hand, bytes, and cache sizes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from perfmodel.workloads import LanguageModel, load_model
from perfmodel.workloads.parameters import (
    active_parameters_per_token,
    embedding_parameters,
    kv_bytes_per_token,
    kv_elements,
    parameter_rows,
    parameters,
    parameters_text,
    state_bytes_per_sequence,
    weights_bytes,
)
from perfmodel.workloads.spec import Quantisation

Build = Callable[..., LanguageModel]


def test_llama_8b_by_hand() -> None:
    # embedding and head: 2 * 128256 * 4096                                    = 1,050,673,152
    # a layer: q and o 2*4096*4096 = 33,554,432; k and v 2*4096*1024 = 8,388,608;
    #          gate, up, down 3*4096*14336 = 176,160,768; norms 2*4096 = 8,192 -> 218,112,000
    # 32 layers: 6,979,584,000; final norm 4,096                    sum        = 8,030,261,248
    model = load_model("llama-3.1-8b")
    assert parameters(model) == parameters_text(model) == 1_050_673_152 + 32 * 218_112_000 + 4_096 == 8_030_261_248
    assert embedding_parameters(model) == 525_336_576
    assert active_parameters_per_token(model) == 8_030_261_248 - 525_336_576
    assert weights_bytes(model) == 2 * 8_030_261_248


def test_mixtral_by_hand() -> None:
    # an expert: 3*4096*14336 = 176,160,768; a layer: attention 41,943,040 + router 8*4096 = 32,768 + norms 8,192
    #            + 8 experts = 1,451,270,144; 32 layers 46,440,644,608 + 2*32000*4096 + 4096 = 46,702,792,704
    model = load_model("mixtral-8x7b")
    assert parameters(model) == 32 * (41_943_040 + 32_768 + 8_192 + 8 * 176_160_768) + 262_144_000 + 4_096
    # a token leaves out the input embedding and six of eight experts in each layer
    assert active_parameters_per_token(model) == 46_702_792_704 - 131_072_000 - 32 * 6 * 176_160_768


def test_deepseek_v3_by_hand() -> None:
    # attention: 7168*1536 + 1536*128*192 + 7168*576 + 512*128*256 + 128*128*7168 + norms 1536+512 = 187,107,328
    attention = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168 + 2048
    assert attention == 187_107_328
    expert = 3 * 7168 * 2048
    dense, sparse = 3 * 7168 * 18432, 257 * expert + 256 * 7168
    model = load_model("deepseek-v3")
    by_hand = 3 * (attention + dense + 14336) + 58 * (attention + sparse + 14336) + 2 * 129280 * 7168 + 7168
    assert parameters(model) == by_hand == 671_026_404_352
    assert active_parameters_per_token(model) == by_hand - 129280 * 7168 - 58 * 248 * expert
    assert {kv_elements(group.mixer) for group in model.layers} == {576}
    assert kv_bytes_per_token(model) == 61 * 576 * 2 == 70_272


def test_small_gpt_oss_by_hand(build: Build) -> None:
    # hidden 64, 8 heads of 8, 2 kv heads, 6 experts of 96, 4 layers, 100 words
    attention = 64 * (64 + 16 + 16) + 96 + 64 * 64 + 64 + 8  # with biases and sinks
    experts = 6 * (3 * 64 * 96 + 2 * 96 + 64) + 6 * 64 + 6
    model = build("gpt_oss", sliding_window=32)
    assert parameters(model) == 4 * (attention + experts + 128) + 2 * 6400 + 64
    assert [group.count for group in model.layers] == [2, 2]


@pytest.mark.parametrize(
    ("name", "per_token", "state"),
    [
        ("llama-3.1-8b", 131_072, 0),
        ("llama-2-7b", 2 * 32 * 32 * 128 * 2, 0),
        ("deepseek-v3", 70_272, 0),
        ("gpt-oss-20b", 12 * 2 * 8 * 64 * 2, 12 * 128 * 2 * 8 * 64 * 2),
        ("mistral-7b", 0, 32 * 4096 * 2 * 8 * 128 * 2),
    ],
)
def test_cache_sizes(name: str, per_token: int, state: int) -> None:
    model = load_model(name)
    assert kv_bytes_per_token(model) == per_token
    assert kv_bytes_per_token(model, 1.0) == per_token / 2
    assert state_bytes_per_sequence(model) == state


def test_rows_add_up(family: str, build: Build) -> None:
    model = build(family)
    rows = parameter_rows(model)
    assert sum(row.total for row in rows) == parameters(model)
    assert sum(row.bytes for row in rows) == weights_bytes(model) == 2 * parameters(model)
    assert all(row.each > 0 and row.layers > 0 for row in rows)


def test_tied_weights_count_once(build: Build) -> None:
    tied, untied = build("llama", tie_word_embeddings=True), build("llama")
    assert parameters(untied) - parameters(tied) == 6400
    assert active_parameters_per_token(untied) == active_parameters_per_token(tied)


def test_bytes_follow_each_modules_format() -> None:
    model = load_model("mixtral-8x7b")
    stored = Quantisation(experts="nvfp4", attention="fp8_block")
    quantised = dataclasses.replace(model, quantisation=stored)
    experts, attention = 32 * 8 * 176_160_768, 32 * 41_943_040
    saved = experts * (2 - 9 / 16) + attention * (2 - 1 - 4 / 16384)
    assert weights_bytes(quantised) == pytest.approx(weights_bytes(model) - saved, rel=1e-12)
