"""Time of causal convolutions and scans on a GPU: launches, traffic, the work of the cores, the walk along a sequence.

Coefficients (``hardware_specs/calibration/recurrence.yaml``; by operator, backend and device where they differ):

====================== ==========================================================================================
launch_us              fixed device time of the kernels of one call at a clock of 1.8 GHz; it goes with 1/clock
token_us               latency of one more token of a sequence at that clock (within a tile or chunk)
memory_efficiency      attainable share of the datasheet bandwidth of main memory
fabric_bytes_per_clock bytes a clock that one core moves to and from the last-level cache
cache_share            usable share of the last-level cache (of one partition, where it has two)
conv_tile              tokens that one block of a convolution takes at once
conv_token_clk         clocks that a core needs for one token of one channel in such a block
conv_state_passes      bytes really moved over those of a convolution's state, whose rows are of few elements
conv_prefill_us        what the kernel for more than one token adds to ``launch_us``
scan_chunk             tokens of a chunk
scan_padding           share of a chunk's work that is done however few tokens it holds
scan_flops_per_clock   matrix flops a clock that one core attains in the products of chunks
scan_serial            share of that work in the kernel that hands the state from chunk to chunk
scan_walk_kclk         thousands of clocks for which a state is on its way through a chunk, if nothing else runs
scan_passes            crossings of memory of keys, queries, values and outputs of all heads
channel_launch         with a gate for each channel of a key (Kimi delta attention): factor on ``launch_us``,
channel_work           on the work,
channel_passes         on the crossings of memory and
channel_walk           on the walk
vector_efficiency      attainable share of the vector peak where each element of the state goes on its own
step_checkpoint        states that a step stores for each token after the first (verified drafts may be rejected)
====================== ==========================================================================================
"""

from __future__ import annotations

from perfmodel.calibration import Coefficients
from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.gpu.mla_prefill import sixteen_bit_peak
from perfmodel.numeric import Number, ceil, maximum, minimum, smooth_maximum, sqrt, where
from perfmodel.ops.recurrence import CausalConv, ScanDecode, ScanPrefill

REFERENCE_CLOCK_HZ = 1.8e9
REFERENCE_FLOPS_PER_CLOCK = 4096.0
"""16-bit matrix flops a clock of a core of the H100."""
CHANNEL_GATES = 8.0
"""More gates a head than this mean one for each channel of its key."""


def conv_s(op: CausalConv, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the seconds of a causal convolution of S sequences of T tokens over D channels, in one kernel.

    ``t = launch + token*(min(T, tile) - 1) + |S*D*ceil(T/tile)*tile*clk/(cores*clock), traffic|`` with
    ``|a, b| = sqrt(a^2 + b^2)``; a single token is an update of the state without the middle term and the blocks.
    ``warm``: repeated on the same operands, so that what fits the last-level cache is there; in a model step
    (``warm=False``) at least the state and the weights are fetched anew.

    SI units. Source: blocks as in the causal-conv1d package (Dao 2023), which takes a channel of a sequence a block;
    coefficients fitted on measured kernels. Omits: strided layouts, sequences of unequal length.
    """
    later = maximum(minimum(op.tokens, c["conv_tile"]) - 1.0, 0.0)
    start = c["launch_us"] + where(op.tokens > 1, c["conv_prefill_us"], 0.0) + later * c["token_us"]
    rounded = ceil(op.tokens / c["conv_tile"]) * c["conv_tile"]
    clocks = c["conv_token_clk"] * op.sequences * op.channels * where(op.tokens > 1, rounded, 0.0)
    counts = op.counts()
    state = counts.filter_bytes(role="state").total_bytes()
    more = (maximum(c["conv_state_passes"], 1.0) - 1.0) * state
    kept = state + more + counts.filter_bytes(role="weight").total_bytes()
    moved = counts.total_bytes() + more
    flow = _traffic_s(moved, counts.total_bytes() - 0.5 * state, kept, chip, c, warm)
    return _latency_s(start, chip) + smooth_maximum(clocks / (chip.core_count * chip.clock_hz), flow, 2)


def scan_prefill_s(op: ScanPrefill, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the seconds of a scan over T tokens of S sequences in chunks of C, all kernels of it together.

    ``t = launch + token*(min(T, C) - 1) + traffic + (1 - serial)*work + |serial*work, ceil(T/C)*walk/clock|``:
    most kernels take all chunks at once, one hands the state of S*H heads from chunk to chunk and waits for the longest
    sequence when they are few.
    ``work = S*H*(padding*ceil(T/C)*C + (1 - padding)*T)*flops / min(flops_per_clock*cores*clock, peak)`` with
    ``flops = 2*p*K*V + 2*C*(K + V)`` a token and head: p products with the state, and those of a chunk with itself.
    Traffic: ``passes`` times keys, queries, values and outputs of every head, the gates once, the state in and out.
    Rule "element" (no products) does its flops on the vector units.

    SI units; shapes as in :class:`ScanPrefill`. ``warm``: see :func:`conv_s`. Source: chunks as in Yang et al. 2024
    (parallelizing linear transformers with the delta rule), section 3; coefficients fitted on measured kernels of gated
    delta nets and Kimi delta attention. Omits: rounding of blocks to cores; rule "decay" was not measured and differs
    by its products only.
    """
    by_channel = op.gates > CHANNEL_GATES * op.heads
    chunk, padding = c["scan_chunk"], minimum(c["scan_padding"], 1.0)
    chunks = ceil(op.tokens / chunk)
    tokens = op.sequences * (padding * chunk * chunks + (1.0 - padding) * op.tokens)
    work = _work_s(op, tokens, chip, c) * where(by_channel, c["channel_work"], 1.0)
    walk = chunks * c["scan_walk_kclk"] * 1e3 / chip.clock_hz * where(by_channel, c["channel_walk"], 1.0)
    serial = minimum(c["scan_serial"], 1.0)

    counts = op.counts()
    state = counts.filter_bytes(role="state").total_bytes()
    operands = op.sequences * op.tokens * 4.0 * op.heads * (op.key_dim + op.value_dim)
    gates = op.sequences * op.tokens * op.gates * 2.0
    passes = c["scan_passes"] * where(by_channel, c["channel_passes"], 1.0)
    moved = maximum(passes * operands + gates + state, counts.total_bytes())
    flow = _traffic_s(moved, moved - 0.5 * state, state, chip, c, warm)

    start = c["launch_us"] * where(by_channel, c["channel_launch"], 1.0)
    start = start + maximum(minimum(op.tokens, chunk) - 1.0, 0.0) * c["token_us"]
    return _latency_s(start, chip) + flow + (1.0 - serial) * work + smooth_maximum(serial * work, walk, 2)


def scan_decode_s(op: ScanDecode, chip: ChipFacts, c: Coefficients, warm: bool = True) -> Number:
    """Return the seconds of one step of a scan, of T tokens a sequence (one, or several drafts to verify).

    ``t = launch + (T - 1)*token + traffic``; the traffic is operands, the state in and out, and ``step_checkpoint``
    more states for each token after the first. The state is updated in place: what the cache must hold is one copy.

    SI units; shapes as in :class:`ScanDecode`. ``warm``: see :func:`conv_s`. Source: fitted on measured kernels. Omits:
    the flops (a state's element is used for as many flops as it has bytes); fusion with convolution and norm.
    """
    counts = op.counts()
    state = counts.filter_bytes(role="state").total_bytes()
    later = maximum(op.tokens - 1.0, 0.0)
    stored = c["step_checkpoint"] * later * op.state_bytes()
    moved = counts.total_bytes() + stored
    flow = _traffic_s(moved, moved - 0.5 * state, state + stored, chip, c, warm)
    return _latency_s(c["launch_us"] + later * c["token_us"], chip) + flow


def _latency_s(microseconds: Number, chip: ChipFacts) -> Number:
    """Return the seconds of a latency given in microseconds at the reference clock."""
    return microseconds * 1e-6 * (REFERENCE_CLOCK_HZ / chip.clock_hz)


def _work_s(op: ScanPrefill, tokens: Number, chip: ChipFacts, c: Coefficients) -> Number:
    """Return the seconds that all cores together compute for ``tokens`` tokens of every head."""
    each = op.counts().total_flops if op.rule == "element" else op.counts().filter_flops(engine="tensor").total_flops
    own = each() / (op.sequences * op.tokens) * tokens
    if op.rule == "element":
        return own / (minimum(c["vector_efficiency"], 1.0) * chip.vector_flops_per_s)
    within = 2.0 * c["scan_chunk"] * tokens * op.heads * (op.key_dim + op.value_dim)
    peak, clocks = sixteen_bit_peak(chip, op.dtype), chip.core_count * chip.clock_hz
    half_matrix = sqrt(peak / clocks / REFERENCE_FLOPS_PER_CLOCK)
    return (own + within) / minimum(c["scan_flops_per_clock"] * half_matrix * clocks, peak)


def _traffic_s(
    moved: Number, footprint: Number, kept: Number, chip: ChipFacts, c: Coefficients, warm: bool
) -> Number:  # fmt: skip
    """Return the seconds of ``moved`` bytes that live in ``footprint`` bytes; ``kept`` (state, weights) starts cold.

    What exceeds the usable cache pushes out as much again, so that from twice its size on all comes from memory.
    """
    usable = c["cache_share"] * chip.llc_bytes / chip.llc_partitions + 1.0
    cold = moved * minimum(1.0, maximum(0.0, footprint / usable - 1.0))
    if not warm:
        cold = maximum(cold, kept)
    memory = cold / (minimum(c["memory_efficiency"], 1.0) * chip.memory_bandwidth_bytes_per_s)
    return maximum(memory, moved / (c["fabric_bytes_per_clock"] * chip.clock_hz * chip.core_count))
