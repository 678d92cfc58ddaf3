"""Models written out layer by layer: blocks of any kind that this package knows, and the pattern in which they stand.

The way out for an architecture without an adapter, and for one that does not exist yet. See docs/workloads.md.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Any

from perfmodel.workloads.families.common import MOST_LAYERS
from perfmodel.workloads.families.fields import ConfigFields, ConfigSource, shown
from perfmodel.workloads.families.registry import Layer, Skeleton, register
from perfmodel.workloads.spec import (
    CompressedAttention,
    CrossAttention,
    DenseFfn,
    GroupedQueryAttention,
    Indexer,
    LatentAttention,
    LinearBlock,
    Lora,
    MemoryFfn,
    MoeFfn,
    RecurrentMixer,
)

MIXER_KINDS: dict[str, type] = {
    "grouped_query": GroupedQueryAttention,
    "latent": LatentAttention,
    "compressed": CompressedAttention,
    "recurrent": RecurrentMixer,
    "linear": LinearBlock,
}
FFN_KINDS: dict[str, type] = {"dense": DenseFfn, "experts": MoeFfn, "memory": MemoryFfn, "linear": LinearBlock}
WORDS: dict[str, tuple[str, ...]] = {
    "qk_norm": ("none", "head", "full"),
    "output_gate": ("none", "element", "head"),
    "rule": ("decay", "delta", "element"),
}
"""The texts that a field of a block may have."""
_NESTED: dict[str, type] = {"indexer": Indexer, "lora": Lora, "cross": CrossAttention}
_DIVIDES = (("kv_heads", "heads"), ("key_heads", "heads"), ("output_groups", "heads"))
_MOST = 10**9
_DEFAULTS = {"tie_word_embeddings": False, "max_position_embeddings": 0, "final_norms": 1, "embedding_width": 0,
             "generates": True, "has_head": True, "lm_head_bias": False}  # fmt: skip


@register("layers", (), transformers="none: our own", defaults=_DEFAULTS)
def read_layers(fields: ConfigFields) -> Skeleton:
    """Return a model of named ``blocks`` in the order of ``pattern``, such as "8*(3*local global)"."""
    blocks = _mapping(fields, "blocks")
    if not blocks.values:
        raise fields.fault("blocks", "must name at least one block")
    made = {name: _layer(blocks.nested(name)) for name in blocks.values}
    order = list(_order(fields, made))
    return Skeleton(
        fields.whole("hidden_size"), fields.whole("vocab_size"), tuple(order), fields.flag("tie_word_embeddings"),
        fields.whole("max_position_embeddings", least=0), fields.flag("lm_head_bias"),
        fields.whole("final_norms", least=0, most=8), tuple(_extra(fields)), has_head=fields.flag("has_head"),
        generates=fields.flag("generates"), embedding_width=fields.whole("embedding_width", least=0),
    )  # fmt: skip


def _mapping(fields: ConfigFields, key: str) -> ConfigSource:
    fields.used.add(key)
    if not fields.given(key):
        raise fields.fault(key, "is missing")
    return fields.source.nested(key)


def _extra(fields: ConfigFields) -> Iterator[tuple[str, int]]:
    """Yield further parameters by name."""
    fields.used.add("extra")
    if fields.given("extra"):
        inner = ConfigFields(fields.source.nested("extra"))
        for name in inner.source.values:
            yield name, inner.whole(name, least=0, most=10**13)


_TOKEN = re.compile(r"\s*(?:(\d+)\s*\*|([A-Za-z_][\w.-]*)|([()]))")


def _order(fields: ConfigFields, blocks: Mapping[str, Layer]) -> Iterator[Layer]:
    text = fields.word("pattern")
    if not text:
        raise fields.fault("pattern", "is missing: the order of the blocks, such as '8*(3*local global)'")
    names = _expanded(fields, _tokens(fields, text), 0)
    for name in names:
        if name not in blocks:
            raise fields.fault("pattern", f"names '{name[:40]}', which is none of the blocks ({', '.join(blocks)})")
        yield blocks[name]


def _tokens(fields: ConfigFields, text: str) -> list[str]:
    found: list[str] = []
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise fields.fault("pattern", f"is not understood from '{text[position:][:20].strip()}'")
        found.append(f"{match[1]}*" if match[1] else match[2] or match[3])
        position = match.end()
    return found[::-1]  # a stack: the first token is the last


def _expanded(fields: ConfigFields, tokens: list[str], depth: int) -> list[str]:
    """Return the names up to the closing bracket, or to the end, with repetitions written out."""
    found: list[str] = []
    times = 1
    while tokens:
        word = tokens.pop()
        if word == ")":
            if not depth or times != 1:
                raise fields.fault("pattern", "has a closing bracket too many, or nothing after a '*'")
            return found
        if word.endswith("*"):
            times *= int(word[:-1][:9])
            continue
        part = _expanded(fields, tokens, depth + 1) if word == "(" else [word]
        if not 0 < times * len(part) + len(found) <= MOST_LAYERS or depth > 20:
            raise fields.fault("pattern", f"must come to 1 to {MOST_LAYERS} layers")
        found += part * times
        times = 1
    if depth or times != 1:
        raise fields.fault("pattern", "lacks a closing bracket, or ends with a '*'")
    return found


def _layer(source: ConfigSource) -> Layer:
    values = source.values
    usual = {f: default for f, default in Layer._field_defaults.items() if default is not None}
    known = {"mixer", "second", "ffn", "cross", "lora", *usual}
    _refuse_others(source, known)
    found: dict[str, Any] = {}
    for key in ("mixer", "second"):
        found[key] = _block(source, key, MIXER_KINDS) if values.get(key) is not None else None
    found["ffn"] = _block(source, "ffn", FFN_KINDS) if values.get("ffn") is not None else None
    for key in ("cross", "lora"):
        found[key] = _built(source.nested(key), _NESTED[key]) if values.get(key) is not None else None
    for key, default in usual.items():
        found[key] = _value(source, key, type(default)) if values.get(key) is not None else default
    if found["mixer"] is None and found["ffn"] is None:
        raise source.fault("mixer", "is missing, and ffn too: a block has one of them at least")
    for key in ("share", "prompt_share"):
        if not 0 <= found[key] <= 1:
            raise source.fault(key, f"must be between 0 and 1, not {found[key]:g}")
    return Layer(**found)


def _block(source: ConfigSource, key: str, kinds: Mapping[str, type]) -> Any:
    inner = source.nested(key)
    kind = inner.values.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        raise inner.fault("kind", f"must be one of {', '.join(kinds)}, not {shown(kind)}")
    return _built(inner, kinds[kind])


def _built(source: ConfigSource, kind: type) -> Any:
    """Return a block of the spec from a mapping with its fields."""
    known = {f.name: f for f in dataclasses.fields(kind)}
    _refuse_others(source, {*known, "kind"})
    found: dict[str, Any] = {}
    for name, field in known.items():
        if source.values.get(name) is not None:
            found[name] = _field(source, field)
        elif field.default is dataclasses.MISSING:
            raise source.fault(name, "is missing")
    made = kind(**found)
    _check(source, made)
    return made


def _field(source: ConfigSource, field: dataclasses.Field[Any]) -> Any:
    name, annotation = field.name, str(field.type)
    if name in _NESTED:
        return _built(source.nested(name), _NESTED[name])
    if name in WORDS:
        word = ConfigFields(source).word(name)
        if word not in WORDS[name]:
            raise source.fault(name, f"must be one of {', '.join(WORDS[name])}, not {shown(word)}")
        return word
    if annotation.startswith("tuple"):
        return _pairs(source, name)
    return _value(source, name, {"int": int, "bool": bool, "float": float}[annotation])


def _value(source: ConfigSource, name: str, kind: type) -> Any:
    fields = ConfigFields(source)
    if kind is bool:
        return fields.flag(name)
    if kind is int:
        return fields.whole(name, least=0, most=_MOST)
    value = source.values[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise source.fault(name, f"must be a number of at least 0, not {shown(value)}")
    return float(value)


def _pairs(source: ConfigSource, name: str) -> tuple[tuple[int, int], ...]:
    value = source.values[name]
    ok = isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(type(n) is int and 0 < n < _MOST for n in pair)
        for pair in value
    )
    if not ok:
        raise source.fault(name, f"must be a list of pairs of whole numbers, not {shown(value)}")
    return tuple((int(a), int(b)) for a, b in value)


def _check(source: ConfigSource, block: Any) -> None:
    """Refuse sizes that do not go together."""
    for part, whole in _DIVIDES:
        n, of = getattr(block, part, 0), getattr(block, whole, 0)
        if n and of % n:
            raise source.fault(part, f"must divide {whole} {of}, not {n}")
    for name in ("heads", "head_dim", "intermediate", "experts", "rank", "topk", "keys", "kv_heads", "key_heads"):
        if getattr(block, name, 1) < 1:
            raise source.fault(name, "must be at least 1")
    if isinstance(block, MoeFfn) and block.topk > block.experts:
        raise source.fault("topk", f"must not exceed the {block.experts} experts, not {block.topk}")


def _refuse_others(source: ConfigSource, known: set[str]) -> None:
    if odd := [str(key) for key in source.values if key not in known]:
        raise source.fault(odd[0], f"is not understood here (understood: {', '.join(sorted(known))})")
