"""Number formats of weights, activations and caches: their bytes, and the arithmetic they run in."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from perfmodel.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Encoding:
    """How one tensor element is stored: payload bits and the scale bytes of its block.

    ``bytes_per_element = bits/8 + scale_bytes/block``; ``block`` counts the elements that share one scale.
    """

    dtype: str
    bits: float
    scale_bytes: float = 0.0
    block: float = 1.0

    @property
    def bytes_per_element(self) -> float:
        return self.bits / 8 + self.scale_bytes / self.block


@dataclass(frozen=True)
class Format:
    """How a linear layer is computed: its weights, its activations and the dtype of its multiplications.

    ``compute`` is the key of the engine's peak; ``quantises_activations`` says that 16-bit activations are
    converted on the fly before the matrix product (and cost a pass over them). ``stand_in`` names the format whose
    measured kernels stand in for those of one that nobody has measured. ``also`` is a dtype that a library may multiply
    in instead, where it is faster; only the bound counts on it.
    """

    name: str
    weight: Encoding
    activation: Encoding
    compute: str
    accumulate_bytes: float = 2.0
    stand_in: str = ""
    also: str = ""

    @property
    def quantises_activations(self) -> bool:
        return self.activation.bits < 16

    @property
    def weight_only(self) -> bool:
        return self.weight.bits < self.activation.bits

    @property
    def calibrated_as(self) -> str:
        """Return the name that fitted coefficients are looked up by."""
        return self.stand_in or self.name


BFLOAT16 = Encoding("bfloat16", 16)
FLOAT16 = Encoding("float16", 16)
FLOAT32 = Encoding("float32", 32)
FP8 = Encoding("fp8", 8)
FP8_BLOCK_WEIGHT = Encoding("fp8", 8, 4, 128 * 128)
FP8_BLOCK_ACTIVATION = Encoding("fp8", 8, 4, 128)
NVFP4 = Encoding("fp4", 4, 1, 16)
MXFP4 = Encoding("fp4", 4, 1, 32)
MXFP8 = Encoding("fp8", 8, 1, 32)
INT8 = Encoding("int8", 8)
INT8_WO = Encoding("int8", 8)
INT4_GROUP128 = Encoding("int4", 4, 2, 128)
INT2_GROUP32 = Encoding("int2", 2, 4, 32)
"""A 16-bit scale and a 16-bit zero a group of 32, as in KIVI."""

_FORMATS = {
    f.name: f
    for f in (
        Format("float32", FLOAT32, FLOAT32, "tf32", 4.0),
        Format("bfloat16", BFLOAT16, BFLOAT16, "bfloat16"),
        Format("float16", FLOAT16, FLOAT16, "float16"),
        Format("fp8", FP8, FP8, "fp8"),
        Format("fp8_block", FP8_BLOCK_WEIGHT, FP8_BLOCK_ACTIVATION, "fp8"),
        Format("fp8_wo", FP8, BFLOAT16, "bfloat16"),
        Format("mxfp8", MXFP8, MXFP8, "fp8"),
        Format("nvfp4", NVFP4, NVFP4, "fp4"),
        Format("nvfp4_wo", NVFP4, BFLOAT16, "bfloat16"),
        Format("int8", INT8, INT8, "int8"),
        Format("int8_wo", INT8_WO, BFLOAT16, "bfloat16"),
        Format("int4_wo", INT4_GROUP128, BFLOAT16, "bfloat16"),
        Format("w4a8", INT4_GROUP128, FP8, "fp8"),
        Format("w4a16_mxfp4", MXFP4, BFLOAT16, "bfloat16"),
        Format("w4a8_mxfp4_mxfp8", MXFP4, MXFP8, "fp8"),
    )
}
_ALIASES = {
    "bf16": "bfloat16", "fp16": "float16", "half": "float16", "fp32": "float32", "float": "float32", "tf32": "float32",
    "float8": "fp8", "e4m3": "fp8", "fp8_e4m3": "fp8", "w8a8_fp8": "fp8", "fp8_static": "fp8",
    "fp8_blockwise": "fp8_block", "fp8-block": "fp8_block", "w8a16_fp8": "fp8_wo",
    "fp4": "nvfp4", "w4a4": "nvfp4", "w4a16_nvfp4": "nvfp4_wo",
    "w8a8": "int8", "int8_sq": "int8", "sq": "int8", "w8a16": "int8_wo",
    "int4": "int4_wo", "w4a16": "int4_wo", "awq": "int4_wo", "gptq": "int4_wo",
    "mxfp4": "w4a16_mxfp4", "w4a8_mxfp4": "w4a8_mxfp4_mxfp8",
}  # fmt: skip

_CACHE_ENCODINGS = {
    "float32": FLOAT32,
    "bfloat16": BFLOAT16,
    "float16": FLOAT16,
    "fp8": FP8,
    "int8": INT8,
    "fp4": NVFP4,
    "int4": INT4_GROUP128,
    "int2": INT2_GROUP32,
}

_GGML_BITS = {
    "q1_0": 1.125, "q4_0": 4.5, "q4_1": 5.0, "q5_0": 5.5, "q5_1": 6.0, "q8_0": 8.5, "q8_1": 9.0,
    "q2_k": 2.625, "q3_k": 3.4375, "q4_k": 4.5, "q5_k": 5.5, "q6_k": 6.5625, "q8_k": 9.125,
    "iq1_s": 1.5625, "iq1_m": 1.75, "iq2_xxs": 2.0625, "iq2_xs": 2.3125, "iq2_s": 2.5625, "iq3_xxs": 3.0625,
    "iq3_s": 3.4375, "iq4_nl": 4.5, "iq4_xs": 4.25, "tq1_0": 1.6875, "tq2_0": 2.0625, "ternary": 2.0,
}  # fmt: skip
"""Bits a weight of ggml's quantised types, scales included, and of ternary weights packed four to a byte.

Source: the block sizes in :mod:`perfmodel.workloads.importers.ggml_types`. ``ternary`` is {-1, 0, 1} (1.58 bits) as
BitNet's i2_s kernel packs it: Ma et al., "The Era of 1-bit LLMs" (arXiv 2402.17764); microsoft/BitNet docs/I2_s.md.
"""
_GGML_MEAN = re.compile(r"ggml_(\d{1,2}(?:\.\d{1,12})?)bpw")


def format_names() -> list[str]:
    """Return the canonical names of all formats of linear layers."""
    return list(_FORMATS)


@lru_cache(maxsize=256)
def find_format(name: str) -> Format:
    """Return the format of a linear layer by its name or alias (bf16, w4a16, ...); :class:`InputError` if unknown.

    Known too are ggml's types (q4_k, iq2_xs, tq1_0, ...), ``ternary``, and ``ggml_<bits>bpw`` (ggml_4.85bpw) for a
    mixture of them with that many bits a weight on average, all as :func:`ggml_format` has them.
    """
    key = name.strip().lower()
    key = _ALIASES.get(key, key)
    if key in _FORMATS:
        return _FORMATS[key]
    bits = _ggml_bits(key)
    if bits is None:
        raise InputError(f"unknown precision '{name}'{did_you_mean(key, [*_FORMATS, *_ALIASES, *_GGML_BITS])}")
    return _FORMATS["bfloat16"] if bits == 16 else ggml_format(key, bits)


def _ggml_bits(key: str) -> float | None:
    mean = _GGML_MEAN.fullmatch(key)
    if mean is None:
        return _GGML_BITS.get(key)
    bits = float(mean[1])
    return bits if 0.5 <= bits <= 64 else None


def ggml_format(name: str, bits: float) -> Format:
    """Return the weight-only format of ggml weights that take ``bits`` bits each, scales included.

    They are multiplied as 16-bit numbers with 16-bit activations; coefficients are those of the measured weight-only
    kernels of the nearest width: int4_wo up to 6 bits, int8_wo up to 12, bfloat16 above. The bound allows for
    llama.cpp's integer dot products of weights with activations quantised to 8 bits, which the expected time omits.
    """
    stand_in = "int4_wo" if bits <= 6 else "int8_wo" if bits <= 12 else "bfloat16"
    weight = Encoding("int4" if bits <= 6 else "int8" if bits <= 12 else "bfloat16", bits)
    return Format(name, weight, BFLOAT16, "bfloat16", stand_in=stand_in, also="int8" if bits <= 12 else "")


@lru_cache(maxsize=64)
def find_cache_encoding(name: str) -> Encoding:
    """Return how a KV cache element is stored; accepts the names of :func:`find_format` that name one dtype."""
    key = name.strip().lower()
    key = {"nvfp4": "fp4", "int4_wo": "int4", "int8_wo": "int8"}.get(_ALIASES.get(key, key), _ALIASES.get(key, key))
    if key not in _CACHE_ENCODINGS:
        raise InputError(f"unknown KV cache precision '{name}'{did_you_mean(key, list(_CACHE_ENCODINGS))}")
    return _CACHE_ENCODINGS[key]


@lru_cache(maxsize=256)
def runnable_format(name: str, peaks: frozenset[str]) -> Format:
    """Return the format that an engine with these peak dtypes really runs when asked for ``name``.

    A dtype without a matrix unit of its own is never a free speed-up: the weights stay as stored and are
    converted, so the multiplication runs in 16 bits (Marlin-like weight-only kernels).

    Errors: :class:`InputError` when the engine has no dtype that the format can be converted to.
    """
    wanted = find_format(name)
    if wanted.compute == "tf32" and wanted.compute not in peaks:  # never narrowed to 16 bits
        if "float32" in peaks:
            return Format(wanted.name, FLOAT32, FLOAT32, "float32", 4.0)
        raise InputError(f"precision '{name}' runs on none of the engine's dtypes ({', '.join(sorted(peaks))})")
    for compute, activation in ((wanted.compute, wanted.activation), ("bfloat16", BFLOAT16), ("float16", FLOAT16)):
        if compute in peaks:
            if compute == wanted.compute:
                return wanted
            weight = Encoding(compute, 16) if wanted.weight.bits == 16 else wanted.weight
            return replace(wanted, weight=weight, activation=activation, compute=compute)
    raise InputError(f"precision '{name}' runs on none of the engine's dtypes ({', '.join(sorted(peaks))})")
