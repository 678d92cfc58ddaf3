"""Devices that do not exist yet: the file of a device that is like another one but for some numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import yaml

from perfmodel.devices.load import device_from_mapping, load_device
from perfmodel.devices.model import Device
from perfmodel.devices.override import canonical_field, change_device, engine_values, field_value
from perfmodel.errors import InputError
from perfmodel.specs.yaml_strict import load_yaml

SOURCE = "what-if"
"""Id of the source of the numbers that a design changes."""


def design_device(like: str | Path, changes: Mapping[str, str], name: str = "") -> tuple[Device, str]:
    """Return a device like another one with other numbers, and its file's text; nothing is written.

    Changed numbers cite the source "what-if"; all others keep theirs. ``like`` of the file names the first device,
    whose measured coefficients stay in force. Errors: :class:`InputError` for a field that it does not have.
    """
    base = load_device(like)
    changed = change_device(base, changes)
    plain: dict[str, Any] = load_yaml(base.path).plain()
    for field, text in changes.items():
        where = canonical_field(base, field.strip())
        value = field_value(changed, where) if text.strip().startswith(("*", "x")) else text.strip()
        _put(plain, base, where, value)
    plain |= {"name": name or f"{base.name}-what-if", "like": base.like or base.name}
    plain.pop("aliases", None)
    listed = ", ".join(f"{field} = {text}" for field, text in changes.items())
    plain["notes"] = [*plain.get("notes", []), f"designed, not built: {base.name} with {listed or 'nothing changed'}"]
    if changes:
        plain["sources"][SOURCE] = {"title": f"what-if: {listed}", "verified": False}
    text = yaml.safe_dump(plain, sort_keys=False, width=120, allow_unicode=True)
    return device_from_mapping(plain, f"<{plain['name']}>"), text


def _put(plain: dict[str, Any], base: Device, field: str, value: Any) -> None:
    """Write a changed value at its place in the plain mapping of a device file."""
    group, _, rest = field.partition(".")
    if not rest or group in ("chip", "mix"):
        target, key = (plain.setdefault(group, {}), rest) if rest else (plain, field)
        target[key] = _cited(value) if field != "mix.policy" else value
        return
    if group == "peaks":
        engine, _, dtype = rest.partition(".")
        known = plain["peaks"].setdefault(engine, {})
        old = known.get(dtype)
        known[dtype] = _cited(value)
        if isinstance(old, dict) and "2:4" in cast("dict[str, Any]", old):
            dense = device_from_mapping({**plain, "sources": _with_source(plain)}).peak_flops_per_s(dtype, engine)
            known[dtype] = {"dense": _cited(value), "2:4": _cited(f"{2 * dense!r} FLOP/s")}
        return
    key, _, last = rest.partition(".")
    selector = {"memory": "role", "links": "scope", "engines": "name"}[group]
    entry = next(e for e in plain[group] if e[selector] == key)
    *path, last = last.split(".")
    for step in path:
        entry = entry[step]
    number = group != "engines" or not isinstance(_engine_value(base, key, rest), str) or str(value)[:1].isdigit()
    entry[last] = _cited(value) if number else value


def _engine_value(base: Device, name: str, rest: str) -> Any:
    engine = next(e for e in base.engines if e.name == name)
    return engine_values(engine)[rest.partition(".")[2]]


def _cited(value: Any) -> dict[str, Any]:
    return {"value": value, "source": SOURCE}


def _with_source(plain: Mapping[str, Any]) -> dict[str, Any]:
    return {**plain["sources"], SOURCE: {"title": "what-if", "verified": False}}


def check_new(path: Path) -> None:
    """Refuse to write over a file; :class:`InputError`."""
    if path.exists():
        raise InputError(f"{path} is there already; name another file with --out")
