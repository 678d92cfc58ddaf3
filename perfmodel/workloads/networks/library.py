"""The networks of the library: files of published variants of a family, found by a variant's name or alias."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import inf
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from perfmodel.errors import InputError, SpecError, UnknownNameError, did_you_mean
from perfmodel.specs.locate import entries, normalise, spec_roots
from perfmodel.specs.schema import Block, Flag, Listing, Text, describe, read_spec
from perfmodel.specs.yaml_strict import Node, parse_yaml, read_text
from perfmodel.workloads.importers.json_config import content_hash
from perfmodel.workloads.network import AnyNetwork, Network
from perfmodel.workloads.networks.registry import FAMILIES

KIND, SCHEMA, _WORD = "workloads", "networks/1", "networks"
_BLOCK = re.compile(r"^variants:[ \t]*(?:#.*)?\n((?:[ \t]+.*\n?|[ \t]*\n|#.*\n)+)", re.MULTILINE)
_INDENT = re.compile(r"^[ \t]+(?=[^\s#])", re.MULTILINE)
_VARIANT = r"^{indent}(?:\"([^\"\n]+)\"|'([^'\n]+)'|([\w.@+-]+))[ \t]*:"
_FLOW = re.compile(r"^(?:variants|aliases):[ \t]*\{", re.MULTILINE)
_ALIASES = re.compile(r"^aliases:[ \t]*(?:#.*)?\n((?:[ \t]+.*\n?)+)", re.MULTILINE)
_PAIR = re.compile(r"^\s+[\"']?([^\"':\n]+)[\"']?:[ \t]*[\"']?([^\"'\s#]+)", re.MULTILINE)
_TAG = re.compile(r"\.[\w]+$")


class _Mapping:
    """A mapping of plain values: names of variants to their fields, or aliases to variants."""

    def read(self, node: Node, path: str, reading: Any, source: str | None) -> Any:
        if node.mapping is None:
            return reading.fault(node, path, f"must be a mapping, not {describe(node)}")
        return node.plain()


RULE = Block(
    {"schema": Text(), "name": Text(), "family": Text(), "source": Text(), "verified": Flag(), "variants": _Mapping()},
    {"defaults": _Mapping(), "published": _Mapping(), "aliases": _Mapping(), "notes": Listing(Text())},
    sourced=False,
)
"""Every key of a file of networks: the required ones, then the optional ones."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """One published network of a file: its family and fields, and what is published of it."""

    name: str
    family: str
    fields: Mapping[str, Any]
    published: Mapping[str, Any]
    source: str
    verified: bool
    notes: tuple[str, ...]
    spec_hash: str
    path: str


def list_networks() -> tuple[str, ...]:
    """Return the names of all networks of the library and the user's folders, sorted."""
    return tuple(sorted({name for path in _files() for name in _names(path, _stamp(path))[0]}))


def find_variant(name: str) -> Variant | None:
    """Return a network by its name, an alias, or timm's name with a tag ("resnet50.a1_in1k"); None if there is none.

    A name spelled alike goes before one that differs in punctuation: regnet_y_1_6gf is not regnet_y_16gf.
    """
    exact, plain = _index(tuple((str(path), _stamp(path)) for path in _files()))
    for spelled in dict.fromkeys((name, _TAG.sub("", name) if name.count(".") == 1 else name)):
        found = exact.get(spelled.lower()) or plain.get(_plain(spelled))
        if found is not None:
            return load_variants(Path(found[0]))[found[1]]
    return None


@lru_cache(maxsize=4)
def _index(files: tuple[tuple[str, int], ...]) -> tuple[dict[str, tuple[str, str]], dict[str, tuple[str, str]]]:
    """Return (file, variant) by name in lower case, and by name without punctuation; the first file wins."""
    exact: dict[str, tuple[str, str]] = {}
    plain: dict[str, tuple[str, str]] = {}
    for path, stamp in files:
        variants, aliases = _names(Path(path), stamp)
        for known, variant in (*((v, v) for v in variants), *aliases.items()):
            exact.setdefault(known.lower(), (path, variant))
            plain.setdefault(_plain(known), (path, variant))
    return exact, plain


@lru_cache(maxsize=16384)
def _plain(name: str) -> str:
    return normalise(name, KIND)


def load_network(name: str, /, **changes: Any) -> AnyNetwork:
    """Return a network of the library; ``changes`` are fields of its family that are other than published.

    Errors: :class:`UnknownNameError` with the nearest names; :class:`InputError` for a field that the family lacks.
    """
    variant = find_variant(name)
    if variant is None:
        raise UnknownNameError("network", name, list_networks(), "`perfmodel model list` shows all")
    return built(variant, changes)


def built(variant: Variant, changes: Mapping[str, Any]) -> AnyNetwork:
    """Return a variant as its family builds it, with what is published of it unless it was changed."""
    key = (variant.name, variant.path, variant.spec_hash, repr(sorted(changes.items())))
    if key not in _BUILT:
        if len(_BUILT) >= _KEPT:
            _BUILT.clear()
        _BUILT[key] = _build(variant, changes)
    return _BUILT[key]


_KEPT = 512
_BUILT: dict[tuple[str, ...], AnyNetwork] = {}


def _build(variant: Variant, changes: Mapping[str, Any]) -> AnyNetwork:
    generator = FAMILIES[variant.family]
    _check_fields(variant, generator, changes)
    try:
        network = generator(variant.name, **{**variant.fields, **changes})
    except _UNBUILDABLE as error:
        reason = f"{type(error).__name__} {error}" if isinstance(error, (KeyError, AssertionError)) else str(error)
        if not changes:
            raise SpecError(f"variant '{variant.name}': {reason}", variant.path) from None
        shown = ", ".join(f"{field} {str(value)[:40]}" for field, value in changes.items())
        raise InputError(f"{variant.name} cannot be built with {shown}: {reason}") from None
    about: dict[str, Any] = {
        "source": variant.source, "verified": variant.verified, "spec_hash": variant.spec_hash, "path": variant.path,
        "notes": (*network.notes, *variant.notes),
    }  # fmt: skip
    if isinstance(network, Network) and not changes:
        published = variant.published
        about |= {
            "published_parameters": published.get("parameters"), "published_macs": published.get("macs"),
            "published_source": published.get("source", ""),
        }  # fmt: skip
    return dataclasses.replace(network, **about)


def family_fields(generator: Any) -> dict[str, inspect.Parameter]:
    """Return the fields that variants of a family may state."""
    return {k: p for k, p in inspect.signature(generator).parameters.items() if k != "name"}


_UNBUILDABLE = (
    TypeError, ValueError, ArithmeticError, LookupError, AttributeError, AssertionError, RecursionError, MemoryError,
)  # fmt: skip
"""What a generator raises on fields that do not go together."""


def _check_fields(variant: Variant, generator: Any, changes: Mapping[str, Any]) -> None:
    known, kinds = family_fields(generator), _kinds(generator)
    for field in changes:
        if field not in known:
            hint = did_you_mean(field, list(known)) or f"; it has {', '.join(known)}"
            raise InputError(f"{variant.name} (family {variant.family}) has no field '{field}'{hint}")
    for field, value in {**variant.fields, **changes}.items():
        wrong = _wrong(value, kinds.get(field, Any))
        if wrong and field in changes:
            raise InputError(f"{variant.name}: {field} {wrong}")
        if wrong:
            raise SpecError(wrong, variant.path, field=f"variants.{variant.name}.{field}")


@lru_cache(maxsize=512)
def _kinds(generator: Any) -> dict[str, Any]:
    return get_type_hints(generator)


def _wrong(value: Any, kind: Any) -> str:
    """Return what is wrong with a field's value for a generator's parameter of a kind; an empty text if nothing is."""
    if not all(0 <= number < 1e9 for number in _numbers(value)):
        return f"must be a number from 0 to a thousand million, not {str(value)[:40]}"
    return "" if _is_a(value, kind) else f"must be {_in_words(kind)}, not {str(value)[:40]!r}"


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, (int, float)):
        yield value
    elif isinstance(value, (list, tuple, Mapping)):
        held: Any = cast("Any", value)
        for each in held.values() if isinstance(value, Mapping) else held:
            yield from _numbers(each)


def _is_a(value: Any, kind: Any) -> bool:
    """Say whether a plain value may stand for a parameter of a kind; kinds of other words than these take anything."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType or origin is Union:
        return any(_is_a(value, part) for part in parts)
    if kind is int or kind is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and (kind is float or value == int(value))
    if kind in (bool, str, NoneType):
        return isinstance(value, kind)
    if origin is Sequence:
        return isinstance(value, (list, tuple)) and all(_is_a(each, parts[0]) for each in cast("Sequence[Any]", value))
    return True


def _in_words(kind: Any) -> str:
    """Return a kind as users write it: a whole number, a list of texts, ..."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin is UnionType or origin is Union:
        return " or ".join(_in_words(part) for part in parts)
    if origin is Sequence:
        return f"a list (each {_in_words(parts[0])})"
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", NoneType: "null"}
    return words.get(kind, "a value of its own kind")


def load_variants(path: Path) -> dict[str, Variant]:
    """Return the variants of a file. Errors: :class:`SpecError` for one that is not there or has faults."""
    try:
        stamp = _stamp(path)
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", str(path)) from None
    return _load(path, stamp)


@lru_cache(maxsize=256)
def _load(path: Path, stamp: int) -> dict[str, Variant]:
    text = read_text(path)
    values, _ = read_spec(RULE, parse_yaml(text, str(path)), str(path), SCHEMA)
    family = values["family"]
    if family not in FAMILIES:
        raise SpecError(f"unknown family '{family}'{did_you_mean(family, list(FAMILIES))}", str(path))
    known, defaults = family_fields(FAMILIES[family]), values.get("defaults", {})
    published, digest = values.get("published", {}), content_hash(text)
    found: dict[str, Variant] = {}
    for name, fields in values["variants"].items():
        if not isinstance(fields or {}, Mapping):
            raise SpecError(
                f"must be a mapping of the family's fields, not {fields!r}", str(path), field=f"variants.{name}"
            )
        stated = {**defaults, **(fields or {})}
        for field in stated:
            if field not in known:
                raise SpecError(
                    f"variants.{name} has '{field}', which family '{family}' does not know"
                    f"{did_you_mean(field, list(known))}", str(path),
                )  # fmt: skip
        found[str(name)] = Variant(
            str(name), family, stated, published.get(name, {}), values["source"], values["verified"],
            tuple(values.get("notes", ())), digest, str(path),
        )  # fmt: skip
    for place, names in (("published", published), ("aliases", values.get("aliases", {}).values())):
        for name in map(str, names):
            if name not in found:
                raise SpecError(f"{place} names '{name}', which is no variant of this file", str(path))
    for name, counts in published.items():
        _check_published(counts, f"published.{name}", path)
    return found


def _check_published(counts: Any, field: str, path: Path) -> None:
    if not isinstance(counts, Mapping):
        raise SpecError(f"must be a mapping of parameters, macs and source, not {counts!r}", str(path), field=field)
    for key in ("parameters", "macs"):
        number: Any = cast("Mapping[str, Any]", counts).get(key, 0)
        if isinstance(number, bool) or not isinstance(number, (int, float)) or not 0 <= number < inf:
            raise SpecError(f"must be a number, not {number!r}", str(path), field=f"{field}.{key}")


def variant_files() -> list[Path]:
    """Return the files of networks, the user's first."""
    return _files()


def _files() -> list[Path]:
    return [entry.path for root in spec_roots(KIND) for entry in entries(root, _WORD)]


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


@lru_cache(maxsize=256)
def _names(path: Path, stamp: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the variants' names and the aliases of a file without parsing it as YAML."""
    text = path.read_text(encoding="utf-8", errors="replace")
    if _FLOW.search(text):
        return _parsed_names(text, path)
    block, aliases = _BLOCK.search(text), _ALIASES.search(text)
    indent = _INDENT.search(block[1]) if block else None
    found = re.findall(_VARIANT.format(indent=indent[0]), block[1], re.MULTILINE) if block and indent else []
    pairs = _PAIR.findall(aliases[1]) if aliases else []
    return tuple("".join(spellings) for spellings in found), {alias.strip(): variant for alias, variant in pairs}


def _parsed_names(text: str, path: Path) -> tuple[tuple[str, ...], dict[str, str]]:
    read = parse_yaml(text, str(path)).plain()
    variants, aliases = (read.get(key) for key in ("variants", "aliases"))
    return (
        tuple(map(str, variants)) if isinstance(variants, Mapping) else (),
        {str(alias): str(name) for alias, name in aliases.items()} if isinstance(aliases, Mapping) else {},
    )
