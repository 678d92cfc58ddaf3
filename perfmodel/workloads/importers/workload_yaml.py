"""A Hugging Face config written as a workload file of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from perfmodel.workloads.importers.hf import language_model, read_as, read_config
from perfmodel.workloads.importers.json_config import read_config_file
from perfmodel.workloads.importers.layers_yaml import layers_config
from perfmodel.workloads.parameters import parameters, parameters_text
from perfmodel.workloads.spec import Quantisation

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


def import_as(path: str | Path, family: str, name: str | None = None) -> str:
    """Return the YAML text of a workload written out layer by layer, from a config read as if it were of ``family``.

    It stands for a start: keys that the family does not know are named in a comment, and are not counted.

    Errors: :class:`InputError` for an unknown family, :class:`SpecError` for a field that it needs.
    """
    found = read_config_file(path)
    imported, odd = read_as(found.config, family, found.separate)
    model = language_model(imported, name or found.name)
    said = found.config.values.get("model_type")
    left_out = [f"#   {key}: {json.dumps(found.config.values[key], default=str)[:80]}" for key in odd]
    towers = [f"#   {tower.name}: {tower.parameters} parameters" for tower in imported.skeleton.towers]
    lines = [
        "schema: workload/1",
        f"name: {_scalar(_slug(model.name))}",
        "family: layers",
        f"source: {_scalar(f'started from {found.path.name} (model_type {said}), read as {family}')}",
        "verified: false",
        *(["# not understood and NOT counted; bring what they mean into the blocks:", *left_out] if left_out else []),
        *(["# not part of the language model, left out:", *towers] if towers else []),
        f"# {parameters_text(model)} parameters as it stands",
        "config:",
        *layers_config(imported.skeleton),
        *_quantisation(imported.quantisation),
    ]
    return "\n".join(lines) + "\n"


def import_model(path: str | Path, name: str | None = None) -> str:
    """Return the YAML text of a workload made from a config.json (or its folder), ready to be edited and kept.

    Only the fields that decide the arithmetic are written, with the quantisation in our words.

    Errors: as :func:`perfmodel.workloads.importers.hf.load_hf_model`.
    """
    found = read_config_file(path)
    imported = read_config(found.config, found.separate)
    model = language_model(imported, name or found.name)
    kept = {key: value for key, value in found.config.values.items() if key in imported.used and value is not None}
    nulls = {key: None for key, value in found.config.values.items() if key in imported.used and value is None}
    lines = [
        "schema: workload/1",
        f"name: {_scalar(_slug(model.name))}",
        *_aliases(model.name),
        f"family: {imported.family}",
        f"source: {_scalar(f'imported from {found.path.name}: put the address of the config here')}",
        "verified: true",
        f"# {parameters(model)} parameters: add 'published_parameters: {{value: .., source: ..}}' to have it checked",
        "config:",
        f"  model_type: {imported.family}",
        *(f"  {key}: {_value(value)}" for key, value in sorted({**kept, **nulls}.items()) if key != "model_type"),
        *_quantisation(imported.quantisation),
    ]
    return "\n".join(lines) + "\n"


def _slug(name: str) -> str:
    return name.rsplit("/", 1)[-1].lower()


def _aliases(name: str) -> Iterator[str]:
    if name != _slug(name):
        yield f"aliases: [{_scalar(name)}]"


def _quantisation(stored: Quantisation) -> Iterator[str]:
    if stored != Quantisation():
        yield "quantisation:"
        for field in fields(stored):
            value = getattr(stored, field.name)
            if value is not None:
                yield f"  {field.name}: {value}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return json.dumps(value)
    return _scalar(value) if isinstance(value, str) else json.dumps(value)


def _scalar(text: str) -> str:
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)
