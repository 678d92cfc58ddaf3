"""A Hugging Face config written as a workload file of our own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from perfmodel.workloads.importers.hf import language_model, read_config
from perfmodel.workloads.importers.json_config import read_config_file
from perfmodel.workloads.parameters import parameters
from perfmodel.workloads.spec import Quantisation

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*(/[A-Za-z0-9_.-]+)*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})


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
