"""Matrix-vector products inside memory: the commands that they take, and the seconds of the commands.

A roofline on the internal bandwidth is two to four times too fast: rows are opened, inputs are broadcast, results are
read out, and the memory refreshes. All units of a channel obey one command; every command reads one column a unit.
Source: Lee et al., ISCA 2021 (HBM2-PIM); Park et al., ASPLOS 2024 (AttAcc); Gu et al., ASPLOS 2025 (CENT on GDDR6-AiM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from perfmodel.numeric import Number, ceil, maximum, minimum, total


@dataclass(frozen=True)
class Timing:
    """Seconds of each command of a channel.

    ``mac_s``: one column in all units; ``row_s``: closing a row and opening the next, beyond a command's own time;
    ``input_s``: one column of inputs into the buffer, and ``turnaround_s`` from the last of them to the first product;
    ``output_s``: one result a unit out of it, ``gather_s`` more a group of results; ``refresh``: share of time that
    refresh takes; ``mode_s``: from plain memory to computing and back, once a kernel.
    """

    mac_s: Number
    row_s: Number = 0.0
    input_s: Number = 0.0
    turnaround_s: Number = 0.0
    output_s: Number = 0.0
    gather_s: Number = 0.0
    refresh: Number = 0.0
    mode_s: Number = 0.0


@dataclass(frozen=True)
class Array:
    """What computes in a memory, and in which order.

    ``channels`` take commands on their own; in each, ``units`` work on different outputs and ``split`` on different
    inputs of the same outputs. A command reads ``column_bytes`` a unit; a row has ``columns`` of them.
    ``held``: results that a unit keeps; ``buffered``: columns of inputs that its buffer keeps. ``outputs_first``: a
    group of results is finished before the next begins, and inputs are loaded again for each group (HBM2-PIM);
    otherwise every buffer of inputs passes all outputs, whose parts are read out and added outside (GDDR6-AiM).
    ``whole_tiles``: a fixed program runs all ``held x buffered`` products of a tile. ``own_rows``: the part of a row
    that an output does not fill stays empty, and each output opens its row.
    ``overlapped``: inputs and results have a data path of their own, and move while the units work.
    ``rows_ahead``: rows of other banks that are opened while one is read. ``shared``: vectors that use a column once
    read (1: no reuse over the batch). ``spread_keys``: the keys of an attention head lie in all channels.
    """

    timing: Timing
    channels: Number
    units: Number
    split: Number = 1.0
    column_bytes: Number = 32.0
    columns: Number = 32.0
    held: Number = 1.0
    buffered: Number = 32.0
    outputs_first: bool = False
    whole_tiles: bool = False
    own_rows: bool = False
    overlapped: bool = False
    rows_ahead: Number = 0.0
    shared: Number = 1.0
    spread_keys: bool = False

    @property
    def bytes_per_s(self) -> Number:
        """Return the internal bandwidth: what all units read while nothing but products runs."""
        return self.channels * self.units * self.split * self.column_bytes / self.timing.mac_s


class Commands(NamedTuple):
    """Commands of a channel for one vector."""

    macs: Number
    rows: Number
    inputs: Number
    loads: Number
    results: Number
    groups: Number


def gemv_commands(array: Array, outputs: Number, inputs: Number, element_bytes: Number, channels: Number) -> Commands:
    """Return the commands of one matrix-vector product of ``outputs x inputs`` over ``channels``.

    ``o = ceil(outputs/(channels*units))`` results a unit, ``c = ceil(inputs*element_bytes/(column_bytes*split))``
    columns a result; ``macs = o*c``, ``rows = ceil(macs/columns)`` (``own_rows``: ``o*ceil(c/columns)``), and with b
    buffered columns and h results held: results first ``ceil(o/h)*c`` inputs and o results; inputs first c inputs and
    ``o*ceil(c/b)`` results.
    """
    per_unit = ceil(outputs / (channels * array.units))
    steps = ceil(inputs * element_bytes / (array.column_bytes * array.split))
    loads, groups = ceil(steps / array.buffered), ceil(per_unit / array.held)
    if array.whole_tiles:
        per_unit, steps = groups * array.held, loads * array.buffered
    rows = per_unit * ceil(steps / array.columns) if array.own_rows else ceil(per_unit * steps / array.columns)
    if array.outputs_first:
        return Commands(per_unit * steps, rows, groups * steps, groups * loads, per_unit, groups)
    return Commands(per_unit * steps, rows, steps, loads, per_unit * loads, groups * loads)


def commands_s(array: Array, found: Commands) -> Number:
    """Return the seconds of a channel's commands, without the change of mode.

    ``(macs*t_mac + rows*t_row + inputs*t_in + loads*t_turn + results*t_out + groups*t_gather)/(1 - refresh)``; rows
    that can be opened ahead hide behind the products of others, and an own data path hides inputs and results.
    """
    t = array.timing
    hidden = array.rows_ahead * array.columns * t.mac_s
    products = found.macs * t.mac_s + found.rows * maximum(t.row_s - hidden, 0.0)
    moved = total(
        (found.inputs * t.input_s, found.loads * t.turnaround_s, found.results * t.output_s, found.groups * t.gather_s)
    )
    busy = maximum(products, moved) if array.overlapped else products + moved
    return busy / (1.0 - t.refresh)


def gemv_s(array: Array, outputs: Number, inputs: Number, vectors: Number, element_bytes: Number) -> Number:
    """Return the seconds of ``vectors`` products with one matrix: it passes the units ``ceil(vectors/shared)`` times.

    Omits: rows of the matrix that lie badly, traffic of the host at the same time, results that the host adds up.
    """
    once = commands_s(array, gemv_commands(array, outputs, inputs, element_bytes, array.channels))
    return array.timing.mode_s + once * ceil(vectors / array.shared)


def attention_s(
    array: Array, heads: Number, queries: Number, keys: Number, width: Number, element_bytes: Number
) -> Number:
    """Return the seconds of one new token's attention: scores over the keys, then the sum over the values.

    ``heads``: of keys and values, over all sequences; ``queries`` that share one. A head lies in one channel, so that
    ``ceil(heads/channels)`` follow one another, the values like the keys; with ``spread_keys`` the keys of each head
    lie in all channels, and the values, a result a channel's unit, in one. The softmax is the host's or hidden.
    """
    waves, passes = ceil(heads / array.channels), ceil(queries / array.shared)
    if not array.spread_keys:
        once = commands_s(array, gemv_commands(array, keys, width, element_bytes, 1.0))
        return array.timing.mode_s + 2.0 * waves * passes * once
    scores = commands_s(array, gemv_commands(array, keys, width, element_bytes, array.channels))
    values = commands_s(array, gemv_commands(array, width, keys, element_bytes, 1.0))
    return array.timing.mode_s + passes * (heads * scores + waves * values)


def least_s(array: Array, elements: Number, vectors: Number, element_bytes: Number) -> Number:
    """Return the least seconds: the matrix through all units at once, as often as vectors cannot share it."""
    return elements * element_bytes * maximum(vectors / array.shared, minimum(vectors, 1.0)) / array.bytes_per_s
