"""Fits :mod:`perfmodel.cost.gpu.moe`: ``python -m perfmodel.fitting.moe --data DIR_OR_CSV [--out FILE]``.

The logarithm of a coefficient is a sum: a value shared by all, plus offsets by backend, by dtype, by both, by
architecture and by all three. Each offset is pulled to zero with the width in ``_OFFSETS``, so what is not measured
stays at its family's value. Rows of every architecture weigh the same in total.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.cost.gpu import moe as form
from perfmodel.devices import load_device
from perfmodel.fitting.ablation import Terms, ablation_table, print_ablation, print_coefficients
from perfmodel.fitting.bands import has_sibling, print_coverage, sibling_bands
from perfmodel.fitting.common import error_table, shape_split, write_calibration
from perfmodel.formats import Encoding, Format, runnable_format
from perfmodel.ops.moe import Experts
from perfmodel.ops.routing import RankLoad, parse_routing

SHAPE = ("tokens", "hidden", "intermediate", "topk", "experts", "tp", "ep", "distribution", "gated")
_NUMBERS = SHAPE[:7]

START = {
    "launch_us": 20.0, "matmul_efficiency": 0.6, "small_tile_loss": 0.05, "tail_waves": 0.9, "k_step_ns": 90.0,
    "memory_efficiency": 0.72, "cache_share": 0.4, "fabric_bytes_per_clock": 12.0, "hidden_passes": 3.5,
    "width_passes": 3.0, "global_passes": 0.5, "expert_ns": 24.0, "route_ps": 2.0, "token_ns": 4.0,
}  # fmt: skip
_MAIN = ("launch_us", "matmul_efficiency", "memory_efficiency", "hidden_passes")
_MORE = ("k_step_ns", "small_tile_loss", "global_passes", "expert_ns", "token_ns", "tail_waves", "width_passes")
_OFFSETS: tuple[tuple[tuple[str, ...], tuple[str, ...], float], ...] = (
    (("backend",), (*_MAIN, "expert_ns", "token_ns", "global_passes"), 0.2),
    (("dtype",), (*_MAIN, "k_step_ns"), 0.2),
    (("backend", "dtype"), (*_MAIN, "k_step_ns", "global_passes"), 0.2),
    (("architecture",), ("launch_us", "matmul_efficiency", "memory_efficiency", "k_step_ns"), 0.2),
    (("backend", "dtype", "architecture"), (*_MAIN, *_MORE), 0.7),
)
_BASE_WIDTH = 0.5
_RESIDUAL_WIDTH = 0.15
_HOST_US = 40.0

TERMS: Terms = {
    "launch floor": {"launch_us": 1e-3},
    "least time of a step along k": {"k_step_ns": 1e-6},
    "small tiles are less efficient": {"small_tile_loss": 1e-6},
    "part-filled last wave": {"tail_waves": 1e-6},
    "weights that stay in the cache": {"cache_share": 1e-6},
    "passes over the rows": {"hidden_passes": 1e-6, "width_passes": 1e-6},
    "kernels that skip no remote rows": {"global_passes": 1e-6},
    "bookkeeping of experts": {"expert_ns": 1e-6},
    "routing and sorting of tokens": {"route_ps": 1e-6, "token_ns": 1e-6},
}
"""Physical terms, and where their coefficients switch them off."""


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


@dataclass(frozen=True)
class Offset:
    """One coefficient's offset on the rows that have ``when``."""

    when: tuple[tuple[str, str], ...]
    coefficient: str
    width: float


@dataclass(frozen=True)
class Fitted:
    """The logarithms of the shared coefficients and of the offsets."""

    base: dict[str, float]
    offsets: list[tuple[Offset, float]]


def read_rows(path: Path) -> Any:
    """Return the measured rows of a CSV, or of ``moe.csv.gz`` in a folder."""
    import pandas as pd

    frame = pd.read_csv(path / "moe.csv.gz" if path.is_dir() else path, low_memory=False)
    frame["backend"] = frame["backend"].fillna("")
    architectures = {device: load_device(device).architecture for device in frame["device"].unique()}
    frame["architecture"] = [architectures[device] for device in frame["device"]]
    return frame


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


def offsets_of(frame: Any) -> list[Offset]:
    """Return every offset that the rows can tell something about."""
    found: list[Offset] = []
    for keys, coefficients, width in _OFFSETS:
        for values in sorted(set(zip(*(frame[key] for key in keys), strict=True))):
            when = tuple(zip(keys, values, strict=True))
            found += [Offset(when, coefficient, width) for coefficient in coefficients]
    return found


def _masks(frame: Any, offsets: Sequence[Offset]) -> list[Any]:
    import numpy as np

    known: dict[Any, Any] = {}
    for offset in offsets:
        if offset.when not in known:
            mask = np.ones(len(frame), dtype=bool)
            for name, value in offset.when:
                mask &= (frame[name] == value).to_numpy()
            known[offset.when] = np.flatnonzero(mask)
    return [known[offset.when] for offset in offsets]


def _times(blocks: Sequence[Block], logs: Mapping[str, Any], count: int) -> Any:
    import numpy as np

    c = {name: np.exp(value) for name, value in logs.items()}
    times = np.empty(count)
    for block in blocks:
        mine: Any = {name: value[block.rows] for name, value in c.items()} | {"host_us": 0.0}
        times[block.rows] = form.expected_s(block.op, block.chip, mine)
    return times


def predict(fitted: Fitted, frame: Any) -> Any:
    """Return the expected seconds of every row."""
    import numpy as np

    logs = {name: np.full(len(frame), value) for name, value in fitted.base.items()}
    masks = _masks(frame, [offset for offset, _ in fitted.offsets])
    for (offset, value), rows in zip(fitted.offsets, masks, strict=True):
        logs[offset.coefficient][rows] += value
    return _times(build_blocks(frame), logs, len(frame))


class _Problem:
    """Residuals and their Jacobian: an offset only moves its own rows, so offsets by the same keys share a step."""

    STEP = 1e-4

    def __init__(self, frame: Any, fixed: Mapping[str, float] | None = None) -> None:
        import numpy as np

        self.count = len(frame)
        self.fixed = {name: np.log(value) for name, value in (fixed or {}).items()}
        self.names = [name for name in START if name not in self.fixed]
        self.start = np.log([START[name] for name in self.names])
        self.offsets = [offset for offset in offsets_of(frame) if offset.coefficient not in self.fixed]
        self.masks = _masks(frame, self.offsets)
        self.widths = np.array([_BASE_WIDTH] * len(self.names) + [offset.width for offset in self.offsets])
        self.blocks = build_blocks(frame)
        self.measured = np.log(frame["latency_us"].to_numpy(float) * 1e-6)
        share = frame.groupby("architecture")["device"].transform("size").to_numpy(float)
        self.weight = (self.count / frame["architecture"].nunique() / share) ** 0.25
        self.groups: dict[Any, list[int]] = {}
        for i, offset in enumerate(self.offsets):
            self.groups.setdefault((tuple(n for n, _ in offset.when), offset.coefficient), []).append(i)

    def logs(self, p: Any) -> dict[str, Any]:
        import numpy as np

        base = {**self.fixed, **dict(zip(self.names, p, strict=False))}
        logs = {name: np.full(self.count, value) for name, value in base.items()}
        for offset, rows, value in zip(self.offsets, self.masks, p[len(self.names) :], strict=True):
            logs[offset.coefficient][rows] += value
        return logs

    def ratios(self, logs: Mapping[str, Any]) -> Any:
        import numpy as np

        return (np.log(_times(self.blocks, logs, self.count)) - self.measured) * self.weight

    def residuals(self, p: Any) -> Any:
        import numpy as np

        pulled = p - np.concatenate([self.start, np.zeros(len(self.offsets))])
        return np.concatenate([self.ratios(self.logs(p)), _RESIDUAL_WIDTH * pulled / self.widths])

    def jacobian(self, p: Any) -> Any:
        """A step of one coefficient's logarithm serves its shared value and all its offsets."""
        import numpy as np
        from scipy.sparse import coo_matrix

        logs = self.logs(p)
        here = self.ratios(logs)
        slopes = {name: (self.ratios({**logs, name: logs[name] + self.STEP}) - here) / self.STEP for name in self.names}
        everywhere = np.arange(self.count)
        places = [(slopes[name], everywhere) for name in self.names]
        places += [(slopes[offset.coefficient], rows) for offset, rows in zip(self.offsets, self.masks, strict=True)]
        values = [slope[rows] for slope, rows in places] + [_RESIDUAL_WIDTH / self.widths]
        row = [rows for _, rows in places] + [self.count + np.arange(len(places))]
        column = [np.full(len(rows), i) for i, (_, rows) in enumerate(places)] + [np.arange(len(places))]
        shape = (self.count + len(places), len(places))
        return coo_matrix((np.concatenate(values), (np.concatenate(row), np.concatenate(column))), shape).tocsr()


def fit(frame: Any, evaluations: int = 30, fixed: Mapping[str, float] | None = None) -> Fitted:
    """Return the coefficients that fit the rows: robust least squares on log ratios, offsets shrunk to zero.

    Coefficients in ``fixed`` have that value everywhere.
    """
    import numpy as np
    from scipy.optimize import least_squares

    problem = _Problem(frame.reset_index(drop=True), fixed)
    found = least_squares(
        problem.residuals,
        np.concatenate([problem.start, np.zeros(len(problem.offsets))]),
        jac=problem.jacobian,  # pyright: ignore[reportArgumentType]  (a callable; the stub knows only names)
        loss="soft_l1", f_scale=_RESIDUAL_WIDTH, x_scale="jac", tr_solver="lsmr",
        ftol=1e-4, xtol=1e-4, max_nfev=evaluations,
    )  # fmt: skip
    base = {**problem.fixed, **dict(zip(problem.names, found.x, strict=False))}
    return Fitted(base, list(zip(problem.offsets, found.x[len(problem.names) :], strict=True)))


def rules_of(fitted: Fitted, least: float = 0.01) -> list[dict[str, Any]]:
    """Return the fit as calibration rules: what is shared first, then scales from the general to the special."""
    import numpy as np

    shared = {"host_us": 0.0} | {name: float(np.exp(value)) for name, value in fitted.base.items()}
    scales: dict[Any, dict[str, float]] = {}
    for offset, value in fitted.offsets:
        if abs(value) >= least:
            scales.setdefault(offset.when, {})[offset.coefficient] = float(np.exp(value))
    rules: list[dict[str, Any]] = [{"when": {}, "set": shared}]
    rules.append(
        {"when": {"timing": "wall"}, "set": {"host_us": _HOST_US}, "note": "assumed: no expert row is so timed"}
    )
    return rules + [{"when": dict(when), "scale": scale} for when, scale in scales.items()]


def roofline(frame: Any) -> Any:
    """Return the datasheet's seconds: the larger of flops over peak and bytes over bandwidth."""
    import numpy as np

    times = np.empty(len(frame))
    for block in build_blocks(frame):
        counts = block.op.counts()
        chip = block.chip
        memory = counts.total_bytes() / chip.memory_bandwidth_bytes_per_s
        times[block.rows] = np.maximum(counts.filter_flops(engine="tensor").total_flops() / chip.peaks["any"], memory)
    return times


def left_out(frame: Any) -> Any:
    """Return the expected seconds of every row from a fit that never saw the row's device."""
    import numpy as np

    times = np.empty(len(frame))
    for device in frame["device"].unique():
        mine = (frame["device"] == device).to_numpy()
        times[mine] = predict(fit(frame[~mine]), frame[mine])
    return times


def _numbers(ratio: Any) -> dict[str, float]:
    import numpy as np

    off = 100 * np.abs(ratio - 1)
    return {"mape": float(off.mean()), "median": float(np.median(off))}


BAND_BY = (("backend", "dtype"),)


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, print the honest numbers and write the calibration; with ``--ablation`` print what each term buys."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("hardware_specs/calibration/moe.yaml"))
    parser.add_argument("--ablation", action="store_true", help="print what each physical term buys; write nothing")
    chosen = parser.parse_args(arguments)
    frame = read_rows(chosen.data)
    held = shape_split(frame, SHAPE)
    measured = frame["latency_us"].to_numpy(float) * 1e-6

    def ratio_without(neutral: Mapping[str, float]) -> Any:
        return predict(fit(frame[~held], 15, neutral), frame) / measured

    if chosen.ablation:
        print_ablation(ablation_table(frame, held, ratio_without, TERMS, "device"), "moe")
        return
    fitted = predict(fit(frame[~held]), frame) / measured
    left = left_out(frame) / measured
    errors = _errors(frame, held, fitted, left)
    sibling = has_sibling(frame, ("backend", "dtype"))
    print_coverage(frame, held, fitted, left, BAND_BY, sibling)
    rules = rules_of(fit(frame))
    print_coefficients("moe", [rule.get("scale", {}) for rule in rules], len(START))
    bands = sibling_bands(frame, held, fitted, left, BAND_BY, sibling)
    write_calibration(chosen.out, _document(frame, rules, errors, bands))


def _errors(frame: Any, held: Any, fitted: Any, left: Any) -> dict[str, Any]:
    """Print the tables of errors and return the overall numbers."""
    ideal = roofline(frame) / (frame["latency_us"].to_numpy(float) * 1e-6)
    ratios = {
        "fit": (frame[~held], fitted[~held]),
        "held_out": (frame[held], fitted[held]),
        "left_out_device": (frame, left),
        "roofline": (frame, ideal),
    }
    for name, (rows, ratio) in ratios.items():
        print(name)
        for by in (["device"], ["dtype"], ["backend"]):
            print(error_table(rows, ratio, by).to_string())
    errors: dict[str, Any] = {name: _numbers(ratio) for name, (_, ratio) in ratios.items()}
    for device in sorted(frame["device"].unique()):
        errors["left_out_device"][str(device)] = _numbers(left[(frame["device"] == device).to_numpy()])["mape"]
    return errors


def _document(
    frame: Any, rules: list[dict[str, Any]], errors: dict[str, Any], bands: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "schema": "calibration/1",
        "operator": "moe",
        "form": "grouped-tiles/1",
        "data": ["ai-dynamo/aiconfigurator performance tables, commit 095f58a5, Apache-2.0"],
        "date": "2026-11-21",
        "split": "30 % of shapes held out by a hash of the shape without device, backend and dtype; rules use all rows",
        "measured_devices": sorted(str(d) for d in frame["device"].unique()),
        "errors": errors,
        "rules": rules,
        "bands": bands,
    }


if __name__ == "__main__":
    main()
