"""Finding and reading a config.json and the quantisation file beside it; every fault names the file."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import SpecError
from perfmodel.specs.used import note_used
from perfmodel.workloads.families.fields import ConfigSource, Place

CONFIG, QUANTISATION = "config.json", "hf_quant_config.json"
_MOST_BYTES = 32 * 2**20
_DEEPEST = 50


@dataclass(frozen=True)
class ConfigFile:
    """A config.json on disk, the quantisation file beside it (None: there is none), and the hash of both."""

    path: Path
    name: str
    config: ConfigSource
    separate: ConfigSource | None
    hash: str


def config_path(path: str | Path) -> Path:
    """Return the config file that a path means: the file itself, or config.json in the folder."""
    try:
        found = Path(path).expanduser()
        if not found.is_dir():
            return found
        inside = found / CONFIG
        there = inside.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise SpecError(f"cannot be read: {reason(error)}", str(path)) from None
    if not there:
        raise SpecError(f"is a folder without {CONFIG}", str(found))
    return inside


def reason(error: Exception) -> str:
    """Return why a file cannot be read, without its name."""
    return getattr(error, "strerror", None) or str(error)


def beside(path: Path) -> Path | None:
    """Return the separate quantisation file of a config: hf_quant_config.json, or of the same prefix."""
    if not path.name.endswith(CONFIG):
        return None
    found = path.with_name(path.name.removesuffix(CONFIG) + QUANTISATION)
    try:
        return found if found.is_file() else None
    except (OSError, ValueError) as error:
        raise SpecError(f"cannot be read: {reason(error)}", str(path)) from None


def read_config_file(path: str | Path) -> ConfigFile:
    """Return a config.json (or the folder that holds one) and what lies beside it, as read."""
    file = config_path(path)
    text = _read(file)
    config, other = _parse(text, file), beside(file)
    extra = _read(other) if other else ""
    separate = _parse(extra, other) if other else None
    note_used(file, text + extra)
    return ConfigFile(file, model_name(file), config, separate, content_hash(text + extra))


def content_hash(text: str) -> str:
    """Return the first 16 hexadecimal digits of the text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def model_name(path: Path) -> str:
    """Return a model's name from its file: "Qwen--Qwen3-8B_config.json" is Qwen/Qwen3-8B, otherwise its folder."""
    stem = path.name.removesuffix(".json").removesuffix("config").rstrip("_-.")
    if not path.name.endswith(CONFIG):
        stem = path.name.removesuffix(".json")
    return (stem or path.absolute().parent.name or "model").replace("--", "/")


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise SpecError(f"is larger than {_MOST_BYTES} bytes: not a model config", str(path))
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpecError(f"is not UTF-8 text (byte {error.start})", str(path)) from None
    except (OSError, ValueError) as error:
        raise SpecError(f"cannot be read: {reason(error)}", str(path)) from None


def _parse(text: str, path: Path) -> ConfigSource:
    """Return the object of a JSON text; one :class:`SpecError` for anything else."""
    if not text.strip():
        raise SpecError("is empty", str(path), 1, 1)
    try:
        values = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise SpecError(f"is not JSON: {error.msg}", str(path), error.lineno, error.colno) from None
    except RecursionError:
        raise SpecError("is nested too deeply", str(path)) from None
    except ValueError as error:  # a duplicate key, a number of thousands of digits
        raise SpecError(f"cannot be read: {error}", str(path)) from None
    if not isinstance(values, dict):
        raise SpecError("must be a JSON object", str(path), 1, 1)
    if _depth(values) > _DEEPEST:
        raise SpecError("is nested too deeply", str(path))
    return ConfigSource(str(path), values, _places(text))


def _depth(value: Any) -> int:
    """Return how deeply a JSON value is nested, without recursion."""
    depth, level = 0, [value]
    while level and depth <= _DEEPEST:
        depth += 1
        inner = (item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list))
        level = [item for items in inner for item in items]
    return depth


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"duplicate key '{key[:60]}'")
        found[key] = value
    return found


def _places(text: str) -> Place:
    def place(key: str) -> tuple[int, int]:
        match = re.search(rf'"{re.escape(key)}"\s*:', text)
        if match is None:
            return 0, 0
        return text.count("\n", 0, match.start()) + 1, match.start() - text.rfind("\n", 0, match.start())

    return place
