"""Attention by hand, and its pair counts against the literal double loop."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.counts import read, tensor, vector, write
from perfmodel.formats import FP8, NVFP4
from perfmodel.ops import AttentionDecode, AttentionPrefill, MlaDecode, MlaPrefill
from perfmodel.ops.attention import cache_reach, visible_pairs


def _literal(q: int, kv: int, window: int, causal: bool) -> tuple[int, int]:
    """Return (pairs, keys touched) by going through every query and key."""
    pairs, touched = 0, set[int]()
    for i in range(q):
        place = kv - q + i  # queries are the last tokens
        for j in range(kv):
            if causal and j > place:
                continue
            if causal and window and j <= place - window:
                continue
            pairs += 1
            touched.add(j)
    return pairs, len(touched)


@given(q=st.integers(1, 24), before=st.integers(0, 24), window=st.integers(0, 60))
@settings(deadline=None)
def test_causal_pairs_and_reach_are_the_literal_ones(q: int, before: int, window: int) -> None:
    pairs, touched = _literal(q, q + before, window, causal=True)
    assert visible_pairs(q, q + before, window, causal=True) == pairs
    assert cache_reach(q, q + before, window) == touched


@given(q=st.integers(1, 24), before=st.integers(0, 24))
def test_full_pairs_are_the_rectangle(q: int, before: int) -> None:
    assert (
        visible_pairs(q, q + before, 0, causal=False) == _literal(q, q + before, 0, causal=False)[0] == q * (q + before)
    )


@pytest.mark.parametrize(
    ("q", "kv", "window", "pairs", "reach"),
    [
        (4, 4, 0, 10, 4),  # 1+2+3+4 = 4*5/2
        (1, 7, 0, 7, 7),
        (2, 5, 0, 9, 5),  # 4+5
        (4, 4, 2, 7, 4),  # 1+2+2+2
        (3, 10, 4, 12, 6),  # 4+4+4; 4+3-1
        (3, 10, 10, 27, 10),  # 8+9+10: the window is as wide as the cache
        (5, 5, 1, 5, 5),
        (8192, 8192, 0, 33558528, 8192),  # 8192*8193/2
    ],
)
def test_pairs_by_hand(q: int, kv: int, window: int, pairs: int, reach: int) -> None:
    assert visible_pairs(q, kv, window, causal=True) == pairs
    assert cache_reach(q, kv, window) == reach


def test_a_window_without_a_mask_sees_so_many_keys() -> None:
    assert visible_pairs(4, 16, 8, causal=False) == 32


def test_prefill_of_grouped_queries_by_hand() -> None:
    # 2 sequences of 4 new tokens after 2, 8 heads, 2 KV heads of 16: pairs 3+4+5+6 = 18 a sequence
    counts = AttentionPrefill(2, 4, 6, 8, 2, 16).counts()
    assert counts.flops == {
        tensor("bfloat16", "attention"): 18432,  # 2*36 pairs*8 heads*(16+16)
        vector("softmax"): 1440,  # 5*36*8
    }
    assert counts.bytes == {
        read("activation"): 2048,  # 2*4*8*16*2
        write("activation"): 2048,
        read("kv"): 1536,  # 2*6 tokens * 2*2*16 elements * 2
        write("kv"): 1024,  # 2*4*64*2
    }


def test_fewer_kv_heads_shrink_the_cache_and_nothing_else() -> None:
    grouped, full = AttentionPrefill(1, 64, 64, 32, 8, 128).counts(), AttentionPrefill(1, 64, 64, 32, 32, 128).counts()
    assert full.bytes[read("kv")] == 4 * grouped.bytes[read("kv")]
    assert full.bytes[write("kv")] == 4 * grouped.bytes[write("kv")]
    assert full.flops == grouped.flops


def test_a_cache_of_eight_bits_is_half_as_big() -> None:
    assert AttentionPrefill(1, 4, 4, 4, 2, 16, cache=FP8).counts().bytes[read("kv")] == 256  # 4*2*2*16
    assert AttentionDecode(1, 4, 4, 2, 16, cache=FP8).counts().bytes[read("kv")] == 256
    assert AttentionDecode(1, 4, 4, 2, 16, cache=NVFP4).counts().bytes[read("kv")] == 144  # 256 elements*0.5625


def test_unfused_scores_go_out_and_in_twice() -> None:
    fused, unfused = (
        AttentionPrefill(2, 4, 6, 8, 2, 16).counts(),
        AttentionPrefill(2, 4, 6, 8, 2, 16, fused=False).counts(),
    )
    assert unfused.bytes[read("scores")] == unfused.bytes[write("scores")] == 1152  # 2 passes*36 pairs*8 heads*2 B
    assert unfused.flops == fused.flops
    assert unfused.total_bytes() == fused.total_bytes() + 2304


def test_the_cache_of_a_windowed_prefill_is_read_as_far_as_it_reaches() -> None:
    counts = AttentionPrefill(1, 3, 100, 4, 2, 16, window=4).counts()
    assert counts.bytes[read("kv")] == 6 * 128  # (4+3-1) rows of 2*2*16*2 bytes
    assert counts.flops[tensor("bfloat16", "attention")] == 2 * 12 * 4 * 32


def test_without_writing_the_cache() -> None:
    assert write("kv") not in AttentionPrefill(1, 4, 4, 4, 2, 16, writes_cache=False).counts().bytes
    assert write("kv") not in AttentionDecode(1, 4, 4, 2, 16, writes_cache=False).counts().bytes


def test_decode_by_hand() -> None:
    # 3 sequences over 10 tokens, 8 heads, 2 KV heads of 16
    counts = AttentionDecode(3, 10, 8, 2, 16).counts()
    assert counts.flops == {tensor("bfloat16", "attention"): 15360, vector("softmax"): 1200}  # 4*3*8*16*10; 5*30*8
    assert counts.bytes == {
        read("activation"): 768,  # 3*8*16*2
        write("activation"): 768,
        read("kv"): 3840,  # 30 rows of 128
        write("kv"): 384,
    }


@pytest.mark.parametrize(("kv", "visible"), [(3, 3), (4, 4), (5, 4), (1000, 4)])
def test_a_decode_window_sees_the_last_tokens(kv: int, visible: int) -> None:
    op = AttentionDecode(1, kv, 2, 1, 8, window=4)
    assert op.visible() == visible
    assert op.counts().bytes[read("kv")] == visible * 32


@given(st.integers(1, 64), st.integers(1, 4096), st.integers(0, 5000))
def test_decode_is_prefill_of_one_token(batch: int, kv: int, window: int) -> None:
    decode = AttentionDecode(batch, kv, 8, 2, 64, window).counts()
    prefill = AttentionPrefill(batch, 1, kv, 8, 2, 64, window).counts()
    assert decode.flops == prefill.flops
    assert decode.bytes == prefill.bytes


def test_latent_prefill_by_hand() -> None:
    # one sequence, 2 new of 3 tokens: pairs 2+3 = 5; 4 heads, nope 8, rope 4, v 6, latent 16
    counts = MlaPrefill(1, 2, 3, 4, 16, 4, 8, 6).counts()
    assert counts.flops == {tensor("bfloat16", "attention"): 720, vector("softmax"): 100}  # 2*5*4*(12+6); 5*5*4
    assert counts.bytes == {
        read("activation"): 192,  # 2*4*12*2
        write("activation"): 96,  # 2*4*6*2
        read("kv"): 360,  # 3*4*(8+6)*2 + 3*4*2
        write("kv"): 80,  # 2*(16+4)*2
    }


def test_latent_prefill_in_fp8_reads_half() -> None:
    counts = MlaPrefill(1, 2, 3, 4, 16, 4, 8, 6, dtype="fp8", cache=FP8).counts()
    assert (counts.bytes[read("activation")], counts.bytes[read("kv")], counts.bytes[write("kv")]) == (96, 180, 40)
    assert counts.bytes[write("activation")] == 96  # the output stays in 16 bits


def test_latent_decode_by_hand() -> None:
    # 2 sequences over 5 tokens, 4 heads, latent 16, rope 4
    counts = MlaDecode(2, 1, 5, 4, 16, 4).counts()
    assert counts.flops == {tensor("bfloat16", "attention"): 2880, vector("softmax"): 200}  # 2*10*4*(2*16+4); 5*10*4
    assert counts.bytes == {
        read("activation"): 320,  # 2*4*20*2
        write("activation"): 256,  # 2*4*16*2
        read("kv"): 400,  # 2*5*20*2, once for all heads
        write("kv"): 80,
    }


def test_the_cache_of_deepseek_v3_has_576_elements_a_token_and_layer() -> None:
    one = MlaDecode(1, 1, 1000, 128, 512, 64).counts().bytes[read("kv")]
    two = MlaDecode(1, 1, 1001, 128, 512, 64).counts().bytes[read("kv")]
    assert two - one == 576 * 2
    assert MlaPrefill(1, 1, 1, 128, 512, 64, 128, 128).counts().bytes[write("kv")] == 576 * 2


def test_several_latent_queries_are_masked_among_themselves() -> None:
    counts = MlaDecode(1, 2, 5, 1, 16, 4).counts()
    assert counts.flops[tensor("bfloat16", "attention")] == 2 * 9 * 36  # pairs 4+5
