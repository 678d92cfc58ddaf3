"""Time of the fused expert operator on a GPU: route, permute, two grouped GEMMs, activation, finalise.

======================  ========  ==========================================================================
coefficient             unit      meaning
======================  ========  ==========================================================================
launch_us               us        the operator's chain of kernels on no work at all, inside a CUDA graph
host_us                 us        what the host adds when it launches the kernels one by one (timing ``wall``)
matmul_efficiency       1         attainable share of the matrix peak with 128-row tiles
small_tile_loss         1         extra time of a tile per halving of its rows: ``1 + loss*(128/rows - 1)``
tail_waves              waves     the last, part-filled wave of blocks
k_step_ns               ns        least time of 64 elements of k of one block: load latency, dequantisation
memory_efficiency       1         attainable share of the memory bandwidth for expert weights
cache_share             1         share of one cache partition that keeps weights between repetitions
fabric_bytes_per_clock  bytes     what one core pulls from the last-level cache in a clock
hidden_passes           passes    16-bit passes over (local rows x hidden): permute, read, write, finalise
width_passes            passes    16-bit passes over (local rows x intermediate): activation, quantisation
global_passes           passes    passes over (all tokens x topk x hidden): kernels that skip no remote rows
expert_ns               ns        bookkeeping per local expert: sort, offsets, padding
route_ps                ps        top-k selection per (token, expert)
token_ns                ns        sorting and scattering per token of the EP group
======================  ========  ==========================================================================
"""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.numeric import Number, best_of, ceil, maximum, smooth_maximum, total
from perfmodel.ops.moe import Experts
from perfmodel.ops.routing import BALANCED, RankLoad

_TILE_ROWS = ((16.0,), (64.0,), (128.0,))
_TILE_COLUMNS = 128.0
_K_STEP = 64.0
_REFERENCE_CLOCK_HZ = 1.8e9


def expected_s(op: Experts, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the time of a layer's routed experts on the most loaded rank, in seconds.

    ``t = launch + (gemms^2 + weights^2)^(1/2) + passes over the rows + bookkeeping``, where ``gemms`` is the least over
    tiles of 16 to 128 rows of the block waves of both grouped GEMMs, with rows padded expert by expert, and ``weights``
    is the read of the distinct experts touched. Rows and experts come from :func:`perfmodel.ops.routing.rank_load`.

    Shapes and units: as in :class:`perfmodel.ops.moe.Experts`; rates of ``chip`` in SI. With ``warm``, weights that fit
    in the last-level cache are still there from the last repetition; otherwise they come from main memory.
    Source: fitted on measured kernels, see ``hardware_specs/calibration/moe.yaml``.
    Omits: tables of tuned tiles by expert shape (a factor of two between neighbouring shapes in Triton kernels), the
    router's GEMM, shared experts and communication.
    """
    load = op.rank_load()
    width = op.intermediate / op.tp
    gemms = _grouped_gemms_s(op, load, width, chip, c)
    weights = _weights_s(op, load, width, chip, c, warm)
    launch = (c["launch_us"] * _slowness(chip) + c["host_us"]) * 1e-6
    return launch + smooth_maximum(gemms, weights, 2) + _around_s(op, load, width, chip, c)


def _slowness(chip: ChipFacts) -> Number:
    """Return the factor on latencies, which are so many clocks, of a chip against one at the reference clock."""
    return _REFERENCE_CLOCK_HZ / chip.clock_hz


def _grouped_gemms_s(op: Experts, load: RankLoad, width: Number, chip: ChipFacts, c: Coefficients) -> Number:
    """Return the matrix time of the up (and gate) and the down projection, a block at a time on each core."""
    cores = chip.core_count
    rate = c["matmul_efficiency"] * chip.peak_flops_per_s(op.format.compute) / cores
    up_blocks = (op.matrices - 1.0) * width / _TILE_COLUMNS / cores
    down_blocks = op.hidden / _TILE_COLUMNS / cores
    least = c["k_step_ns"] * 1e-9 / _K_STEP * _slowness(chip)
    tail, loss = c["tail_waves"], c["small_tile_loss"]
    per_row = 2.0 * _TILE_COLUMNS / rate

    def time_s(rows: float) -> Number:
        tiles = _row_tiles(op, load, rows)
        own = chip.rows_of_tile(load.assignments, tiles, rows)
        block = maximum(per_row * own * (1.0 + loss * (128.0 / rows - 1.0)), least)
        up = maximum(tiles * up_blocks + tail, 1.0) * op.hidden
        down = maximum(tiles * down_blocks + tail, 1.0) * width
        return block * (up + down)

    return best_of(_TILE_ROWS, time_s, load.assignments, width, cores, per_row, least, tail)


def _row_tiles(op: Experts, load: RankLoad, rows: float) -> Number:
    """Return the tiles of ``rows`` rows over all experts; an uneven load fills its last tile by half on average."""
    if op.routing.kind == BALANCED:
        return total([used * ceil(each / rows) for used, each in load.groups])
    return total([used * _uneven_tiles(each / rows + 0.5) for used, each in load.groups])


def _uneven_tiles(middle: Number) -> Number:
    """Return ``x + 1/2`` tiles for x tiles of rows, and one for few rows, without a corner: ``middle = x + 1/2``."""
    return middle + 0.25 / middle


def _weights_s(op: Experts, load: RankLoad, width: Number, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    """Return the time to read the touched experts' weights, once each."""
    moved = load.touched * op.matrices * op.hidden * width * op.format.weight.bytes_per_element
    bandwidth = c["memory_efficiency"] * chip.memory_bandwidth_bytes_per_s
    if not warm:
        return moved / bandwidth
    cold = maximum(moved - c["cache_share"] * chip.llc_bytes / chip.llc_partitions, 0.0)
    fabric = c["fabric_bytes_per_clock"] * chip.core_count * chip.clock_hz
    return cold / bandwidth + (moved - cold) / maximum(fabric, bandwidth)


def _around_s(op: Experts, load: RankLoad, width: Number, chip: ChipFacts, c: Coefficients) -> Number:
    """Return the time of everything but the two GEMMs: routing, permutation, activation, finalisation."""
    local = load.assignments * (c["hidden_passes"] * op.hidden + c["width_passes"] * width)
    everywhere = 0.0 if op.dispatched else op.tokens * op.topk * op.hidden * c["global_passes"]
    # routing is done before a dispatch, each device for its own tokens; what arrives is sorted over the local experts
    choices = load.local if op.dispatched else op.experts
    sorting = op.tokens_at_hand() * (c["route_ps"] * 1e-3 * choices + c["token_ns"])
    bookkeeping = c["expert_ns"] * load.local + sorting
    return 2.0 * (local + everywhere) / chip.memory_bandwidth_bytes_per_s + bookkeeping * 1e-9 * _slowness(chip)
