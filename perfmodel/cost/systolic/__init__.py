"""Systolic arrays as pure formulas: cycles, utilisation, and the words that its buffers and main memory move."""

from perfmodel.cost.systolic.array import DATAFLOWS, Folds, conv_as_gemm, cycles, folds_of, sram_words, utilisation
from perfmodel.cost.systolic.buffers import dram_reads, dram_writes, flushed_capacity

__all__ = [
    "DATAFLOWS",
    "Folds",
    "conv_as_gemm",
    "cycles",
    "dram_reads",
    "dram_writes",
    "flushed_capacity",
    "folds_of",
    "sram_words",
    "utilisation",
]
