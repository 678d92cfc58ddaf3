"""Measured rows of fused experts as operators and chips in arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu import moe as form
from perfmodel.devices import load_device
from perfmodel.formats import Encoding, Format, runnable_format
from perfmodel.ops.moe import Experts
from perfmodel.ops.routing import RankLoad, parse_routing

SHAPE = ("tokens", "hidden", "intermediate", "topk", "experts", "tp", "ep", "distribution", "gated")
_NUMBERS = SHAPE[:7]


class _LoadedExperts(Experts):
    """Experts whose load was worked out before the fit, which never changes it."""

    def rank_load(self) -> RankLoad:
        return self.__dict__["load"]


@dataclass(frozen=True)
class Block:
    """Rows that share their static fields: where they stand, the operators and the chips, as arrays."""

    rows: Any
    op: Experts
    chip: ChipFacts


def build_blocks(frame: Any) -> list[Block]:
    """Return the rows as operators and chips in arrays, by their static fields.

    Formats and peaks are arrays too: one stand-in dtype takes the place of all, so that few blocks cover all rows.
    """
    import numpy as np

    work = frame.reset_index(drop=True)
    chips = {name: chip_facts(load_device(name)) for name in work["device"].unique()}
    pairs = list(zip(work["device"], work["dtype"], strict=True))
    formats = {(v, t): runnable_format(t, frozenset(chips[v].peaks)) for v, t in set(pairs)}
    blocks: list[Block] = []
    for (distribution, gated), part in work.groupby(["distribution", "gated"]):
        rows = part.index.to_numpy()
        mine = [(chips[pairs[i][0]], formats[pairs[i]]) for i in rows]

        def column(of: Callable[[ChipFacts, Format], Any], mine: Any = mine) -> Any:
            return np.array([of(chip, f) for chip, f in mine], dtype=float)

        numbers = {name: part[name].to_numpy(float) for name in _NUMBERS}
        weight = Encoding("any", column(lambda _, f: 8 * f.weight.bytes_per_element))
        fmt = Format("any", weight, weight, "any")
        op = _LoadedExperts(**numbers, format=fmt, routing=parse_routing(str(distribution)), gated=bool(gated))
        op.__dict__["load"] = Experts.rank_load(op)
        chip = ChipFacts(
            "any", "", "gpu", "", column(lambda v, _: v.core_count), column(lambda v, _: v.clock_hz), 0.0,
            column(lambda v, _: v.memory_bandwidth_bytes_per_s), column(lambda v, _: v.llc_bytes),
            column(lambda v, _: v.llc_partitions),
            {"any": column(lambda v, f: v.peaks[f.compute]), "bfloat16": column(_sixteen_bit_peak)}, 0.0,
        )  # fmt: skip
        blocks.append(Block(rows, op, chip))
    return blocks


def _sixteen_bit_peak(chip: ChipFacts, _: Format) -> Any:
    return chip.peaks.get("bfloat16", chip.peaks.get("float16", 0.0))


def times_of(blocks: Sequence[Block], logs: Mapping[str, Any], count: int) -> Any:
    """Return the expected seconds of every row; ``logs`` are the logarithms of the coefficients, a value a row."""
    import numpy as np

    c = {name: np.exp(value) for name, value in logs.items()}
    times = np.empty(count)
    for block in blocks:
        mine: Any = {name: value[block.rows] for name, value in c.items()} | {"host_us": 0.0}
        times[block.rows] = form.expected_s(block.op, block.chip, mine)
    return times


def roofline_s(frame: Any) -> Any:
    """Return the datasheet's seconds: the larger of flops over peak and bytes over bandwidth."""
    import numpy as np

    times = np.empty(len(frame))
    for block in build_blocks(frame):
        counts = block.op.counts()
        chip = block.chip
        memory = counts.total_bytes() / chip.memory_bandwidth_bytes_per_s
        times[block.rows] = np.maximum(counts.filter_flops(engine="tensor").total_flops() / chip.peaks["any"], memory)
    return times
