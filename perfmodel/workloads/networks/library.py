"""The networks of the library: files of published variants of a family, found by a variant's name or alias."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError, SpecError, UnknownNameError, did_you_mean
from perfmodel.specs.locate import entries, normalise, spec_roots
from perfmodel.specs.schema import Block, Flag, Listing, Text, describe, read_spec
from perfmodel.specs.yaml_strict import Node, parse_yaml, read_text
from perfmodel.workloads.importers.json_config import content_hash
from perfmodel.workloads.network import AnyNetwork, Network
from perfmodel.workloads.networks.registry import FAMILIES

KIND, SCHEMA, _WORD = "workloads", "networks/1", "networks"
_BLOCK = re.compile(r"^variants:[ \t]*(?:#.*)?\n((?:[ \t]+.*\n?|[ \t]*\n|#.*\n)+)", re.MULTILINE)
_VARIANT = re.compile(r"^  ([\w.@+-]+):", re.MULTILINE)
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


def load_network(name: str, **changes: Any) -> AnyNetwork:
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
    fields = {**variant.fields, **changes}
    _check_fields(variant, generator, changes)
    try:
        network = generator(variant.name, **fields)
    except TypeError as error:
        raise SpecError(f"variant '{variant.name}': {error}", variant.path) from None
    except (ValueError, ZeroDivisionError, IndexError, KeyError) as error:
        raise InputError(f"{variant.name} cannot be built with {dict(changes)}: {error}") from None
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


def _check_fields(variant: Variant, generator: Any, changes: Mapping[str, Any]) -> None:
    known = family_fields(generator)
    for field, value in changes.items():
        if field not in known:
            hint = did_you_mean(field, list(known)) or f"; it has {', '.join(known)}"
            raise InputError(f"{variant.name} (family {variant.family}) has no field '{field}'{hint}")
        numbers = (int, float)
        if isinstance(value, numbers) and not isinstance(value, bool) and not 0 <= value < 1e9:
            raise InputError(f"{variant.name}: {field} must be a number from 0 to a thousand million, not {value}")


def load_variants(path: Path) -> dict[str, Variant]:
    """Return the variants of a file."""
    return _load(path, _stamp(path))


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
    for place in ("published", "aliases"):
        wanted = values.get(place, {})
        for name in wanted if place == "published" else wanted.values():
            if name not in found:
                raise SpecError(f"{place} names '{name}', which is no variant of this file", str(path))
    return found


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
    text = path.read_text(encoding="utf-8")
    block, aliases = _BLOCK.search(text), _ALIASES.search(text)
    variants = tuple(_VARIANT.findall(block[1])) if block else ()
    pairs = (
        re.findall(r"^\s+[\"']?([^\"':\n]+)[\"']?:[ \t]*[\"']?([^\"'\s#]+)", aliases[1], re.MULTILINE)
        if aliases
        else ()
    )
    return variants, {alias.strip(): variant for alias, variant in pairs}
