"""The models of the library: by name, alias or path, from our YAML or a Hugging Face config."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfmodel.errors import SpecError, UnknownNameError
from perfmodel.specs.locate import entries, find_spec, is_path, list_specs, spec_roots
from perfmodel.specs.schema import Block, Flag, Listing, Text, describe, read_spec
from perfmodel.specs.yaml_strict import Node, parse_yaml, read_text
from perfmodel.workloads.families.fields import ConfigSource
from perfmodel.workloads.importers.hf import language_model, load_hf_model, read_config
from perfmodel.workloads.importers.json_config import beside, config_path, content_hash, reason
from perfmodel.workloads.quantisation import quantisation_from
from perfmodel.workloads.spec import LanguageModel

if TYPE_CHECKING:
    from perfmodel.workloads.importers.plausibility import Finding

KIND, SCHEMA = "workloads", "workload/1"
_WORD = "workload"


class _Fields:
    """A mapping of config fields, kept as plain values: the family's adapter judges them."""

    def read(self, node: Node, path: str, reading: Any, source: str | None) -> Any:
        if node.mapping is None:
            return reading.fault(node, path, f"must be a mapping of config fields, not {describe(node)}")
        return node.plain()


class _Count:
    """A parameter count; its source stands beside it."""

    def read(self, node: Node, path: str, reading: Any, source: str | None) -> Any:
        if isinstance(node.value, bool) or not isinstance(node.value, int) or node.value < 1:
            return reading.fault(node, path, f"must be a whole number above 0, not {describe(node)}")
        return node.value


_PUBLISHED = Block({"value": _Count(), "source": Text()}, sourced=False)
WORKLOAD_RULE = Block(
    {"schema": Text(), "name": Text(), "family": Text(), "source": Text(), "verified": Flag(), "config": _Fields()},
    {
        "aliases": Listing(Text()),
        "published_parameters": _PUBLISHED,
        "quantisation": _Fields(),
        "notes": Listing(Text()),
    },
    sourced=False,
)
"""Every key of a workload file: the required ones, then the optional ones."""


def list_models() -> tuple[str, ...]:
    """Return the names of all models of the library and the user's folders, sorted, without parsing their files."""
    return list_specs(KIND, _WORD)


def model_files() -> dict[str, Path]:
    """Return the file of each model of the library by name, sorted: one walk for all, where names cost one each."""
    found = {entry.name: entry.path for root in reversed(spec_roots(KIND)) for entry in entries(root, _WORD)}
    return dict(sorted(found.items()))


def load_model(name_or_path: str | Path) -> LanguageModel:
    """Return a model by its name ("llama-3.1-8b"), an alias ("meta-llama/Llama-3.1-8B"), or a path.

    A path is that of a config.json, of a folder that holds one, of a workload file, or of a GGUF file. A name that is
    in the library wins over a folder of the same name; write ``./name`` to mean the folder.

    Errors: :class:`UnknownNameError` with the nearest names; :class:`SpecError` for a bad file;
    :class:`ImportRefused` for a config that is not understood.
    """
    path = _path_of(str(name_or_path))
    return _load(path, _stamps(path))


def _path_of(name: str) -> Path:
    if not name.strip() or "\0" in name:
        raise UnknownNameError("model", name.replace("\0", "?"), list_models())
    if name.endswith((".json", ".gguf")) or is_path(name):
        return config_path(name)
    try:
        return find_spec(KIND, name, _WORD)
    except UnknownNameError:
        if _exists(name):
            return config_path(name)
        raise UnknownNameError("model", name, list_models(), "`perfmodel model list` shows all") from None


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except OSError:
        return False


def _stamps(path: Path) -> tuple[str | int, ...]:
    """Return what keys the cache: where the model's files are, and when they were last changed."""
    other = beside(path)
    try:
        return str(path.absolute()), *(file.stat().st_mtime_ns for file in (path, other) if file is not None)
    except (OSError, ValueError) as error:
        raise SpecError(f"cannot be read: {reason(error)}", str(path)) from None


@lru_cache(maxsize=512)
def _load(path: Path, stamps: tuple[str | int, ...]) -> LanguageModel:
    if path.suffix in (".yaml", ".yml"):
        return _from_yaml(read_text(path), path)
    if path.suffix == ".gguf":
        from perfmodel.workloads.importers.gguf import load_gguf_model  # only its users pay for its start-up

        return load_gguf_model(path)
    return load_hf_model(path)


def _from_yaml(text: str, path: Path) -> LanguageModel:
    node = parse_yaml(text, str(path))
    values, _ = read_spec(WORKLOAD_RULE, node, str(path), SCHEMA)
    tops = node.mapping or {}
    config = _source(tops["config"], values["config"], str(path), "config.")
    _check_family(config, values["family"])
    stored = None
    if "quantisation" in values:
        block = _source(tops["quantisation"], values["quantisation"], str(path), "quantisation.")
        stored = quantisation_from(values["quantisation"], block)
    model = language_model(
        read_config(config, quantisation=stored),
        values["name"],
        source=values["source"],
        spec_hash=content_hash(text),
        path=path,
    )
    return _published(model, values)


def _source(node: Node, values: Mapping[str, Any], file: str, prefix: str) -> ConfigSource:
    def place(key: str) -> tuple[int, int]:
        found = (node.mapping or {}).get(key, node)
        return found.key_line or found.line, found.key_column or found.column

    return ConfigSource(file, values, place, prefix)


def _check_family(config: ConfigSource, family: str) -> None:
    stated = config.values.get("model_type")
    if stated != family:
        raise config.fault("model_type", f"is {stated!r:.40}, but the family is '{family}'")


def _published(model: LanguageModel, values: Mapping[str, Any]) -> LanguageModel:
    published = values.get("published_parameters", {})
    return dataclasses.replace(
        model,
        published_parameters=published.get("value"),
        published_source=published.get("source", ""),
        verified=values["verified"],
    )


def check_model(model: LanguageModel) -> list[Finding]:
    """Return what looks wrong in a model (:func:`perfmodel.workloads.importers.plausibility.check_model`)."""
    from perfmodel.workloads.importers.plausibility import check_model as check

    return check(model)


def import_model(path: str | Path, name: str | None = None, family: str | None = None) -> str:
    """Return the YAML text of a workload made from a config.json (:mod:`...importers.workload_yaml`).

    With ``family`` it is read as one of that family, whatever it says it is, and written out layer by layer.
    """
    from perfmodel.workloads.importers import workload_yaml

    return workload_yaml.import_as(path, family, name) if family else workload_yaml.import_model(path, name)
