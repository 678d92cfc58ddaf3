"""Time of a linear layer (GEMM) on a GPU: tiles in waves against memory and cache, split-K, quantisation, launch.

Coefficients (``hardware_specs/calibration/gemm.yaml``):

====================== ==========================================================================================
launch_us              start and drain of the kernels at a clock of 1.8 GHz; it goes with 1/clock
math_efficiency        share of the datasheet peak that one core's inner loop reaches
step_clocks            latency of a step of 1 along k (16-bit operands) that a tile cannot hide, in clocks
prologue_k             length along k (16-bit operands) that filling the pipeline and writing the tile is worth
memory_efficiency      share of the datasheet bandwidth of main memory
fabric_bytes_per_clock bytes a clock that one core draws from the last-level cache
cache_share            usable share of the last-level cache (of one partition, where it has two)
weight_copies          how many copies of the weights a benchmark loop cycles through
split_us               extra cost of split-K: the second pass or the semaphores
throttle, heat_ms      slow-down at the power limit, and how long a kernel must run to reach it
tflops_per_w           16-bit peak over the board's power beyond which the clock falls, with the root of the excess
quantise_us            launch of the kernels that quantise the activations
quantise_passes        memory passes of that quantisation over its input and output
quantise_row_ns        cost of each row (a thread block a row) in that quantisation
single_row_us          extra cost of the path that one row takes
unaligned_rows_us      block scales: padding when m is not a multiple of 4
unaligned_block_us     block scales: fallback when k is not a multiple of 128
host_us                time that the host needs to issue the call (wall-clock timing only)
====================== ==========================================================================================
"""

from __future__ import annotations

from collections.abc import Mapping

from perfmodel.cost.facts import ChipFacts
from perfmodel.formats import Format
from perfmodel.numeric import Number, best_of, ceil, floor, maximum, minimum, smooth_maximum, sqrt, where
from perfmodel.ops.linear import Linear

Coefficients = Mapping[str, Number]

WHOLE_TILES = ((256, 128), (128, 128), (64, 128), (64, 64), (64, 32), (16, 64))
SPLIT_TILES = ((128, 128), (64, 64), (32, 32), (16, 64))
REFERENCE_CLOCK_HZ = 1.8e9


def expected_s(op: Linear, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the seconds that a good library takes for ``y[m,n] = x[m,k] W[k,n]``, quantisation of x included.

    ``t = launch + body*(1 + throttle*body/(body + heat)) + quantisation``, where ``body`` is the least over tiles of

    - whole k: ``sqrt(core^2 + flow^2)``,  ``core = ceil(ceil(m/bm)*ceil(n/bn)/cores) * (k + prologue) * step``
    - split k by s: the same with ``k/s`` and ``s`` times the tiles, plus ``split_us`` and the partial sums' traffic

    ``step = sqrt((2*bm*bn*cores/(math_efficiency*peak))^2 + latency^2)`` is the time of one k on one core and
    ``flow = max(bytes from main memory / bandwidth, all bytes / fabric)``.

    Shapes: m tokens, n outputs, k inputs. ``warm``: operands that fit the last-level cache are still there from the
    previous repetition (as benchmarks are); otherwise the weights come from main memory. Seconds; SI throughout.
    Source: fitted on measured kernels, see hardware_specs/calibration/gemm.yaml.
    Omits: bias and epilogue fusion, which library kernel is really picked, clocks above or below the datasheet's.
    """
    f = op.format
    m, n, k = op.m, op.n, op.k
    weights = n * k * f.weight.bytes_per_element
    others = m * k * f.activation.bytes_per_element + m * n * op.output_bytes
    flow = _flow_s(weights, others, chip, c, warm)
    body = _body_s(op, chip, c, flow)
    body = body * (1.0 + c["throttle"] * body / (body + c["heat_ms"] * 1e-3))
    time = c["launch_us"] * 1e-6 * (REFERENCE_CLOCK_HZ / chip.clock_hz) + body
    if op.quantises_input and f.quantises_activations:
        time = time + _quantise_s(m, k, f, chip, c)
    if f.name == "fp8_block":
        ragged_rows = where(floor(m / 4) * 4 < m, 1.0, 0.0)
        ragged_blocks = where(floor(k / 128) * 128 < k, 1.0, 0.0)
        time = time + (c["unaligned_rows_us"] * ragged_rows + c["unaligned_block_us"] * ragged_blocks) * 1e-6
    return smooth_maximum(time, c["host_us"] * 1e-6, 4)


def _flow_s(weights: Number, others: Number, chip: ChipFacts, c: Coefficients, warm: bool) -> Number:
    """Return the time to move the operands: what misses the last-level cache from memory, everything over the fabric.

    A loop over a footprint of x times the usable cache misses ``clip(x - 1, 0, 1)`` of it. The fabric is at least as
    fast as the memory behind it.
    """
    usable = c["cache_share"] * chip.llc_bytes / chip.llc_partitions + 1.0
    missed = others * _missed(others / usable)
    cold = missed + (weights * _missed((c["weight_copies"] * weights + others) / usable) if warm else weights)
    memory_rate = c["memory_efficiency"] * chip.memory_bandwidth_bytes_per_s
    cache_rate = maximum(_fabric_bytes_per_s(chip, c), memory_rate)
    return maximum(cold / memory_rate, (weights + others) / cache_rate)


def _missed(fill: Number) -> Number:
    return minimum(1.0, maximum(0.0, fill - 1.0))


def _fabric_bytes_per_s(chip: ChipFacts, c: Coefficients) -> Number:
    return c["fabric_bytes_per_clock"] * chip.clock_hz * chip.core_count


def _body_s(op: Linear, chip: ChipFacts, c: Coefficients, flow: Number) -> Number:
    """Return the time of the matrix product itself: the best tile, with k whole or split over idle cores."""
    m, n, k, cores = op.m, op.n, op.k, chip.core_count
    width = op.format.activation.bytes_per_element / 2.0  # of an operand against 16 bits
    square_s = 2.0 * cores / (c["math_efficiency"] * clock_held(chip, c) * chip.peak_flops_per_s(op.format.compute))
    unhidden = 1.0 if _has_matrix_units(chip) else where(chip.lanes > 0.5, 0.0, 1.0)
    latency2 = unhidden * (c["step_clocks"] * width / chip.clock_hz) ** 2
    prologue = c["prologue_k"] / width
    most_splits = maximum(1.0, k * width / 128.0)
    partial = 4.0 * m * n / _fabric_bytes_per_s(chip, c)
    flow2 = flow * flow

    def whole2(bm: float, bn: float) -> Number:
        down = ceil(m / bm)
        steps = ceil(down * ceil(n / bn) / cores) * (k + prologue)
        square = chip.rows_of_tile(m, down, bm) * bn * square_s
        return steps * steps * (square * square + latency2)

    def split(bm: float, bn: float) -> Number:
        down = ceil(m / bm)
        share = down * ceil(n / bn) / cores  # of the cores that whole tiles keep busy
        rounds = maximum(1.0, share)
        parts = minimum(rounds / share, most_splits)
        steps = rounds * (k / parts + prologue)
        square = chip.rows_of_tile(m, down, bm) * bn * square_s
        return sqrt(steps * steps * (square * square + latency2) + flow2) + parts * partial

    numbers = (m, n, k, cores, chip.clock_hz, square_s, latency2, prologue, flow2, partial, chip.lanes)
    whole_s = sqrt(best_of(WHOLE_TILES, whole2, *numbers) + flow2)
    return minimum(whole_s, best_of(SPLIT_TILES, split, *numbers) + c["split_us"] * 1e-6)


def _has_matrix_units(chip: ChipFacts) -> bool:
    """Say whether products surely run in matrix units, whose latency a thin tile does not hide."""
    return isinstance(chip.lanes, float) and not chip.lanes


def clock_held(chip: ChipFacts, c: Coefficients) -> Number:
    """Return the share of the clock that the board's power holds: ``min(1, tflops_per_w*power/peak)^(1/2)``.

    Sources: MI300X and MI325X, the same chip at 750 and 1,000 W (51 and 60 % of the peak; mamf-finder, ml-engineering);
    the measured A100 PCIe and SXM. Rules set it by architecture to the most that a measured board had.
    """
    wide = [chip.peaks[dtype] for dtype in ("bfloat16", "float16") if dtype in chip.peaks]
    if chip.power_w is None or not wide:
        return 1.0
    return sqrt(minimum(1.0, 1e12 * c["tflops_per_w"] * chip.power_w / maximum(0.0, *wide)))


def _quantise_s(m: Number, k: Number, f: Format, chip: ChipFacts, c: Coefficients) -> Number:
    """Return the time to quantise ``x[m,k]`` on the fly: launch, rows, passes over 16-bit input and narrow output."""
    moved = m * k * (2.0 + f.activation.bytes_per_element)
    time = c["quantise_us"] * 1e-6 + m * (c["quantise_row_ns"] * 1e-9)
    time = time + c["quantise_passes"] * moved / chip.memory_bandwidth_bytes_per_s
    return time + where(m < 2, c["single_row_us"] * 1e-6, 0.0)
