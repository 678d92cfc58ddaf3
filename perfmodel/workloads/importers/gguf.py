"""A GGUF file to a workload: the shapes of its metadata, with the bytes that its tensors really take."""

from __future__ import annotations

from pathlib import Path

from perfmodel.errors import ImportRefused
from perfmodel.workloads.families.fields import ConfigSource
from perfmodel.workloads.importers.gguf_config import hf_config_of
from perfmodel.workloads.importers.gguf_file import base_name
from perfmodel.workloads.importers.gguf_weights import GgufModel, ModuleWeights, merged, read_gguf
from perfmodel.workloads.importers.hf import language_model, read_config
from perfmodel.workloads.parameters import parameters, weights_bytes
from perfmodel.workloads.spec import LanguageModel, Quantisation

__all__ = ["GgufModel", "hf_config_of", "load_gguf_model", "quantisation_of", "read_gguf"]

_TOLERANCE = 0.001
_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "MXFP4": "w4a16_mxfp4", "NVFP4": "nvfp4_wo"}
_UNNAMED = ("F64", "I8", "I16", "I32", "I64")


def load_gguf_model(path: str | Path, name: str | None = None) -> LanguageModel:
    """Return the model of a GGUF file (of a split one, its first part), named by its file unless ``name`` is given.

    Formats carry the mean bytes a weight of each class of modules, so :func:`weights_bytes` is that of the file.
    Omits: tensors that are no parameters (rotation frequencies, a router's correction bias, scales of whole tensors,
    layers that predict further tokens), and the padding between tensors.

    Errors: :class:`SpecError` for a damaged file; :class:`ImportRefused` for a model that is not understood, which
    includes one whose tensors have another number of elements than its metadata give.
    """
    found = read_gguf(path)
    imported = read_config(ConfigSource(str(found.path), hf_config_of(found)), quantisation=quantisation_of(found))
    model = language_model(
        imported,
        name or base_name(found.path),
        source=str(found.path),
        spec_hash=found.file.hash,
        path=found.path,
    )
    _check(found, model)
    return model


def quantisation_of(model: GgufModel) -> Quantisation:
    """Return the formats of a file's modules: a type's own where a class has one, else ``ggml_<mean bits>bpw``.

    ``base`` is the mean of the embedding, norms, biases and routers. A tied head has the embedding's format.
    """
    modules = model.modules
    attention = _format(modules["attention"], "bfloat16")
    linear = _format(modules["linear"], attention)
    return Quantisation(
        base=_format(merged(modules["embedding"], modules["other"]), "bfloat16"),
        linear=linear,
        attention=attention,
        experts=_format(modules["experts"], linear),
        lm_head=_format(modules["embedding" if model.tied_embeddings else "lm_head"], "bfloat16"),
    )


def _format(weights: ModuleWeights, absent: str) -> str:
    if not weights.elements:
        return absent
    first = weights.types[0][0]
    if len(weights.types) == 1 and first not in _UNNAMED:
        return _NAMES.get(first, first.lower())
    bits = f"{8 * weights.bytes_per_weight:.8f}".rstrip("0").rstrip(".")
    return f"ggml_{bits}bpw"


def _check(found: GgufModel, model: LanguageModel) -> None:
    """Refuse a model that is not the file's: other parameters in number, or other bytes by more than 0.1 %."""
    if parameters(model) != found.parameters:
        raise ImportRefused(
            f"{found.path}: its metadata make a {model.family} of {parameters(model)} parameters, but its tensors have "
            f"{found.parameters}: this variant is not understood"
        )
    stored = found.bytes - found.uncounted.bytes
    if abs(weights_bytes(model) - stored) > _TOLERANCE * stored:
        raise ImportRefused(
            f"{found.path}: its modules make {weights_bytes(model):.0f} bytes, but its tensors have {stored}: "
            "this variant is not understood"
        )
