"""Fitted coefficients and error bands as loaded data; the fitting itself is in :mod:`perfmodel.fitting`.

A calibration file is a list of rules that are read in order. A rule applies when everything it names under ``when``
(device, architecture, vendor, backend, dtype, timing, op, measured ...) has that value; ``set`` replaces coefficients
and ``scale`` multiplies them. So the first rules hold for every chip, later ones for a family, a backend, a device; a
device that was never measured simply stops at its family's. What a user measured comes last
(:mod:`perfmodel.calibration.overlay`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from perfmodel.calibration.overlay import forget_overlays, overlays
from perfmodel.errors import SpecError
from perfmodel.specs import load_calibration_mapping
from perfmodel.specs.locate import USER_FOLDERS

Coefficients = Mapping[str, float]


@dataclass(frozen=True)
class Rule:
    """One step of a calibration: what it applies to and what it changes."""

    when: tuple[tuple[str, tuple[str, ...]], ...]
    replace: tuple[tuple[str, float], ...]
    scale: tuple[tuple[str, float], ...]

    def applies(self, situation: Mapping[str, str]) -> bool:
        """Say whether everything that the rule names is so."""
        return all(situation.get(name, "") in allowed for name, allowed in self.when)


@dataclass(frozen=True)
class Band:
    """p10 and p90 of measured/expected, with the ln-scale spread that they imply."""

    p10: float
    p90: float


@dataclass(frozen=True)
class Calibration:
    """One operator class's coefficients, bands and provenance."""

    name: str
    rules: tuple[Rule, ...]
    bands: tuple[Rule, ...]
    measured_devices: frozenset[str]
    about: Mapping[str, Any]

    def coefficients(self, **situation: str) -> Coefficients:
        """Return the coefficients for a situation (``device=``, ``architecture=``, ``backend=``, ``dtype=`` ...)."""
        return _resolve(self.rules, situation)

    def band(self, **situation: str) -> Band:
        """Return the error band; ``measured`` is derived from ``device`` unless given."""
        known = "true" if situation.get("device", "") in self.measured_devices else "false"
        found = _resolve(self.bands, {"measured": known, **situation})
        return Band(found.get("p10", 0.7), found.get("p90", 1.5))


def _resolve(rules: Sequence[Rule], situation: Mapping[str, str]) -> dict[str, float]:
    values: dict[str, float] = {}
    for rule in rules:
        if rule.applies(situation):
            values.update(rule.replace)
            for name, factor in rule.scale:
                values[name] = values[name] * factor
    return values


def _rule(raw: Mapping[str, Any], path: str) -> Rule:
    if unknown := set(raw) - {"when", "set", "scale", "note"}:
        raise SpecError(f"{path}: a calibration rule has no '{min(unknown)}' (it has when, set, scale, note)")
    when = tuple(
        (k, tuple(_text(x) for x in (v if isinstance(v, list) else [v]))) for k, v in (raw.get("when") or {}).items()
    )
    return Rule(when, _numbers(raw.get("set"), path), _numbers(raw.get("scale"), path))


def _numbers(raw: Mapping[str, Any] | None, path: str) -> tuple[tuple[str, float], ...]:
    try:
        return tuple((name, float(value)) for name, value in (raw or {}).items())
    except (TypeError, ValueError) as error:
        raise SpecError(f"{path}: calibration coefficients must be numbers ({error})") from None


def load_calibration(name: str) -> Calibration:
    """Return the calibration of an operator class (``gemm``, ``attention_decode``, ``collectives`` ...).

    The user's measurements in the folders of ``PERFMODEL_SPECS`` are laid over the file's rules.
    """
    return _load(name, os.environ.get(USER_FOLDERS, ""), True)


def packaged_calibration(name: str) -> Calibration:
    """Return the calibration of an operator class without what the user measured."""
    return _load(name, os.environ.get(USER_FOLDERS, ""), False)


def forget_calibrations() -> None:
    """Forget what was read, so that a file written in this process is found. Machines keep what they have."""
    _load.cache_clear()
    forget_overlays()


@lru_cache(maxsize=128)
def _load(name: str, user_folders: str, measured: bool) -> Calibration:
    if measured:
        found = _load(name, user_folders, False)
        for overlay in overlays(name):
            rules, bands = (tuple(_rule(r, overlay.path) for r in raw) for raw in (overlay.rules, overlay.bands))
            _check_names(found, rules, overlay.path)
            found = replace(
                found, rules=(*found.rules, *rules), bands=(*found.bands, *bands),
                measured_devices=found.measured_devices | {overlay.device},
            )  # fmt: skip
        return found
    raw, path = load_calibration_mapping(name)
    rules, bands = (tuple(_rule(r, path) for r in raw.get(key, [])) for key in ("rules", "bands"))
    about = {k: v for k, v in raw.items() if k not in ("rules", "bands")}
    return Calibration(name, rules, bands, frozenset(raw.get("measured_devices", [])), about)


def _check_names(packaged: Calibration, rules: Sequence[Rule], path: str) -> None:
    known = {name for rule in packaged.rules for name, _ in rule.replace}
    if unknown := {name for rule in rules for name, _ in rule.scale} - known:
        raise SpecError(
            f"{path}: {packaged.name} has no coefficient '{min(unknown)}' (any more); run `perfmodel calibrate` again"
        )


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
