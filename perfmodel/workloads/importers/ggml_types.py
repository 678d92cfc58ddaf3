"""The types of ggml's tensors: how many weights share a block, and the bytes of one.

Source: ggml-common.h of llama.cpp (the ``static_assert`` under each ``block_*``) and ``GGML_QUANT_SIZES`` in
gguf-py/gguf/constants.py 0.19. They differ in Q8_1 (36 and 40 bytes), which is for activations and in no file: the C
struct, two 16-bit floats and 32 bytes, is what runs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GgmlType:
    """One type: ``block`` weights take ``block_bytes`` bytes, scales and minima included."""

    code: int
    name: str
    block: int
    block_bytes: int

    @property
    def bytes_per_weight(self) -> float:
        """Return ``block_bytes / block``."""
        return self.block_bytes / self.block


_K = 256
"""Weights of a super-block of the k-quants and i-quants (QK_K)."""

GGML_TYPES: dict[int, GgmlType] = {
    kind.code: kind
    for kind in (
        GgmlType(0, "F32", 1, 4),
        GgmlType(1, "F16", 1, 2),
        GgmlType(2, "Q4_0", 32, 2 + 16),
        GgmlType(3, "Q4_1", 32, 2 + 2 + 16),
        GgmlType(6, "Q5_0", 32, 2 + 4 + 16),
        GgmlType(7, "Q5_1", 32, 2 + 2 + 4 + 16),
        GgmlType(8, "Q8_0", 32, 2 + 32),
        GgmlType(9, "Q8_1", 32, 2 + 2 + 32),
        GgmlType(10, "Q2_K", _K, 2 + 2 + _K // 16 + _K // 4),
        GgmlType(11, "Q3_K", _K, 2 + 12 + _K // 8 + _K // 4),
        GgmlType(12, "Q4_K", _K, 2 + 2 + 12 + _K // 2),
        GgmlType(13, "Q5_K", _K, 2 + 2 + 12 + _K // 8 + _K // 2),
        GgmlType(14, "Q6_K", _K, 2 + _K // 16 + _K // 4 + _K // 2),
        GgmlType(15, "Q8_K", _K, 4 + _K // 8 + _K),
        GgmlType(16, "IQ2_XXS", _K, 2 + _K // 4),
        GgmlType(17, "IQ2_XS", _K, 2 + _K // 4 + _K // 32),
        GgmlType(18, "IQ3_XXS", _K, 2 + _K // 4 + _K // 8),
        GgmlType(19, "IQ1_S", _K, 2 + _K // 8 + _K // 16),
        GgmlType(20, "IQ4_NL", 32, 2 + 16),
        GgmlType(21, "IQ3_S", _K, 2 + _K // 4 + _K // 8 + _K // 32 + 4),
        GgmlType(22, "IQ2_S", _K, 2 + _K // 4 + _K // 16),
        GgmlType(23, "IQ4_XS", _K, 2 + 2 + _K // 64 + _K // 2),
        GgmlType(24, "I8", 1, 1),
        GgmlType(25, "I16", 1, 2),
        GgmlType(26, "I32", 1, 4),
        GgmlType(27, "I64", 1, 8),
        GgmlType(28, "F64", 1, 8),
        GgmlType(29, "IQ1_M", _K, _K // 8 + _K // 16 + _K // 32),
        GgmlType(30, "BF16", 1, 2),
        GgmlType(34, "TQ1_0", _K, 2 + 48 + 4),
        GgmlType(35, "TQ2_0", _K, 2 + _K // 4),
        GgmlType(39, "MXFP4", 32, 1 + 16),
        GgmlType(40, "NVFP4", 64, 4 + 32),
        GgmlType(41, "Q1_0", 128, 2 + 16),
    )
}
"""Every type that a file of today can hold, by its number in the file."""

REMOVED_TYPES: dict[int, str] = {
    4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "IQ4_NL_4_4 (or I2_S of BitNet's fork)",
    37: "IQ4_NL_4_8", 38: "IQ4_NL_8_8",
}  # fmt: skip
"""Types that ggml has given up: their numbers are not used again."""
