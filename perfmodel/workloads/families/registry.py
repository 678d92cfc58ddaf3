"""The registry of model families: how the config of each ``model_type`` is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, NamedTuple

from perfmodel.workloads.families.fields import ConfigFields
from perfmodel.workloads.families.homes import HOMES
from perfmodel.workloads.spec import CrossAttention, Encoder, Ffn, Lora, Mixer, Tower


class Layer(NamedTuple):
    """One decoder layer, in the order of the config; the fields are those of :class:`LayerGroup`."""

    mixer: Mixer | None
    ffn: Ffn | None
    norms: int = 2
    norm_operators: int = 2
    parallel: bool = False
    second: Mixer | None = None
    cross: CrossAttention | None = None
    streams: int = 1
    side_width: int = 0
    other: int = 0
    share: float = 1.0
    prompt_share: float = 1.0
    keeps_skipped: bool = True
    exits: bool = False
    lora: Lora | None = None


@dataclass(frozen=True)
class Skeleton:
    """What an adapter makes of a config: the shapes, without names, formats and provenance."""

    hidden: int
    vocabulary: int
    layers: tuple[Layer, ...]
    tied_embeddings: bool
    maximum_tokens: int = 0
    lm_head_bias: bool = False
    final_norms: int = 1
    extra: tuple[tuple[str, int], ...] = ()
    towers: tuple[Tower, ...] = ()
    encoder: Encoder | None = None
    generates: bool = True
    has_head: bool = True
    head: tuple[tuple[int, int], ...] = ()
    embedding_width: int = 0
    expert_format: str | None = None
    mtp_parameters: int = 0
    mtp: Layer | None = None


@dataclass(frozen=True)
class Adapter:
    """How one ``model_type`` is read.

    ``defaults`` are the values that transformers' config class takes for keys that are left out
    (``transformers`` says which version they were read in); ``ignored`` are keys of this family that change no count.
    """

    model_type: str
    architecture: str | tuple[str, ...]
    transformers: str
    read: Callable[[ConfigFields], Skeleton]
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    ignored: frozenset[str] = frozenset()


_registered: dict[str, Adapter] = {}


class _Adapters(Mapping[str, Adapter]):
    """The adapters by model type; the file of one is imported when it is first looked up."""

    def __getitem__(self, model_type: str) -> Adapter:
        if model_type not in _registered and model_type in HOMES:
            import_module(f"perfmodel.workloads.families.{HOMES[model_type]}")
        return _registered[model_type]

    def __iter__(self) -> Iterator[str]:
        return iter({**HOMES, **_registered})

    def __len__(self) -> int:
        return len({**HOMES, **_registered})

    def __contains__(self, model_type: object) -> bool:
        return model_type in HOMES or model_type in _registered


ADAPTERS: Mapping[str, Adapter] = _Adapters()
_Read = Callable[[ConfigFields], Skeleton]


def register(
    model_type: str,
    architecture: str | tuple[str, ...],
    *,
    transformers: str,
    defaults: Mapping[str, Any] | None = None,
    ignored: frozenset[str] = frozenset(),
) -> Callable[[_Read], _Read]:
    """Decorator: enter the reader of a ``model_type``; a second one of the same type raises."""

    def enter(read: _Read) -> _Read:
        if model_type in _registered:
            raise ValueError(f"model family '{model_type}' is registered twice")
        _registered[model_type] = Adapter(model_type, architecture, transformers, read, defaults or {}, ignored)
        return read

    return enter
