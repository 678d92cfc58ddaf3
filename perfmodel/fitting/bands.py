"""p10-p90 bands from residuals, for devices with and without a measured relative, and what such bands hold.

A class picks one of two ways: :class:`SiblingBands` or :class:`QuantileBands`. Both see the columns ``sibling``
(another device of the row's architecture was measured), ``device`` and those that the bands differ by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Rule = dict[str, Any]
Groups = Sequence[tuple[str, ...]]


class Bands(Protocol):
    """A way to draw bands."""

    def sibling(self, frame: Any) -> Any:
        """Return which rows are of a device that has a measured relative."""
        ...

    def rules(self, frame: Any, held: Any, fitted: Any, left_out: Any) -> list[Rule]:
        """Return band rules from expected/measured of held-out shapes and of devices left out."""
        ...


def has_sibling(frame: Any, columns: Sequence[str]) -> Any:
    """Return a bool array: another device of the row's architecture was measured in the same ``columns``."""
    keys = ["architecture", *columns]
    return (frame.fillna(dict.fromkeys(keys, "")).groupby(keys)["device"].transform("nunique") > 1).to_numpy()


@dataclass(frozen=True)
class SiblingBands:
    """Bands overall and for each value of each group of columns ``by`` that has ``least`` rows.

    ``measured: "true"`` from the held-out shapes; ``measured: "false"`` from the devices left out: those that were
    alone in their architecture stand for devices of an architecture that nobody measured, those with a sibling in the
    same ``sibling_by`` for devices of a measured one. A device that is left out errs to one side as a whole, and the
    next one may err to the other: its band is the same on both sides, and every device has the same say in it.
    """

    by: Groups = ()
    sibling_by: tuple[str, ...] = ()
    least: int = 40

    def sibling(self, frame: Any) -> Any:
        return has_sibling(frame, self.sibling_by)

    def rules(self, frame: Any, held: Any, fitted: Any, left_out: Any) -> list[Rule]:
        families = sorted(frame["architecture"].unique().tolist())
        near: Mapping[str, Any] = {"measured": "false", "architecture": families}
        sibling = frame["sibling"].to_numpy(bool)
        rules: list[Rule] = []
        for keys in [(), *self.by]:
            rules += _grouped(frame[~sibling], left_out[~sibling], keys, {"measured": "false"}, _both_sided, self.least)
            rules += _grouped(frame[sibling], left_out[sibling], keys, near, _both_sided, self.least)
        for keys in [(), *self.by]:
            rules += _grouped(frame[held], fitted[held], keys, {"measured": "true"}, _one_sided(0.1), self.least)
        return rules


@dataclass(frozen=True)
class QuantileBands:
    """Bands as quantiles of measured/expected, all rows first, then the groups ``by`` with ``least`` rows.

    ``families`` are architectures whose chips are alike enough that a relative's data narrow the band of a device
    that was not measured; its p10 and p90 are drawn at ``tail`` (further out than 10 % where few devices were left
    out, for the next errs in another direction than they), and its groups are those without ``device`` and
    ``architecture``. ``rename`` writes a rule in words that a device is looked up by.
    """

    by: Groups
    families: tuple[str, ...] = ()
    close: tuple[str, ...] = ()
    tail: float = 0.10
    least: int = 60
    rename: Callable[[Rule], Rule] = dict

    def sibling(self, frame: Any) -> Any:
        close = frame["architecture"].isin(self.close or self.families).to_numpy()
        return has_sibling(frame, ()) & close

    def rules(self, frame: Any, held: Any, fitted: Any, left_out: Any) -> list[Rule]:
        import numpy as np

        sibling = frame["sibling"].to_numpy(bool)
        other = ~sibling if (~sibling).any() else np.ones(len(frame), dtype=bool)
        general = [keys for keys in self.by if not {"device", "architecture"} & set(keys)]
        near: Mapping[str, Any] = {"measured": "false", "architecture": list(self.families)}
        parts: list[tuple[Any, Any, Groups, Mapping[str, Any], float]] = [
            (other, left_out, general, {"measured": "false"}, self.tail),
            (sibling, left_out, general, near, self.tail),
            (held, fitted, self.by, {"measured": "true"}, 0.1),
        ]
        rules: list[Rule] = []
        for rows, ratio, groups, when, tail in parts:
            for keys in [(), *groups] if rows.any() else []:
                least = self.least if keys else 1
                rules += _grouped(frame[rows], ratio[rows], keys, when, _one_sided(tail), least)
        return [self.rename(rule) for rule in rules]


def _grouped(frame: Any, ratio: Any, keys: tuple[str, ...], when: Mapping[str, Any], band: Any, least: int) -> Any:
    """Return the rules of the groups of rows that have enough of them."""
    import numpy as np

    part = frame.reset_index(drop=True)
    members: dict[Any, Any] = part.groupby(list(keys)).indices if keys else {(): np.arange(len(part))}
    rules: list[Rule] = []
    for values, rows in sorted(members.items()):
        if len(rows) >= least:
            names = zip(keys, values if isinstance(values, tuple) else (values,), strict=True)
            low, high = band(np.asarray(ratio)[rows], part["device"].to_numpy()[rows])
            rules.append({"when": {**when, **dict(names)}, "set": {"p10": low, "p90": high}})
    return rules


def _one_sided(tail: float) -> Callable[[Any, Any], tuple[float, float]]:
    """Return what draws p10 and p90 at ``tail`` and 1 - ``tail`` of measured/expected."""

    def band(ratio: Any, _: Any) -> tuple[float, float]:
        import numpy as np

        low, high = np.quantile(1.0 / ratio, [tail, 1.0 - tail])
        return min(float(low), 1.0), max(float(high), 1.0)

    return band


def _both_sided(ratio: Any, device: Any) -> tuple[float, float]:
    """Return a band that is as far below 1 as above: a quantile of ``|ln ratio|`` in which devices weigh the same.

    It is that of 80 % and, for what few devices cannot tell about the next one, 10 % over their number.
    """
    import numpy as np

    off = np.abs(np.log(ratio))
    _, place, count = np.unique(device, return_inverse=True, return_counts=True)
    order = np.argsort(off)
    share = np.cumsum((1.0 / count[place])[order]) / len(count)
    level = 0.8 + 0.1 / len(count)
    width = float(off[order][min(int(np.searchsorted(share, level)), len(off) - 1)])
    return float(np.exp(-width)), float(np.exp(width))


def bands_of_rows(rules: Sequence[Rule], frame: Any, measured: str) -> tuple[Any, Any]:
    """Return p10 and p90 of every row, by rules that are read in order."""
    import numpy as np

    low, high = np.full(len(frame), 0.7), np.full(len(frame), 1.5)
    for rule in rules:
        when = dict(rule["when"])
        if when.pop("measured", measured) != measured:
            continue
        applies = np.ones(len(frame), dtype=bool)
        for column, allowed in when.items():
            applies &= frame[column].isin(allowed if isinstance(allowed, list) else [allowed]).to_numpy()
        low[applies], high[applies] = rule["set"]["p10"], rule["set"]["p90"]
    return low, high


def judged_bands(bands: Bands, frame: Any, held: Any, fitted: Any, left_out: Any, half: Any) -> Any:
    """Return rows with ``inside`` and ``width`` (p90/p10) of bands that they had no part in, and which judging: ``of``.

    Held-out rows are judged by the bands of the other half of them (``half`` is a bool array by shape), devices by
    those of the other devices left out.
    """
    import pandas as pd

    parts: list[Any] = []
    for fold in (half, ~half):
        seen, judged = held & fold, held & ~fold
        if seen.any() and judged.any():
            rules = bands.rules(frame, seen, fitted, left_out)
            parts.append(_inside(frame[judged], fitted[judged], rules, "true").assign(of="held_out_shapes"))
    for device in sorted(frame["device"].unique()):
        own = (frame["device"] == device).to_numpy()
        if not own.all():
            rules = bands.rules(frame[~own], held[~own], fitted[~own], left_out[~own])
            of = frame[own]["sibling"].map({True: "left_out_with_sibling", False: "left_out_alone"})
            parts.append(_inside(frame[own], left_out[own], rules, "false").assign(of=of))
    return pd.concat(parts)


def _inside(frame: Any, ratio: Any, rules: Sequence[Rule], measured: str) -> Any:
    import numpy as np

    low, high = bands_of_rows(rules, frame, measured)
    actual = 1.0 / np.asarray(ratio)
    return frame[["device"]].assign(inside=(actual >= low) & (actual <= high), width=high / low)
