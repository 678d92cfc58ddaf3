"""A user's own calibration of one device, laid over the packaged rules: what ``perfmodel calibrate`` writes.

The file (``schema: device-calibration/1``, in a folder of ``PERFMODEL_SPECS``) names one device and, for each operator
class that was measured on it, rules and bands in the form of a calibration file. They come after the packaged ones and
hold for that device alone, which then counts as measured. Of two files for a device and class the first folder's wins.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from perfmodel.errors import SpecError
from perfmodel.specs import load_yaml
from perfmodel.specs.locate import USER_FOLDERS, entries, user_roots

SCHEMA = "device-calibration/1"
KIND = SCHEMA.partition("/")[0]
_KEYS = {"schema", "device", "perfmodel", "date", "data", "sources", "notes", "classes"}


class Overlay(NamedTuple):
    """What a user's file says about one operator class on one device: raw rules and bands, each for that device."""

    device: str
    path: str
    rules: Sequence[Mapping[str, Any]]
    bands: Sequence[Mapping[str, Any]]


def overlays(name: str) -> tuple[Overlay, ...]:
    """Return the users' calibrations of an operator class, one a device."""
    return tuple(found for (kind, _), found in _all(os.environ.get(USER_FOLDERS, "")).items() if kind == name)


def read_overlay(path: Path | str) -> dict[str, Any]:
    """Return the content of a device's calibration file. Errors: :class:`SpecError` if it is none."""
    raw: dict[str, Any] = load_yaml(Path(path)).plain()
    if unknown := set(raw) - _KEYS:
        raise SpecError(f"{path}: a device's calibration has no '{min(unknown)}' (it has {', '.join(sorted(_KEYS))})")
    if raw.get("schema") != SCHEMA or not isinstance(raw.get("device"), str):
        raise SpecError(f"{path}: a device's calibration needs 'schema: {SCHEMA}' and the name of the device")
    classes = raw.get("classes")
    if not isinstance(classes, dict) or not all(isinstance(entry, dict) for entry in classes.values()):
        raise SpecError(f"{path}: 'classes' must be a mapping of operator classes (gemm, attention_decode, ...)")
    return raw


@lru_cache(maxsize=8)
def _all(user_folders: str) -> dict[tuple[str, str], Overlay]:
    del user_folders  # the key: the environment is read again for other folders
    found: dict[tuple[str, str], Overlay] = {}
    for root in user_roots("hardware_specs"):
        for entry in entries(root, KIND):
            raw = read_overlay(entry.path)
            for name, part in raw["classes"].items():
                rules, bands = ([_own(rule, raw["device"], entry.path) for rule in part.get(key, [])]
                                for key in ("rules", "bands"))  # fmt: skip
                found.setdefault((name, raw["device"]), Overlay(raw["device"], str(entry.path), rules, bands))
    return found


def _own(rule: Mapping[str, Any], device: str, path: Path) -> dict[str, Any]:
    """Return a rule of an overlay, which holds for its own device whatever else it says."""
    when = rule.get("when") or {}
    if when.get("device", device) != device:
        raise SpecError(f"{path}: a rule is for {when['device']}, but the file is for {device}")
    return {**rule, "when": {**when, "device": device}}


def forget_overlays() -> None:
    """Forget what was read, so that a file written in this process is found."""
    _all.cache_clear()
