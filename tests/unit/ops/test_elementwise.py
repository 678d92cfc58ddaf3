"""Row-wise operators by hand: 3 rows of 8 elements, 24 in all."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel import ops
from perfmodel.counts import read, vector, write
from perfmodel.formats import FP8_BLOCK_ACTIVATION, NVFP4


@pytest.mark.parametrize(
    ("kind", "reads", "writes", "flops"),
    [
        (ops.RmsNorm, 1, 1, 4),  # square, add, scale, gain
        (ops.AddRmsNorm, 2, 2, 5),
        (ops.LayerNorm, 1, 1, 7),
        (ops.Activation, 1, 1, 8),
        (ops.GatedActivation, 2, 1, 6),
        (ops.Add, 2, 1, 1),
        (ops.Softmax, 1, 1, 5),
        (ops.Rope, 1, 1, 3),
    ],
)
def test_a_pass_over_24_elements(kind: Any, reads: int, writes: int, flops: int) -> None:
    counts = kind(3, 8).counts()
    assert counts.flops == {vector(kind.KIND): 24 * flops}
    assert counts.bytes == {read("activation"): 48 * reads, write("activation"): 48 * writes}
    assert kind(3, 8, element_bytes=4.0).counts().total_bytes() == 2 * counts.total_bytes()


@pytest.mark.parametrize(("encoding", "written"), [(FP8_BLOCK_ACTIVATION, 264.0), (NVFP4, 144.0)])
def test_quantisation(encoding: Any, written: float) -> None:
    counts = ops.Quantise(2, 128, encoding).counts()  # 256 elements: 256 + 2 scales*4; 128 + 16 scales
    assert counts.bytes == {read("quantisation"): 512, write("quantisation"): written}
    assert counts.total_flops() == 512


def test_an_embedding_is_a_gather_of_rows() -> None:
    counts = ops.Embedding(3, 8).counts()
    assert counts.flops == {}
    assert counts.bytes == {read("weight"): 48, write("activation"): 48}
