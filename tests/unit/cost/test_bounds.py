"""Bounds by hand on a chip with round numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.cost.bounds import BOOST_HEADROOM, Bound, operator_bound
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.link_facts import LinkFacts
from perfmodel.devices import load_device
from perfmodel.errors import InputError
from perfmodel.formats import FP8, find_format
from perfmodel.ops import AllGather, AllReduce, AttentionDecode, Linear, Operator, RmsNorm

CHIP = ChipFacts(
    name="toy", vendor="none", kind="gpu", architecture="toy", core_count=100.0, clock_hz=1e9, memory_bytes=1e9,
    memory_bandwidth_bytes_per_s=1e9, llc_bytes=1000.0, llc_partitions=1,
    peaks={"bfloat16": 1e9 / BOOST_HEADROOM, "fp8": 2e9 / BOOST_HEADROOM}, vector_flops_per_s=1e8 / BOOST_HEADROOM,
)  # fmt: skip
LINK = LinkFacts(1e6)


def _bound(op: Operator, warm: bool = False, link: LinkFacts | None = None, chip: ChipFacts = CHIP) -> Bound:
    return operator_bound(op, op.counts(), chip, link, warm)


def test_a_linear_layer_in_a_step() -> None:
    found = _bound(Linear(10, 20, 30, find_format("bf16")))
    assert found.compute_s == pytest.approx(12000 / 1e9)  # 2*10*20*30
    assert found.memory_s == pytest.approx(1200 / 1e9)  # 20*30*2: weights alone, activations may stay in a cache
    assert found.link_s == 0
    assert found.time_s == found.compute_s


def test_a_repeated_kernel_only_reads_what_the_cache_cannot_hold() -> None:
    # 1200 weights + 600 in + 400 out = 2200 B, 1000 of them cached; through the fabric at 100 cores*64 B*1.07 GHz
    found = _bound(Linear(10, 20, 30, find_format("bf16")), warm=True)
    assert found.memory_s == pytest.approx(1200 / 1e9)
    small = _bound(Linear(1, 10, 30, find_format("bf16")), warm=True)  # 600 + 60 + 20
    assert small.memory_s == pytest.approx(680 / (6400e9 * BOOST_HEADROOM))
    assert _bound(Linear(1, 10, 30, find_format("bf16")), True, chip=replace(CHIP, kind="tpu")).memory_s == 0


def test_a_faster_dtype() -> None:
    assert _bound(Linear(10, 20, 30, find_format("fp8"))).compute_s == pytest.approx(6e-6)


def test_a_dtype_that_the_chip_has_not_is_an_error() -> None:
    with pytest.raises(InputError, match="toy has no fp4 matrix peak; it has bfloat16, fp8"):
        _bound(Linear(10, 20, 30, find_format("nvfp4")))


def test_vector_units_work_beside_the_matrix_units() -> None:
    assert _bound(RmsNorm(10, 100)).compute_s == pytest.approx(4000 / 1e8)
    core = AttentionDecode(1, 100, 4, 4, 8)  # matrix 4*4*8*100 = 12800 at 1e9; softmax 5*400 = 2000 at 1e8
    assert _bound(core).compute_s == pytest.approx(20e-6)


def test_the_cache_is_read_and_the_new_row_written() -> None:
    core = AttentionDecode(2, 100, 4, 2, 8)  # rows of 2*2*8*2 = 64 B: 200 read, 2 written
    assert _bound(core).memory_s == pytest.approx(202 * 64 / 1e9)


def test_over_an_8_bit_cache_attention_may_compute_in_8_bits() -> None:
    wide = replace(CHIP, vector_flops_per_s=1e12)
    assert _bound(AttentionDecode(1, 100, 4, 4, 8), chip=wide).compute_s == pytest.approx(12800 / 1e9)
    assert _bound(AttentionDecode(1, 100, 4, 4, 8, cache=FP8), chip=wide).compute_s == pytest.approx(12800 / 2e9)


def test_a_link_carries_what_a_rank_sends() -> None:
    assert _bound(AllGather(4, 4000), link=replace(LINK, topology="pcie")).link_s == pytest.approx(3000 / 1e6)
    assert _bound(AllReduce(4, 4000), link=replace(LINK, topology="pcie")).link_s == pytest.approx(6000 / 1e6)


def test_a_switch_that_adds_halves_an_all_reduce() -> None:
    assert _bound(AllReduce(4, 4000), link=LINK).link_s == pytest.approx(3000 / 1e6)
    assert _bound(AllGather(4, 4000), link=LINK).link_s == pytest.approx(3000 / 1e6), "and nothing else"


def test_one_rank_needs_no_link() -> None:
    assert _bound(AllReduce(1, 4000)).link_s == 0
    with pytest.raises(ValueError, match="needs a link"):
        _bound(AllReduce(2, 4000))


def test_the_busiest_resource_bounds() -> None:
    assert Bound(1.0, 3.0, 2.0).time_s == 3.0


def test_facts_of_a_device() -> None:
    chip = chip_facts(load_device("h100-sxm"))
    assert (chip.core_count, chip.memory_bandwidth_bytes_per_s, chip.llc_partitions) == (132, 3.35e12, 2)
    assert chip.peak_flops_per_s("fp8") == pytest.approx(1978.9e12)
    assert chip.core_bytes_per_s == 64 * chip.clock_hz * 132


def test_a_step_of_bfloat16_weights_by_hand() -> None:
    # 4096x4096 weights of 16 bits at 3.35 TB/s
    chip = chip_facts(load_device("h100-sxm"))
    found = _bound(Linear(1, 4096, 4096, find_format("bf16")), chip=chip)
    assert found.time_s == pytest.approx(4096 * 4096 * 2 / 3.35e12)
