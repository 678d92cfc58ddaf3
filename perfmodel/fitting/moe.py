"""Fits :mod:`perfmodel.cost.gpu.moe`: ``python -m perfmodel.fitting.moe --data DIR_OR_CSV [--out FILE]``.

The logarithm of a coefficient is a sum: a value shared by all, plus offsets by backend, by dtype, by both, by
architecture and by all three. Each offset is pulled to zero with the width in ``_OFFSETS``, so what is not measured
stays at its family's value. Rows of every architecture weigh the same in total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from perfmodel.fitting.bands import Bands, SiblingBands
from perfmodel.fitting.command import run
from perfmodel.fitting.judging import Terms
from perfmodel.fitting.moe_rows import SHAPE, build_blocks, roofline_s, times_of

START = {
    "launch_us": 20.0, "matmul_efficiency": 0.6, "small_tile_loss": 0.05, "tail_waves": 0.9, "k_step_ns": 90.0,
    "memory_efficiency": 0.72, "cache_share": 0.4, "fabric_bytes_per_clock": 12.0, "hidden_passes": 3.5,
    "width_passes": 3.0, "global_passes": 0.5, "expert_ns": 24.0, "route_ps": 2.0, "token_ns": 4.0,
}  # fmt: skip
_MAIN = ("launch_us", "matmul_efficiency", "memory_efficiency", "hidden_passes")
_MORE = ("k_step_ns", "small_tile_loss", "global_passes", "expert_ns", "token_ns", "tail_waves", "width_passes")
Groups = tuple[tuple[tuple[str, ...], tuple[str, ...], float], ...]
"""Columns, the coefficients that may differ between the groups that they make, and how far (ln units)."""

_OFFSETS: Groups = (
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

    def ratio(self, frame: Any) -> Any:
        """Return expected/measured of every row."""
        import numpy as np

        logs = {name: np.full(len(frame), value) for name, value in self.base.items()}
        masks = _masks(frame, [offset for offset, _ in self.offsets])
        for (offset, value), rows in zip(self.offsets, masks, strict=True):
            logs[offset.coefficient][rows] += value
        times = times_of(build_blocks(frame), logs, len(frame))
        return times / (frame["latency_us"].to_numpy(float) * 1e-6)

    def rules(self, least: float = 0.01) -> list[dict[str, Any]]:
        """Return the fit as calibration rules: what is shared first, then scales from the general to the special."""
        import numpy as np

        shared = {"host_us": 0.0} | {name: float(np.exp(value)) for name, value in self.base.items()}
        scales: dict[Any, dict[str, float]] = {}
        for offset, value in self.offsets:
            if abs(value) >= least:
                scales.setdefault(offset.when, {})[offset.coefficient] = float(np.exp(value))
        rules: list[dict[str, Any]] = [{"when": {}, "set": shared}]
        rules.append(
            {"when": {"timing": "wall"}, "set": {"host_us": _HOST_US}, "note": "assumed: no expert row is so timed"}
        )
        return rules + [{"when": dict(when), "scale": scale} for when, scale in scales.items()]


def offsets_of(frame: Any, groups: Groups) -> list[Offset]:
    """Return every offset that the rows can tell something about."""
    found: list[Offset] = []
    for keys, coefficients, width in groups:
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


class _Problem:
    """Residuals and their Jacobian: an offset only moves its own rows, so offsets by the same keys share a step."""

    STEP = 1e-4

    def __init__(self, frame: Any, job: MoeFit) -> None:
        import numpy as np

        self.count = len(frame)
        self.fixed = {name: np.log(value) for name, value in job.fixed.items()}
        self.names = [name for name in START if name not in self.fixed]
        self.start = np.log([START[name] for name in self.names])
        self.offsets = [offset for offset in offsets_of(frame, job.groups) if offset.coefficient not in self.fixed]
        self.masks = _masks(frame, self.offsets)
        widths = np.array([_BASE_WIDTH] * len(self.names) + [offset.width for offset in self.offsets])
        self.pulls = _RESIDUAL_WIDTH * job.pull**0.5 / widths
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

        return (np.log(times_of(self.blocks, logs, self.count)) - self.measured) * self.weight

    def residuals(self, p: Any) -> Any:
        import numpy as np

        pulled = p - np.concatenate([self.start, np.zeros(len(self.offsets))])
        return np.concatenate([self.ratios(self.logs(p)), self.pulls * pulled])

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
        values = [slope[rows] for slope, rows in places] + [self.pulls]
        row = [rows for _, rows in places] + [self.count + np.arange(len(places))]
        column = [np.full(len(rows), i) for i, (_, rows) in enumerate(places)] + [np.arange(len(places))]
        shape = (self.count + len(places), len(places))
        return coo_matrix((np.concatenate(values), (np.concatenate(row), np.concatenate(column))), shape).tocsr()


@dataclass(frozen=True)
class MoeFit:
    """How the experts are fitted: robust least squares on log ratios, offsets shrunk to zero.

    Coefficients in ``fixed`` have that value everywhere; ``pull`` multiplies the weight of the priors.
    """

    operator: str = "moe"
    form: str = "grouped-tiles/1"
    data: tuple[str, ...] = ("ai-dynamo/aiconfigurator performance tables, commit 095f58a5, Apache-2.0",)
    shape: tuple[str, ...] = SHAPE
    group: str = "dtype"
    table_by: tuple[str, ...] = ("dtype", "device")
    terms: Terms = field(default_factory=lambda: TERMS)
    bands: Bands = SiblingBands((("backend", "dtype"),), ("backend", "dtype"))
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])
    stem: str = "moe"
    groups: Groups = _OFFSETS
    fixed: Mapping[str, float] = field(default_factory=dict[str, float])
    pull: float = 1.0
    evaluations: int = 30

    def prepare(self, frame: Any) -> Any:
        return frame

    def fit(self, frame: Any, near: Fitted | None = None) -> Fitted:
        """Return the fit, from the start whether or not one is known that is ``near``."""
        import numpy as np
        from scipy.optimize import least_squares

        problem = _Problem(frame.reset_index(drop=True), self)
        found = least_squares(
            problem.residuals,
            np.concatenate([problem.start, np.zeros(len(problem.offsets))]),
            jac=problem.jacobian,  # pyright: ignore[reportArgumentType]  (a callable; the stub knows only names)
            loss="soft_l1", f_scale=_RESIDUAL_WIDTH, x_scale="jac", tr_solver="lsmr",
            ftol=1e-4, xtol=1e-4, max_nfev=self.evaluations,
        )  # fmt: skip
        base = {**problem.fixed, **dict(zip(problem.names, found.x, strict=False))}
        return Fitted(base, list(zip(problem.offsets, found.x[len(problem.names) :], strict=True)))

    def unseen(self, frame: Any, held: Any, own: Any, near: Fitted) -> Fitted:
        """Refit on all rows of the other devices."""
        return self.fit(frame[~own])

    def roofline_s(self, frame: Any) -> Any:
        return roofline_s(frame)

    def without_term(self, neutral: Mapping[str, float]) -> MoeFit:
        return replace(self, fixed={**self.fixed, **neutral})

    def levels(self) -> list[tuple[str, ...]]:
        return [columns for columns, _, _ in self.groups]

    def without_level(self, columns: tuple[str, ...]) -> MoeFit:
        return replace(self, groups=tuple(group for group in self.groups if group[0] != columns))

    def thinned(self, weight: float) -> MoeFit:
        return replace(self, pull=1.0 / weight, evaluations=15)


FIT = MoeFit()

if __name__ == "__main__":
    run(FIT)
