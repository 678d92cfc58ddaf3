"""The writer of calibration files: plain YAML, numbers of four significant digits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


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
    """Write a calibration file, and the folder that it is in: see :func:`calibration_text`."""
    from perfmodel.files import write_text

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_text(target, calibration_text(mapping))


def calibration_text(mapping: Mapping[str, Any]) -> str:
    """Return a calibration file's text: plain YAML, numbers of 4 significant digits, keys in the order given."""
    return "\n".join(_block(rounded(mapping), 0)) + "\n"


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
        plain = (
            value and value.replace("_", "a").replace("-", "a").replace(".", "a").isalnum() and not value[0].isdigit()
        )
        return (
            value
            if plain and value not in ("true", "false", "null", "yes", "no", "on", "off")
            else '"' + value.replace('"', "'") + '"'
        )
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, float):
        text = repr(value)
        return text if "e" not in text or "." in text else text.replace("e", ".0e")  # YAML 1.2 floats need the point
    return str(value)
