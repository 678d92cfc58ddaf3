"""Hugging Face ``config.json`` to a workload: by the adapter of its ``model_type``, refused where not understood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from perfmodel.errors import ImportRefused, InputError, SpecError, did_you_mean
from perfmodel.workloads.families import ADAPTERS, Adapter, Layer, Skeleton
from perfmodel.workloads.families.fields import ConfigFields, ConfigSource
from perfmodel.workloads.families.known_keys import (
    COMMON,
    IRRELEVANT,
    MULTI_TOKEN_PREDICTION,
    listed,
    odd_keys,
    refuse_unknown_keys,
    says_nothing,
)
from perfmodel.workloads.importers.json_config import ConfigFile, read_config_file
from perfmodel.workloads.parameters import parameters
from perfmodel.workloads.quantisation import read_quantisation
from perfmodel.workloads.spec import LanguageModel, LayerGroup, Quantisation

MOST_PARAMETERS = 10**16
"""Ten times the largest models that anybody speaks of."""
OWN = "layers"
"""The family of models that are written out layer by layer in our own words."""
_BASES = {"bfloat16": "bfloat16", "float16": "float16", "half": "float16", "float32": "float32", "float": "float32"}


@dataclass(frozen=True)
class Imported:
    """A config as read: the shapes with their formats, and the keys that decided them."""

    family: str
    skeleton: Skeleton
    quantisation: Quantisation
    used: frozenset[str]


def load_hf_model(path: str | Path, name: str | None = None) -> LanguageModel:
    """Return the model of a config.json, or of the folder that holds it.

    Quantisation is read from the config's ``quantization_config`` and from hf_quant_config.json (or
    ``<name>_hf_quant_config.json``) beside it. A config that names no dtype is taken as bfloat16.

    Errors: :class:`SpecError` for a bad value, with file and field; :class:`ImportRefused` for a ``model_type``, field
    or quantisation that is not understood.
    """
    found = read_config_file(path)
    imported = read_config(found.config, found.separate)
    return language_model(imported, name or found.name, source=str(found.path), spec_hash=found.hash, path=found.path)


def read_config(
    config: ConfigSource, separate: ConfigSource | None = None, quantisation: Quantisation | None = None
) -> Imported:
    """Return what a config says; ``quantisation`` overrides what it and the ``separate`` file say of formats."""
    adapter = _adapter(config)
    fields = ConfigFields(config, adapter.defaults)
    _check_architecture(fields, adapter)
    skeleton = adapter.read(fields)
    refuse_unknown_keys(fields, adapter.ignored, adapter.model_type)
    return _with_formats(config, separate, quantisation, adapter, fields, skeleton)


def read_as(config: ConfigSource, family: str, separate: ConfigSource | None = None) -> tuple[Imported, list[str]]:
    """Return a config read as if it were of ``family``, and the keys that this leaves out of the count.

    Errors: :class:`InputError` for an unknown family; :class:`SpecError` for a field that the family needs.
    """
    if family not in ADAPTERS or family == OWN:
        known = sorted(set(ADAPTERS) - {OWN})
        raise InputError(f"unknown family '{family}'{did_you_mean(family, known)} (known: {', '.join(known)})")
    adapter = ADAPTERS[family]
    fields = ConfigFields(config, adapter.defaults)
    skeleton = adapter.read(fields)
    odd = odd_keys(config.values, IRRELEVANT | adapter.ignored | fields.used)
    return _with_formats(config, separate, None, adapter, fields, skeleton), odd


def _with_formats(
    config: ConfigSource, separate: ConfigSource | None, quantisation: Quantisation | None, adapter: Adapter,
    fields: ConfigFields, skeleton: Skeleton,
) -> Imported:  # fmt: skip
    base = _base(fields)
    block = _quantisation_block(config)
    stored = quantisation or read_quantisation(block, separate, skeleton.layers, base, skeleton.tied_embeddings)
    if quantisation is None and block is not None and skeleton.expert_format is not None:
        stored = replace(stored, experts=skeleton.expert_format)
    return Imported(adapter.model_type, skeleton, stored, frozenset(fields.used))


def language_model(
    imported: Imported, name: str, *, source: str = "", spec_hash: str = "", path: str | Path = ""
) -> LanguageModel:
    """Return the workload of an imported config; equal layers become one group, in order of first appearance."""
    skeleton = imported.skeleton
    model = LanguageModel(
        name=name,
        family=imported.family,
        hidden=skeleton.hidden,
        vocabulary=skeleton.vocabulary,
        layers=_grouped(skeleton.layers),
        tied_embeddings=skeleton.tied_embeddings,
        maximum_tokens=skeleton.maximum_tokens,
        lm_head_bias=skeleton.lm_head_bias,
        final_norms=skeleton.final_norms,
        extra=skeleton.extra,
        towers=skeleton.towers,
        encoder=skeleton.encoder,
        generates=skeleton.generates,
        has_head=skeleton.has_head,
        head=skeleton.head,
        embedding_width=skeleton.embedding_width,
        mtp_parameters=skeleton.mtp_parameters,
        mtp=LayerGroup(1, *skeleton.mtp) if skeleton.mtp is not None and skeleton.mtp_parameters else None,
        quantisation=imported.quantisation,
        source=source,
        spec_hash=spec_hash,
        path=str(path),
    )
    if (count := parameters(model)) > MOST_PARAMETERS:
        raise SpecError(f"comes to {count:.3g} parameters: one of its sizes must be wrong", str(path) or source)
    return model


def _grouped(layers: Sequence[Layer]) -> tuple[LayerGroup, ...]:
    counts: dict[Layer, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    return tuple(LayerGroup(count, *layer) for layer, count in counts.items())


def _adapter(config: ConfigSource) -> Adapter:
    """Return the adapter of the config's ``model_type``; refuse another type with the fields that make it special."""
    model_type = config.values.get("model_type")
    if model_type is None:
        raise config.fault("model_type", "is missing: this is no Hugging Face model config")
    if not isinstance(model_type, str):
        raise config.fault("model_type", f"must be a text, not {model_type!r:.40}")
    if model_type not in ADAPTERS:
        raise _unknown_family(config, model_type)
    return ADAPTERS[model_type]


def _unknown_family(config: ConfigSource, model_type: str) -> ImportRefused:
    odd = _special_fields(config)
    special = f"; fields not understood: {listed(odd)}" if odd else ""
    near = did_you_mean(model_type[:60], sorted(ADAPTERS))
    return config.refusal(
        f"model_type '{model_type[:60]}' is not supported{near}{special}. `perfmodel model import --as FAMILY` "
        f"starts a description of your own from the nearest of: {', '.join(sorted(set(ADAPTERS) - {OWN}))}"
    )


def _special_fields(config: ConfigSource) -> list[str]:
    """Return the keys, those of ``text_config`` included, that no adapter reads and that are not irrelevant."""
    known = IRRELEVANT | COMMON | MULTI_TOKEN_PREDICTION
    values, text = config.values, config.values.get("text_config")
    inner = [f"text_config.{key}" for key in odd_keys(text, known)] if isinstance(text, dict) else []
    return [key for key in odd_keys(values, known) if key != "text_config"] + inner


def _check_architecture(fields: ConfigFields, adapter: Adapter) -> None:
    """Refuse another head than the language model's (a classifier, a reward model)."""
    names = fields.words("architectures")
    known = (adapter.architecture,) if isinstance(adapter.architecture, str) else adapter.architecture
    if names and not set(known) & set(names):
        raise fields.refusal("architectures", f"only {' and '.join(known)} is understood")


def _base(fields: ConfigFields) -> str:
    """Return the 16-bit type of what is not quantised."""
    name = (fields.word("dtype", "torch_dtype") or "bfloat16").removeprefix("torch.")
    if name not in _BASES:
        key = "dtype" if fields.given("dtype") else "torch_dtype"
        raise fields.refusal(key, f"is not understood (understood: {', '.join(_BASES)})")
    return _BASES[name]


def _quantisation_block(config: ConfigSource) -> ConfigSource | None:
    for key in ("quantization_config", "compression_config"):
        if not says_nothing(config.values.get(key)):
            return config.nested(key)
    return None


__all__ = ["ConfigFile", "Imported", "language_model", "load_hf_model", "read_config"]
