"""Time of sparse attention on a GPU: index scores, and attention to chosen rows.

A decode step is timed as by the absorbed latent kernel, a prefill by the published rate of FlashMLA's kernel.
"""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.gpu import mla_decode, mla_prefill
from perfmodel.numeric import Number, maximum, minimum, where
from perfmodel.ops.attention import MlaDecode
from perfmodel.ops.sparse import CompressedCore, IndexScores, SparseLatent

LAUNCH_S = 6e-6
"""Start of the two kernels, scores and choice (assumed: as for other short kernels)."""
MATRIX_SHARE = 0.5
"""Share of the matrix peak that scores reach (assumed: one short product, then a reduction over heads)."""
PREFILL_SHARE = 0.65
"""Share of the 16-bit matrix peak of sparse prefill: 640 TFLOP/s on H800, 1450 on B200 (FlashMLA's README, 2025)."""
LEAST_HEADS = 64
"""Heads that its tiles hold: runtimes pad what a rank has less (from memory)."""
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


def sparse_prefill_s(op: SparseLatent, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of latent attention of a prompt to chosen rows; not measured here.

    ``t = launch + max(2*pairs*(2*rank + rope)*max(H, 64)/(0.65*peak), bytes/(0.8*BW))``, absorbed over the chosen rows;
    a prompt that is no longer than what is chosen may run plainly, ``2*pairs*dense_width*H``. Source of the rate:
    :data:`PREFILL_SHARE`.
    Omits: that rows are gathered anew for every query, which the rate holds.
    """
    chosen = op.pairs() * op.chosen_width() * maximum(op.heads, LEAST_HEADS)
    plain = minimum(chosen, op.every_pair() * op.dense_width * op.heads)
    return _prefill_s(op, 2.0 * where(op.kv_tokens <= op.window, plain, chosen), chip)


def _prefill_s(op: SparseLatent | CompressedCore, flops: Number, chip: ChipFacts) -> Number:
    rate = PREFILL_SHARE * mla_prefill.sixteen_bit_peak(chip, op.dtype)
    memory = op.counts().total_bytes() / (MEMORY_SHARE * chip.memory_bandwidth_bytes_per_s)
    return LAUNCH_S + maximum(flops / rate, memory)


def sparse_decode_s(op: SparseLatent, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of latent attention to chosen rows: each query is a sequence of its own choice.

    The time of :func:`mla_decode.expected_s` with ``B*q`` sequences of the mean number of chosen rows. Not measured.
    """
    queries = op.batch * op.q_tokens
    like = MlaDecode(
        queries, 1, op.pairs() / queries, op.heads, op.kv_lora_rank, op.rope_dim, op.dtype, op.cache
    )  # fmt: skip
    return mla_decode.expected_s(like, chip, c, warm)


def compressed_prefill_s(op: CompressedCore, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of a prompt's attention to a window and compressed entries.

    As :func:`sparse_prefill_s`, of ``4*pairs*head_dim*max(H, 64)`` flops.
    """
    return _prefill_s(op, 4.0 * op.pairs() * op.head_dim * maximum(op.heads, LEAST_HEADS), chip)


def compressed_decode_s(op: CompressedCore, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the expected seconds of attention to a window and compressed entries, as :func:`sparse_decode_s`."""
    queries = op.batch * op.q_tokens
    like = MlaDecode(queries, 1, op.pairs() / queries, op.heads, op.head_dim, 0.0, op.dtype, op.cache)
    return mla_decode.expected_s(like, chip, c, warm)
