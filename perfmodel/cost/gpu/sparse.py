"""Time of sparse attention on a GPU: index scores, and attention to chosen rows as by the absorbed latent kernel."""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.gpu import mla_decode
from perfmodel.numeric import Number, maximum
from perfmodel.ops.attention import MlaDecode
from perfmodel.ops.sparse import CompressedCore, IndexScores, SparseLatent

LAUNCH_S = 6e-6
"""Start of the two kernels, scores and choice (assumed: as for other short kernels)."""
MATRIX_SHARE = 0.5
"""Share of the matrix peak that scores reach (assumed: one short product, then a reduction over heads)."""
MEMORY_SHARE = 0.8
"""Share of memory bandwidth (assumed, as measured for element-wise kernels)."""


def index_scores_s(op: IndexScores, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of an indexer's scores and its choice; not measured: the shares are assumed.

    ``t = launch + max(flops/(0.5*peak), vector flops/vector peak, bytes/(0.8*BW))``, arithmetic in the cache's dtype
    where the chip has it.
    """
    counts = op.counts()
    dtype = "fp8" if op.cache.bits < 16 and "fp8" in chip.peaks else op.dtype
    matrix = counts.filter_flops(engine="tensor").total_flops() / (MATRIX_SHARE * chip.peak_flops_per_s(dtype))
    vector = counts.filter_flops(engine="vector").total_flops() / chip.vector_flops_per_s
    memory = counts.total_bytes() / (MEMORY_SHARE * chip.memory_bandwidth_bytes_per_s)
    return LAUNCH_S + maximum(matrix, vector, memory)


def sparse_latent_s(op: SparseLatent, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of latent attention to chosen rows: each query is a sequence of its own choice.

    The time of :func:`mla_decode.expected_s` with ``B*q`` sequences of the mean number of chosen rows. Not measured.
    Omits: that a runtime may prefill short prompts without absorption.
    """
    queries = op.batch * op.q_tokens
    like = MlaDecode(
        queries, 1, op.pairs() / queries, op.heads, op.kv_lora_rank, op.rope_dim, op.dtype, op.cache
    )  # fmt: skip
    return mla_decode.expected_s(like, chip, c, warm)


def compressed_s(op: CompressedCore, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of attention to a window and compressed entries, as :func:`sparse_latent_s`."""
    queries = op.batch * op.q_tokens
    like = MlaDecode(queries, 1, op.pairs() / queries, op.heads, op.head_dim, 0.0, op.dtype, op.cache)
    return mla_decode.expected_s(like, chip, c, warm)
