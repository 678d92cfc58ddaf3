"""Helpers of every fit: measured rows and their devices' facts, the split by shape, the error table."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError

HELD_OUT_SHARE = 0.30


def shape_split(frame: Any, columns: Sequence[str]) -> Any:
    """Return a bool array, true for the 30 % of rows held out by a hash of the shape in ``columns``.

    The hash sees neither device, backend nor dtype, so a held-out shape is held out everywhere.
    """
    import numpy as np

    texts = frame[list(columns)].astype(str).agg("|".join, axis=1)
    held = {text: zlib.crc32(text.encode()) % 1000 < 1000 * HELD_OUT_SHARE for text in texts.unique()}
    return np.array([held[text] for text in texts], dtype=bool)


def error_table(frame: Any, ratio: Any, by: Sequence[str]) -> Any:
    """Return n, MAPE, median of ``|expected/measured - 1|`` and bias (in %) by the columns ``by`` and overall."""
    import numpy as np
    import pandas as pd

    work = frame[list(by)].fillna("").assign(off=100 * (np.asarray(ratio) - 1))

    def row(part: Any) -> Any:
        off = part["off"]
        return pd.Series({"n": len(off), "mape": off.abs().mean(), "median": off.abs().median(), "bias": off.median()})

    rows = {(key if isinstance(key, tuple) else (key,)): row(part) for key, part in work.groupby(list(by))}
    rows[("all", *[""] * (len(by) - 1))] = row(work)
    table = pd.DataFrame(rows).T.round(1)
    table.index.names = list(by)
    return table


def device_facts(name: str) -> dict[str, Any]:
    """Return the library's facts of a device as a plain mapping."""
    from dataclasses import asdict

    from perfmodel.cost.facts import chip_facts
    from perfmodel.devices import load_device

    return asdict(chip_facts(load_device(name)))


_NOT_FITTED = frozenset({"power_w", "lanes"})
"""Facts that only chips that were never measured as kernels need; those that were are GPUs with matrix units."""


def facts_by_row(names: Any) -> Any:
    """Return :class:`ChipFacts` whose numbers are arrays over rows of devices ``names``."""
    import numpy as np

    from perfmodel.cost.facts import ChipFacts

    facts = {name: device_facts(name) for name in set(names)}
    rows = [facts[name] for name in names]
    numbers: dict[str, Any] = {
        key: np.array([row[key] for row in rows], dtype=float)
        for key, value in rows[0].items()
        if isinstance(value, (int, float)) and key not in _NOT_FITTED
    }
    dtypes = set.intersection(*(set(row["peaks"]) for row in rows))
    peaks = {dtype: np.array([row["peaks"][dtype] for row in rows], dtype=float) for dtype in dtypes}
    return ChipFacts(name="", vendor="", kind="gpu", architecture="", peaks=peaks, **numbers)


def read_measured(source: str | Path, stem: str) -> Any:
    """Return the measured rows of a class: ``source`` is a CSV file, or a folder with ``stem.csv[.gz]`` in it."""
    import pandas as pd

    path = Path(source)
    if path.is_dir():
        found = sorted([*path.glob(f"{stem}.csv*"), *path.glob(f"*/{stem}.csv*")])
        if not found:
            raise InputError(f"no {stem}.csv or {stem}.csv.gz in {path}")
        path = found[0]
    frame = pd.read_csv(path, low_memory=False)
    frame["backend"] = frame["backend"].fillna("")
    facts = {name: device_facts(name) for name in frame["device"].unique()}
    for column in ("vendor", "kind", "architecture", "memory_kind", "matrix_pace"):
        frame[column] = [facts[name][column] for name in frame["device"]]
    return frame.reset_index(drop=True)
