"""Named policies, stacks of memories, and what tilings refuse."""

from __future__ import annotations

import pytest

from perfmodel.cost.tiling import ConvShape, optimal_conv, optimal_gemm
from perfmodel.cost.tiling.policies import POLICIES, conv_policy_words, fixed_dataflow_words, gemm_policy_words
from perfmodel.cost.tiling.result import tile_sizes
from perfmodel.cost.tiling.stack import Level, stack_time_s, stack_traffic
from perfmodel.errors import InputError, PlanError


def test_tile_sizes_are_those_of_even_cuts() -> None:
    for extent in range(1, 200):
        assert set(tile_sizes(extent)) == {-(-extent // parts) for parts in range(1, extent + 1)}
        assert list(tile_sizes(extent)) == sorted(tile_sizes(extent))
    assert tile_sizes(12, divisors=True) == (1, 2, 3, 4, 6, 12)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_buffer_for_everything_moves_everything_once(policy: str) -> None:
    words, tiling = gemm_policy_words(policy, 100, 200, 300, 10**7, (16, 16))
    assert words == 100 * 300 + 300 * 200 + 100 * 200
    assert (tiling is None) == (policy in ("formula", "bound", "os", "ws", "is"))


def test_fixed_streams_without_a_buffer() -> None:
    # 2 folds of columns and 3 of K: inputs twice, weights once, partial sums three times out and twice back
    assert fixed_dataflow_words(50.0, 32.0, 48.0, 300.0, 16.0, 16.0, "ws") == (
        50 * 48 * 2, 48 * 32, 50 * 32 * 5
    )  # fmt: skip
    assert fixed_dataflow_words(50.0, 32.0, 48.0, 300.0, 16.0, 16.0, "os") == (50 * 48 * 2, 48 * 32 * 4, 50 * 32)


def test_convolutions_have_policies_of_their_own() -> None:
    shape = ConvShape(14, 14, 3, 3, 32, 64)
    once = 32 * 16 * 16 + shape.weights + shape.results
    for policy in ("optimal", "divisors", "bound", "os", "ws", "is"):
        assert conv_policy_words(policy, shape, 10**7, (16, 16))[0] == once
    with pytest.raises(InputError, match="policy 'formula' is one of products only"):
        conv_policy_words("formula", shape, 10**7, (16, 16))


def test_a_batch_reads_weights_once_where_they_stay() -> None:
    shape = ConvShape(14, 14, 3, 3, 32, 64, batch=8)
    assert optimal_conv(shape, 10**6).words == 8 * (32 * 16 * 16 + shape.results) + shape.weights


def test_what_fits_nowhere() -> None:
    with pytest.raises(PlanError, match="a buffer of 2 words holds no tile of a 4 x 4 x 4 product"):
        optimal_gemm(4, 4, 4, 2)
    with pytest.raises(PlanError, match="holds no tile of the convolution"):
        optimal_conv(ConvShape(4, 4, 3, 3, 4, 4), 8)
    with pytest.raises(InputError, match="unknown policy 'optimum' - did you mean 'optimal'"):
        gemm_policy_words("optimum", 1, 1, 1, 100, (1, 1))


def test_a_stack_stops_where_the_operands_live() -> None:
    levels = [Level("registers", 10.0), Level("SRAM", 100.0, 50.0), Level("HBM", 1e4, 5.0), Level("DDR", 1e6, 1.0)]
    found = stack_traffic(levels, 5000.0, lambda capacity: 1e5 / capacity)
    assert [(c.inner, c.outer, c.moved_bytes) for c in found] == [
        ("registers", "SRAM", 1e4), ("SRAM", "HBM", 1e3), ("HBM", "DDR", 0.0)
    ]  # fmt: skip
    assert stack_time_s(found) == max(1e4 / 50, 1e3 / 5)
    with pytest.raises(InputError, match="at least two levels"):
        stack_traffic(levels[:1], 1.0, float)
