"""Bands of devices with and without a measured relative, and how much of data that they were not made of they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Rule = dict[str, Any]
Groups = Sequence[tuple[str, ...]]


def has_sibling(frame: Any, columns: Sequence[str]) -> Any:
    """Return a bool array: another device of the row's architecture was measured in the same ``columns``."""
    keys = ["architecture", *columns]
    return (frame.fillna(dict.fromkeys(keys, "")).groupby(keys)["device"].transform("nunique") > 1).to_numpy()


def sibling_bands(
    frame: Any, held: Any, fitted: Any, left_out: Any, groups: Groups, sibling: Any, least: int = 40
) -> list[Rule]:
    """Return band rules: p10 and p90 of measured/expected, overall and for each value of each group of columns.

    ``measured: "true"`` from the held-out shapes; ``measured: "false"`` from the devices left out: those that were
    alone in their architecture stand for devices of an architecture that nobody measured, those with a sibling for
    devices of a measured one. A device that is left out errs to one side as a whole, and the next one may err to the
    other: its band is the same on both sides, and every device has the same say in it.
    """
    families = sorted(frame["architecture"].unique().tolist())
    rules: list[Rule] = []
    for keys in [(), *groups]:
        rules += _rules(frame[~sibling], left_out[~sibling], keys, {"measured": "false"}, least)
        near = {"measured": "false", "architecture": families}
        rules += _rules(frame[sibling], left_out[sibling], keys, near, least)
    for keys in [(), *groups]:
        rules += _rules(frame[held], fitted[held], keys, {"measured": "true"}, least)
    return rules


def _rules(frame: Any, ratio: Any, keys: tuple[str, ...], when: Mapping[str, Any], least: int) -> list[Rule]:
    import numpy as np

    part = frame.reset_index(drop=True)
    members = part.groupby(list(keys)).indices if keys else {(): np.arange(len(part))}
    rules: list[Rule] = []
    for values, rows in sorted(members.items()):
        if len(rows) >= least:
            names = zip(keys, values if len(keys) != 1 else (values,), strict=True)
            band = _one_sided if when["measured"] == "true" else _both_sided
            low, high = band(np.asarray(ratio)[rows], part["device"].to_numpy()[rows])
            rules.append({"when": {**when, **dict(names)}, "set": {"p10": low, "p90": high}})
    return rules


def _one_sided(ratio: Any, _: Any) -> tuple[float, float]:
    import numpy as np

    low, high = np.quantile(1.0 / ratio, [0.1, 0.9])
    return min(float(low), 1.0), max(float(high), 1.0)


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
        if when.pop("measured") != measured:
            continue
        applies = np.ones(len(frame), dtype=bool)
        for column, allowed in when.items():
            applies &= frame[column].isin(allowed if isinstance(allowed, list) else [allowed]).to_numpy()
        low[applies], high[applies] = rule["set"]["p10"], rule["set"]["p90"]
    return low, high


def print_coverage(
    frame: Any, held: Any, fitted: Any, left_out: Any, groups: Groups, sibling: Any, by: str = "device"
) -> None:
    """Print the share of rows inside bands that they had no part in, and the bands' median p90/p10, by ``by``.

    Held-out rows are judged by the bands of the other half of them, devices by those of the other devices left out.
    """
    import numpy as np
    import pandas as pd

    half = np.array([hash_of(row) % 2 == 0 for row in frame.index])
    parts: list[Any] = []
    for fold in (half, ~half):
        seen = held & fold
        rules = sibling_bands(frame, seen, fitted, left_out, groups, sibling)
        parts.append(_inside(frame[held & ~fold], fitted[held & ~fold], rules, "true").assign(of="held-out shapes"))
    for device in sorted(frame["device"].unique()):
        own = (frame["device"] == device).to_numpy()
        rules = sibling_bands(frame[~own], held[~own], fitted[~own], left_out[~own], groups, sibling[~own])
        parts.append(_inside(frame[own], left_out[own], rules, "false").assign(of="device left out"))
    rows = pd.concat(parts)
    tables = [rows.groupby(["of", by]), rows.assign(**{by: "all"}).groupby(["of", by])]
    summaries = [
        {"n": table.size(), "inside %": 100 * table["inside"].mean(), "p90/p10": table["width"].median()}
        for table in tables
    ]
    table = pd.concat([pd.DataFrame(summary) for summary in summaries])
    print(f"\n80 % bands, judged on rows that they were not made of\n{table.round(2).to_string()}", flush=True)


def hash_of(value: Any) -> int:
    """Return a number that looks random but is the same in every run."""
    import zlib

    return zlib.crc32(str(value).encode())


def _inside(frame: Any, ratio: Any, rules: Sequence[Rule], measured: str) -> Any:
    import numpy as np

    low, high = bands_of_rows(rules, frame, measured)
    actual = 1.0 / np.asarray(ratio)
    return frame.assign(inside=(actual >= low) & (actual <= high), width=high / low)
