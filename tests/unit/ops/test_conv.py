"""Convolutions: hand-worked counts of each kind and algorithm."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perfmodel.cost.bounds import BOOST_HEADROOM, operator_bound
from perfmodel.cost.facts import chip_facts
from perfmodel.devices import load_device
from perfmodel.formats import runnable_format
from perfmodel.ops import Conv, DeformableConv, Fused, Pool, Resize, TransposedConv
from perfmodel.ops.conv import out_positions
from perfmodel.ops.elementwise import Activation

FLAT = (1, 1, 1)


def conv(**changes: object) -> Conv:
    """8 -> 16 channels, 3x3, padding 1 at each end, over 10 x 12."""
    fields: dict[str, object] = {
        "batch": 1, "groups": 1, "in_per_group": 8, "out_per_group": 16, "height": 10, "width": 12,
    }  # fmt: skip
    return Conv(**{**fields, **changes})  # type: ignore[arg-type]


def matrix_flops(op: Conv | TransposedConv | DeformableConv) -> float:
    return float(op.counts().filter_flops(engine="tensor").total_flops())


def test_a_plain_convolution() -> None:
    op = conv()
    assert op.outputs == 120
    assert matrix_flops(op) == 2 * 120 * 16 * 8 * 9
    counts = op.counts()
    assert counts.filter_bytes(role="weight").total_bytes() == 16 * 8 * 9 * 2
    assert counts.filter_bytes(direction="write").total_bytes() == 120 * 16 * 2


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "dilation", "expected"),
    [(224, 7, 2, 6, 1, 112), (10, 3, 1, 0, 1, 8), (10, 3, 2, 2, 1, 5), (10, 3, 1, 0, 2, 6), (9, 2, 2, 0, 1, 4)],
)
def test_positions(size: int, kernel: int, stride: int, padding: int, dilation: int, expected: int) -> None:
    assert out_positions(size, kernel, stride, padding, dilation) == expected


def test_groups_divide_the_work() -> None:
    whole, depthwise = conv(in_per_group=16), conv(groups=16, in_per_group=1, out_per_group=1)
    assert matrix_flops(whole) == 16 * matrix_flops(depthwise)


def test_the_columns_of_im2col_are_written_and_read() -> None:
    extra = conv(algorithm="im2col").counts().total_bytes() - conv().counts().total_bytes()
    assert extra == 2 * 120 * 8 * 9 * 2


@pytest.mark.parametrize(("algorithm", "saving"), [("winograd2", 2.25), ("winograd4", 4.0)])
def test_winograd_saves_multiplications_on_whole_tiles(algorithm: str, saving: float) -> None:
    direct, fast = conv(height=16, width=16), conv(height=16, width=16, algorithm=algorithm)
    assert matrix_flops(direct) / matrix_flops(fast) == pytest.approx(saving)
    assert fast.counts().filter_flops(engine="vector").total_flops() > 0


def test_winograd_does_not_apply_to_strides() -> None:
    assert conv(stride=(1, 2, 2), algorithm="winograd4").counts() == conv(stride=(1, 2, 2)).counts()


def test_a_transposed_convolution_is_the_plain_one_backwards() -> None:
    up = TransposedConv(1, 1, 16, 8, 5, 6, kernel=(1, 2, 2), stride=(1, 2, 2), padding=(0, 0, 0))
    assert up.sides() == (1, 10, 12)
    assert matrix_flops(up) == 2 * 30 * 16 * 8 * 4


def test_a_deformable_convolution_reads_offsets_and_samples() -> None:
    op = DeformableConv(1, 1, 8, 16, 10, 12)
    assert matrix_flops(op) == matrix_flops(conv())
    counts = op.counts()
    assert counts.filter_bytes(role="offsets").total_bytes() == 120 * 9 * 3 * 2
    assert counts.filter_flops(op="sampling").total_flops() == 8 * 120 * 9 * 8


def test_video() -> None:
    op = conv(frames=4, kernel=(3, 3, 3), padding=(2, 2, 2))
    assert op.outputs == 480
    assert matrix_flops(op) == 2 * 480 * 16 * 8 * 27


def test_resampling() -> None:
    assert Pool(1, 4, 16, 4, 4).counts().total_flops() == 64
    assert Resize(1, 4, 4, 16, 4).counts().total_bytes() == (16 + 64) * 2


def test_a_fused_kernel_moves_its_edges_and_the_weights_alone() -> None:
    parts = (conv(), Activation(120, 16))
    op = Fused(3, 8 * 120, 16 * 120, parts)
    alone = sum(float(part.batched(3).counts().total_bytes()) for part in parts)
    counts = op.counts()
    assert counts.total_bytes() == 16 * 8 * 9 * 2 + 3 * (8 * 120 + 16 * 120) * 2
    assert alone - counts.total_bytes() == 3 * 2 * 16 * 120 * 2  # the result is not written and read again
    assert counts.total_flops() == sum(float(part.batched(3).counts().total_flops()) for part in parts)


def test_the_bound_of_float32_lets_winograd_work() -> None:
    chip = chip_facts(load_device("titan-xp"))
    plain = conv(batch=64, in_per_group=64, out_per_group=64, height=56, width=56)
    wide = replace(plain, format=runnable_format("float32", frozenset(chip.peaks)))
    strided = replace(wide, stride=(1, 2, 2))
    for op, saving in ((wide, 4.0), (strided, 1.0)):
        found = operator_bound(op, op.counts(), chip, None, False).compute_s
        direct = 2.0 * op.multiplications() / (BOOST_HEADROOM * chip.peak_flops_per_s("float32"))
        assert direct / found == pytest.approx(saving, rel=1e-6)
