"""How many words cross the edge of an on-chip buffer: optimal tilings, fixed dataflows, fused attention, stacks."""

from perfmodel.cost.tiling.conv import ConvShape, conv_bound, optimal_conv
from perfmodel.cost.tiling.gemm import gemm_bound, gemm_words, optimal_gemm
from perfmodel.cost.tiling.result import Tiling

__all__ = ["ConvShape", "Tiling", "conv_bound", "gemm_bound", "gemm_words", "optimal_conv", "optimal_gemm"]
