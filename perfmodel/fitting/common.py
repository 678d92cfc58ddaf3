"""Helpers of every fit: the split by shape, the error table and the writer of calibration files."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    """Return n, MAPE and median of ``|expected/measured - 1|`` and the bias (all %) by the columns ``by`` and overall."""
    import numpy as np
    import pandas as pd

    work = frame[list(by)].fillna("").assign(off=100 * (np.asarray(ratio) - 1))

    def row(part: Any) -> Any:
        off = part["off"]
        return pd.Series(
            {"n": len(off), "mape": off.abs().mean(), "median": off.abs().median(), "bias": off.median()}
        )

    rows = {(key if isinstance(key, tuple) else (key,)): row(part) for key, part in work.groupby(list(by))}
    rows[("all", *[""] * (len(by) - 1))] = row(work)
    table = pd.DataFrame(rows).T.round(1)
    table.index.names = list(by)
    return table


def rounded(value: Any, digits: int = 4) -> Any:
    """Return the value with every float in it rounded to significant digits."""
    if isinstance(value, Mapping):
        return {str(k): rounded(v, digits) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v, digits) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float):
        short = float(f"{value:.{digits}g}")
        return int(short) if short.is_integer() and abs(short) < 1e15 else short
    return value


def write_calibration(path: Path | str, mapping: Mapping[str, Any]) -> None:
    """Write a calibration file: plain YAML, numbers of 4 significant digits, keys in the order given."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\n".join(_block(rounded(mapping), 0)) + "\n", encoding="utf-8")


_FLOW_WIDTH = 116


def _block(value: Any, indent: int) -> list[str]:
    pad = " " * indent
    lines: list[str] = []
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                flow = _flow(item)
                nested = isinstance(item, list) and any(isinstance(i, (dict, list)) for i in item)
                if not nested and indent > 0 and len(pad + key + flow) < _FLOW_WIDTH:
                    lines.append(f"{pad}{key}: {flow}")
                else:
                    lines.append(f"{pad}{key}:")
                    lines += _block(item, indent + 2)
            else:
                lines.append(f"{pad}{key}: {_flow(item)}")
    else:
        for item in value:
            flow = _flow(item)
            if not isinstance(item, dict) or len(pad + flow) < _FLOW_WIDTH:
                lines.append(f"{pad}- {flow}")
            else:
                inner = _block(item, indent + 2)
                lines.append(f"{pad}- {inner[0].lstrip()}")
                lines += inner[1:]
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_flow(v) for v in value) + "]"
    if isinstance(value, str):
        plain = value and value.replace("_", "a").replace("-", "a").replace(".", "a").isalnum() and not value[0].isdigit()
        return value if plain and value not in ("true", "false", "null", "yes", "no", "on", "off") else '"' + value.replace('"', "'") + '"'
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")  # YAML 1.2 floats need the point
    return str(value)
