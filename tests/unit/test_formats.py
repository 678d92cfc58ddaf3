"""Formats by hand: bytes with scales, aliases, and what an engine without a dtype runs instead."""

from __future__ import annotations

import pytest

from perfmodel.errors import InputError
from perfmodel.formats import BFLOAT16, FP8, find_cache_encoding, find_format, format_names, runnable_format

A100 = frozenset({"tf32", "float16", "bfloat16", "int8", "int4"})
H100 = frozenset({"tf32", "float16", "bfloat16", "fp8", "int8"})
V100 = frozenset({"float16"})
B200 = H100 | {"fp4"}


@pytest.mark.parametrize(
    ("name", "weight", "activation", "compute"),
    [
        ("float32", 4.0, 4.0, "tf32"),
        ("bfloat16", 2.0, 2.0, "bfloat16"),
        ("float16", 2.0, 2.0, "float16"),
        ("fp8", 1.0, 1.0, "fp8"),
        ("fp8_block", 1 + 4 / 16384, 1 + 4 / 128, "fp8"),  # a float32 scale a 128x128 block; a 1x128 row piece
        ("fp8_wo", 1.0, 2.0, "bfloat16"),
        ("mxfp8", 1 + 1 / 32, 1 + 1 / 32, "fp8"),  # a byte of exponent a block of 32
        ("nvfp4", 0.5 + 1 / 16, 0.5 + 1 / 16, "fp4"),  # an e4m3 scale a block of 16: 4.5 bits
        ("nvfp4_wo", 0.5625, 2.0, "bfloat16"),
        ("int8", 1.0, 1.0, "int8"),
        ("int8_wo", 1.0, 2.0, "bfloat16"),
        ("int4_wo", 0.5 + 2 / 128, 2.0, "bfloat16"),  # a 16-bit scale a group of 128: 4.125 bits
        ("w4a8", 0.515625, 1.0, "fp8"),
        ("w4a16_mxfp4", 0.5 + 1 / 32, 2.0, "bfloat16"),  # 4.25 bits
        ("w4a8_mxfp4_mxfp8", 0.53125, 1.03125, "fp8"),
    ],
)
def test_bytes_per_element(name: str, weight: float, activation: float, compute: str) -> None:
    found = find_format(name)
    assert (found.weight.bytes_per_element, found.activation.bytes_per_element) == (weight, activation)
    assert found.compute == compute
    assert found.quantises_activations == (activation < 2)
    assert found.weight_only == (found.weight.bits < found.activation.bits)


def test_every_format_is_tested_above() -> None:
    assert len(format_names()) == 15


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("bf16", "bfloat16"), ("FP16", "float16"), ("half", "float16"), (" fp8_e4m3 ", "fp8"),
        ("fp8-block", "fp8_block"), ("fp4", "nvfp4"),
        ("w8a8", "int8"), ("w8a16", "int8_wo"), ("w4a16", "int4_wo"), ("AWQ", "int4_wo"),
        ("gptq", "int4_wo"), ("mxfp4", "w4a16_mxfp4"), ("w4a16_nvfp4", "nvfp4_wo"), ("w4a8_mxfp4", "w4a8_mxfp4_mxfp8"),
    ],
)  # fmt: skip
def test_aliases(alias: str, name: str) -> None:
    assert find_format(alias) is find_format(name)


@pytest.mark.parametrize(("wrong", "hint"), [("bfloat1", "bfloat16"), ("fp8block", "fp8_block"), ("nvp4", "nvfp4")])
def test_an_unknown_precision_gets_the_nearest_name(wrong: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"unknown precision '{wrong}' - did you mean '{hint}'"):
        find_format(wrong)


def test_an_unknown_cache_precision_gets_the_nearest_name() -> None:
    with pytest.raises(InputError, match="unknown KV cache precision 'fp7' - did you mean 'fp8'"):
        find_cache_encoding("fp7")


@pytest.mark.parametrize(
    ("name", "size"),
    [("bf16", 2.0), ("fp8_e4m3", 1.0), ("int8", 1.0), ("nvfp4", 0.5625), ("fp32", 4.0), ("w4a16", 0.515625)],
)
def test_cache_encodings(name: str, size: float) -> None:
    assert find_cache_encoding(name).bytes_per_element == size


@pytest.mark.parametrize("peaks", [A100, H100, B200])
@pytest.mark.parametrize(
    "name", ["bfloat16", "float16", "float32", "int8", "int8_wo", "int4_wo", "fp8_wo", "w4a16_mxfp4"]
)
def test_what_an_engine_has_it_runs_as_asked(name: str, peaks: frozenset[str]) -> None:
    assert runnable_format(name, peaks) is find_format(name)


def test_fp8_on_an_a100_keeps_its_bytes_and_computes_in_16_bits() -> None:
    found = runnable_format("fp8", A100)
    assert (found.weight, found.activation, found.compute) == (FP8, BFLOAT16, "bfloat16")
    assert not found.quantises_activations
    assert found.weight_only


def test_block_scales_stay_with_converted_weights() -> None:
    assert runnable_format("fp8_block", A100).weight.bytes_per_element == 1 + 4 / 16384


def test_nvfp4_without_fp4_units() -> None:
    found = runnable_format("nvfp4", H100)
    assert (found.weight.bytes_per_element, found.activation, found.compute) == (0.5625, BFLOAT16, "bfloat16")


@pytest.mark.parametrize("name", ["bfloat16", "int8_wo", "fp8"])
def test_without_bfloat16_units_it_is_float16(name: str) -> None:
    found = runnable_format(name, V100)
    assert (found.compute, found.activation.dtype, found.activation.bits) == ("float16", "float16", 16)
    assert found.weight.bits == {"bfloat16": 16, "int8_wo": 8, "fp8": 8}[name]


def test_sixteen_bit_weights_are_stored_in_the_type_that_runs() -> None:
    assert runnable_format("bfloat16", V100).weight.dtype == "float16"


def test_float32_is_never_narrowed_to_16_bits() -> None:
    with pytest.raises(InputError, match="precision 'float32' runs on none of the engine's dtypes"):
        runnable_format("float32", V100)
    full = runnable_format("float32", frozenset({"float32", "bfloat16"}))
    assert (full.compute, full.weight.bits, full.activation.bits) == ("float32", 32, 32)


def test_an_engine_without_any_of_the_dtypes_says_what_it_has() -> None:
    with pytest.raises(InputError, match=r"precision 'fp8' runs on none of the engine's dtypes \(int8\)"):
        runnable_format("fp8", frozenset({"int8"}))
