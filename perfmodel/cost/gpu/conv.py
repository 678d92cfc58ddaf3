"""Time of convolutions and of products of activations on a GPU: implicit GEMM on matrix units, or plain arithmetic.

Coefficients (``hardware_specs/calibration/conv.yaml``):

===================== ===========================================================================================
launch_us             start and drain of a kernel at a clock of 1.8 GHz; it goes with 1/clock
math_efficiency       share of the datasheet peak that the matrix units reach on full tiles
vector_efficiency     share of the plain arithmetic's peak that a direct (depthwise) kernel reaches
memory_efficiency     share of the datasheet bandwidth of main memory
passes                bytes really moved over the least bytes (layout changes, tiles that overlap)
granule               channels of a group that matrix units work on at once: fewer are padded
===================== ===========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, ceil, minimum, smooth_maximum
from perfmodel.ops import BatchedMatmul
from perfmodel.ops.conv import Convolution

Coefficients = Mapping[str, Number]

REFERENCE_CLOCK_HZ = 1.8e9
TILE_ROWS, TILE_COLUMNS = 128.0, 64.0
"""The output tile of one core that waves are counted in."""


def expected_s(op: Convolution, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the seconds of a convolution: ``launch + smooth max(arithmetic, bytes*passes/bandwidth)``.

    ``arithmetic`` is the lesser of the implicit GEMM ``m = batch*outputs, n = out_per_group, k = in_per_group*taps`` of
    each group on the matrix units (n and the channels padded to ``granule``, tiles in waves over the cores) and the
    direct method on the vector units. Transposed convolutions take their inputs for outputs.

    Source: implicit GEMM, Chetlur et al. 2014; fitted on networks' times, see hardware_specs/calibration/conv.yaml.
    Omits: Winograd's and FFT's algorithms, split-k, which library kernel is really picked.
    """
    rows = op.multiplications() / op.weights
    flow = op.counts().total_bytes()
    vector = 2.0 * op.multiplications() / (c["vector_efficiency"] * chip.vector_flops_per_s)
    inner = padded(op.in_per_group, c["granule"]) * op.taps
    matrix = waves_s(rows, op.out_per_group, inner, op.groups, op.format.compute, chip, c)
    return assembled(minimum(matrix, vector), flow, chip, c)


def matmul_s(op: BatchedMatmul, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the seconds of a batched product of activations, as a convolution of as many groups."""
    dtype = op.dtype if op.dtype in chip.peaks else max(chip.peaks, key=lambda name: name in ("bfloat16", "float16"))
    matrix = waves_s(op.m, op.n, padded(op.k, c["granule"]), op.batch, dtype, chip, c)
    return assembled(matrix, op.counts().total_bytes(), chip, c)


def assembled(math_s: Number, moved: Number, chip: ChipFacts, c: Coefficients) -> Number:
    """Return the time of a kernel from its arithmetic and its least bytes: launch, and the smooth larger of the two."""
    memory = moved * c["passes"] / (c["memory_efficiency"] * chip.memory_bandwidth_bytes_per_s)
    launch = c["launch_us"] * 1e-6 * (REFERENCE_CLOCK_HZ / chip.clock_hz)
    return launch + smooth_maximum(math_s, memory, 2)


def padded(channels: Number, granule: Number) -> Number:
    """Return the channels that matrix units work on."""
    return ceil(channels / granule) * granule


def waves_s(
    rows: Number, columns: Number, inner: Number, groups: Number, dtype: str, chip: ChipFacts, c: Coefficients
) -> Number:
    """Return the time of ``groups`` products ``[rows, inner] x [inner, columns]`` in waves of tiles over the cores."""
    width = minimum(TILE_COLUMNS, padded(columns, c["granule"]))
    tiles = ceil(rows / TILE_ROWS) * ceil(columns / width) * groups
    waves = ceil(tiles / chip.core_count) * chip.core_count
    peak = c["math_efficiency"] * chip.peak_flops_per_s(dtype)
    return 2.0 * waves * TILE_ROWS * width * inner / peak
