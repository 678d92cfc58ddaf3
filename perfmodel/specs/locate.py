"""Where spec files are: the user's folders first, then the data of the wheel, or of the checkout.

A file's stem is its name; its ``aliases`` are other spellings. Names are compared without case, punctuation and vendor
words, so "NVIDIA H100 SXM" is ``h100-sxm``. A user's file hides a packaged one of the same name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from perfmodel.errors import SpecError, UnknownNameError

USER_FOLDERS = "PERFMODEL_SPECS"
"""Environment variable: folders (separated like PATH) that are searched before the packaged ones."""

KINDS: tuple[str, ...] = ("hardware_specs", "workloads")
"""The kinds of spec folders."""

_PACKAGE = Path(__file__).resolve().parent.parent
_SUFFIXES = (".yaml", ".yml")
_LISTED = ("device", "model", "usecase", "workflow")
_VENDORS = "nvidia amd intel google apple aws amazon huawei qualcomm microsoft meta samsung sk hynix"
_HARDWARE_WORDS = frozenset(f"{_VENDORS} geforce tesla quadro instinct corporation".split())
_IGNORED_WORDS = {"hardware_specs": _HARDWARE_WORDS}
_SCHEMA = re.compile(r"^schema:[ \t]*[\"']?([\w/.-]+)", re.MULTILINE)
_FLOW_ALIASES = re.compile(r"^aliases:[ \t]*\[([^\]]*)\]", re.MULTILINE)
_BLOCK_ALIASES = re.compile(r"^aliases:[ \t]*(?:#.*)?\n((?:[ \t]*-[ \t].*\n?)+)", re.MULTILINE)
_QUOTED_OR_PLAIN = re.compile(r"\"([^\"]*)\"|'([^']*)'|([^,\"'\n]+)")


class Entry(NamedTuple):
    """One spec file of a folder: its name (the stem), its path, the root it was found under, and its aliases."""

    name: str
    path: Path
    root: Path
    aliases: tuple[str, ...]


def spec_roots(kind: str) -> tuple[Path, ...]:
    """Return the folders of a kind, in order of precedence: the user's, then the packaged one."""
    return (*user_roots(kind), packaged_root(kind))


def packaged_root(kind: str) -> Path:
    """Return the folder of a kind that comes with perfmodel: the wheel's, or the checkout's."""
    packaged = _PACKAGE / "_data" / kind
    return packaged if packaged.is_dir() else _PACKAGE.parent / kind


def user_roots(kind: str) -> Iterator[Path]:
    """Yield the user's own folders of a kind, in order of precedence."""
    for text in os.environ.get(USER_FOLDERS, "").split(os.pathsep):
        if not text:
            continue
        folder = Path(text).expanduser()
        if not folder.is_dir():
            raise SpecError(f"{USER_FOLDERS} names '{text}', which is no folder", text)
        if any((folder / any_kind).is_dir() for any_kind in KINDS):
            if (folder / kind).is_dir():
                yield folder / kind
        else:
            yield folder


@lru_cache(maxsize=16384)
def normalise(name: str, kind: str = "hardware_specs") -> str:
    """Return a name's key: lower case, without punctuation, and (for hardware) without vendor words.

    A point between digits stays: 1.3b is not 13b.
    """
    words = re.findall(r"\d+(?:\.\d+)+[^\W_]*|[^\W_]+", name.lower())
    ignored = _IGNORED_WORDS.get(kind, frozenset())
    return "".join(word for word in words if word not in ignored) or "".join(words)


def is_path(name: str) -> bool:
    """Say whether a name can only be meant as a path to a spec file."""
    return name.endswith(_SUFFIXES) or name.startswith((".", "~", "/")) or Path(name).is_absolute()


def list_specs(kind: str, schema: str) -> tuple[str, ...]:
    """Return the names of all specs of a kind whose schema is ``schema`` (``"device"`` for ``device/1``), sorted."""
    return tuple(sorted({entry.name for root in spec_roots(kind) for entry in entries(root, schema)}))


def find_spec(kind: str, name: str, schema: str) -> Path:
    """Return the file of a spec by its name, alias or path.

    Raises :class:`UnknownNameError` with the nearest names, or :class:`SpecError` if two files claim the name.
    """
    if is_path(name):
        return Path(name).expanduser()
    if found := named_spec(kind, name, schema):
        return found
    mend = f"`perfmodel {schema} list` shows all" if schema in _LISTED else f"those of schema {schema} in {kind}/"
    raise UnknownNameError(schema, name, _known_names(kind, schema), mend)


def named_spec(kind: str, name: str, schema: str) -> Path | None:
    """Return the file of a spec by its name or alias, None if there is none."""
    # "llama-3-1-8b" is a way to write "llama-3.1-8b"
    spelled = (name, re.sub(r"(?<=\d)[-_](?=\d)", ".", name))
    for key in dict.fromkeys(normalise(text, kind) for text in spelled):
        for root in spec_roots(kind):
            if found := _by_stem(root, key, kind, schema) or _by_alias(root, key, kind, schema):
                return found
    return None


def _by_stem(root: Path, key: str, kind: str, schema: str) -> Path | None:
    # names are compared as text: a Path for each file takes longer than the walk
    alike = sorted(Path(folder, file) for folder, file in _walk(root) if normalise(_stem(file), kind) == key)
    paths = [path for path in alike if _schema_of(path) == schema]
    if len(paths) > 1:
        raise SpecError(f"the name '{key}' is also that of {paths[1]}; rename one", str(paths[0]))
    return paths[0] if paths else None


def _by_alias(root: Path, key: str, kind: str, schema: str) -> Path | None:
    claims = claims_under(root, schema, kind).get(key, ())
    if len(claims) > 1:
        raise SpecError(f"the alias '{key}' is also claimed by {claims[1].path}; drop one", str(claims[0].path))
    return claims[0].path if claims else None


def claimed_names(found: Iterable[Entry], kind: str) -> dict[str, list[Entry]]:
    """Return for each name and alias (as its key) the files that claim it: more than one is a collision."""
    claims: dict[str, list[Entry]] = {}
    for entry in found:
        for key in {normalise(name, kind) for name in (entry.name, *entry.aliases)}:
            claims.setdefault(key, []).append(entry)
    return claims


def claims_under(root: Path, schema: str, kind: str) -> Mapping[str, Sequence[Entry]]:
    """Return :func:`claimed_names` of the files under a folder."""
    return _claims(root, _stamped(root), schema, kind)


@lru_cache(maxsize=32)
def _claims(root: Path, files: tuple[tuple[str, int], ...], schema: str, kind: str) -> dict[str, list[Entry]]:
    return claimed_names(_entries(root, files, schema), kind)


def _known_names(kind: str, schema: str) -> list[str]:
    return [entry.name for root in spec_roots(kind) for entry in entries(root, schema)]


def entries(root: Path, schema: str) -> tuple[Entry, ...]:
    """Return the files under a folder whose schema is ``schema``, without parsing their YAML."""
    return _entries(root, _stamped(root), schema)


@lru_cache(maxsize=32)
def _entries(root: Path, files: tuple[tuple[str, int], ...], schema: str) -> tuple[Entry, ...]:
    found = sorted((Path(file), stamp) for file, stamp in files)
    return tuple(
        Entry(path.stem, path, root, head.aliases)
        for path, stamp in found
        if (head := _head(path, stamp)).schema == schema
    )


def _stamped(root: Path) -> tuple[tuple[str, int], ...]:
    """Return the spec files under a folder with the times of their last change: what is known of them holds as long."""
    paths = [f"{folder}{os.sep}{file}" for folder, file in _walk(root)]
    return tuple((path, os.stat(path).st_mtime_ns) for path in paths)  # noqa: PTH116  a Path for each takes longer


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    for folder, _, files in os.walk(root):
        yield from ((folder, file) for file in files if file.endswith(_SUFFIXES))


def _stem(file: str) -> str:
    return file.rpartition(".")[0]


class _Head(NamedTuple):
    schema: str
    aliases: tuple[str, ...]


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns


def _schema_of(path: Path) -> str:
    return _head(path, _stamp(path)).schema


@lru_cache(maxsize=4096)
def _head(path: Path, stamp: int) -> _Head:
    """Return a file's schema word and aliases by a scan of its text, far cheaper than YAML; stamp keys the cache."""
    text = path.read_text(encoding="utf-8", errors="replace")
    schema = _SCHEMA.search(text)
    return _Head(schema[1].partition("/")[0] if schema else "", tuple(_scan_aliases(text)))


def _scan_aliases(text: str) -> Iterator[str]:
    if flow := _FLOW_ALIASES.search(text):
        for match in _QUOTED_OR_PLAIN.finditer(flow[1]):
            alias = (match[1] or match[2] or match[3] or "").strip()
            if alias:
                yield alias
    elif block := _BLOCK_ALIASES.search(text):
        for line in block[1].splitlines():
            yield line.strip()[1:].split(" #")[0].strip().strip("\"'")
