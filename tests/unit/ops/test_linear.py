"""Linear layers by hand: m=3 tokens, n=256 outputs, k=512 inputs."""

from __future__ import annotations

import pytest

from perfmodel.counts import Flops, read, tensor, vector, write
from perfmodel.formats import find_format
from perfmodel.ops import Linear

M, N, K = 3, 256, 512
FLOPS = 786432  # 2*3*256*512


@pytest.mark.parametrize(
    ("name", "weight_bytes", "input_bytes"),
    [
        ("float32", 524288, 6144),  # 131072 weights * 4; 1536 activations * 4
        ("bfloat16", 262144, 3072),
        ("float16", 262144, 3072),
        ("fp8", 131072, 1536),
        ("fp8_block", 131104, 1584),  # 131072 + 8 blocks * 4; 1536 + 12 groups * 4
        ("fp8_wo", 131072, 3072),
        ("mxfp8", 135168, 1584),  # 131072 + 4096 scales; 1536 + 48
        ("nvfp4", 73728, 864),  # 65536 + 8192 scales; 768 + 96
        ("nvfp4_wo", 73728, 3072),
        ("int8", 131072, 1536),
        ("int8_wo", 131072, 3072),
        ("int4_wo", 67584, 3072),  # 65536 + 1024 groups * 2
        ("w4a8", 67584, 1536),
        ("w4a16_mxfp4", 69632, 3072),  # 65536 + 4096 scales
        ("w4a8_mxfp4_mxfp8", 69632, 1584),
    ],
)
def test_counts_of_each_format(name: str, weight_bytes: float, input_bytes: float) -> None:
    form = find_format(name)
    counts = Linear(M, N, K, form).counts()
    assert counts.flops == {Flops("tensor", form.compute, "matmul"): FLOPS}
    assert counts.bytes == {read("weight"): weight_bytes, read("activation"): input_bytes, write("activation"): 1536}


def test_quantising_the_input_reads_16_bits_and_writes_the_format() -> None:
    counts = Linear(M, N, K, find_format("fp8_block"), quantises_input=True).counts()
    assert counts.bytes[read("quantisation")] == 3072  # 1536 elements * 2
    assert counts.bytes[write("quantisation")] == 1584  # 1536 + 12 scales * 4
    assert counts.flops[vector("quantise")] == 3072  # two a element
    assert counts.flops[tensor("fp8")] == FLOPS


@pytest.mark.parametrize("name", ["bfloat16", "int4_wo", "w4a16_mxfp4"])
def test_sixteen_bit_inputs_are_not_quantised(name: str) -> None:
    form = find_format(name)
    assert Linear(M, N, K, form, quantises_input=True).counts() == Linear(M, N, K, form).counts()


def test_the_output_may_be_wider() -> None:
    assert Linear(M, N, K, find_format("fp8"), output_bytes=4.0).counts().bytes[write("activation")] == 3072
