"""Which engines there are: files of this package and of the folders in PERFMODEL_ENGINES, by the name of their form."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, TypeVar

from perfmodel.cost.engines.base import Engine
from perfmodel.cost.facts import ChipFacts, chip_facts
from perfmodel.devices.model import Device, EngineSpec
from perfmodel.errors import SpecError, UnknownNameError
from perfmodel.ops import OPERATORS
from perfmodel.specs.schema import Block, Listing, Reading, Text

FOLDERS = "PERFMODEL_ENGINES"
"""Environment variable: folders with further engine files, separated as in PATH; their code is run."""

_PROTOCOL = frozenset({"__init__", "base", "registry"})
_COMMON = {"operators": Listing(Text(sorted(OPERATORS)), least=1)}
"""Keys of the blocks of all forms: which kinds of operators the engine is left, of those that it runs."""

_BY_MODULE: dict[str, dict[str, type[Engine]]] = {}
_E = TypeVar("_E", bound=type[Engine])


def register(engine: _E) -> _E:
    """Class decorator: enter an engine under its ``NAME``; a second one of a name in the same file raises."""
    names = _BY_MODULE.setdefault(engine.__module__, {})
    if names.get(engine.NAME, engine).__qualname__ != engine.__qualname__:
        raise ValueError(f"engine '{engine.NAME}' is registered twice")
    names[engine.NAME] = engine
    return engine


def engine_class(form: str) -> type[Engine]:
    """Return the engine of a form; :class:`UnknownNameError` with the nearest names."""
    stem = form.replace("-", "_")
    if stem not in _PROTOCOL and (Path(__file__).parent / f"{stem}.py").exists():  # the usual case imports one file
        import_module(f"{__package__}.{stem}")
        found = _BY_MODULE.get(f"{__package__}.{stem}", {}).get(form)
        if found is not None:
            return found
    known = engine_classes()
    if form not in known:
        raise UnknownNameError("form of engine", form, known, f"{FOLDERS} names folders with further ones")
    return known[form]


def engine_classes() -> dict[str, type[Engine]]:
    """Return every engine by its name, sorted: those of the package, then those of the user's folders."""
    found = dict(_packaged())
    for folder in filter(None, os.environ.get(FOLDERS, "").split(os.pathsep)):
        for name, engine in _of_folder(folder).items():
            if name in found:
                raise SpecError(f"engine '{name}' is there already, in {_file(found[name])}", str(_file(engine)))
            found[name] = engine
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def _packaged() -> dict[str, type[Engine]]:
    found: dict[str, type[Engine]] = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in _PROTOCOL and not path.stem.startswith("_"):
            import_module(f"{__package__}.{path.stem}")
            found |= _BY_MODULE.get(f"{__package__}.{path.stem}", {})
    return found


def _of_folder(folder: str) -> dict[str, type[Engine]]:
    if not Path(folder).is_dir():
        raise SpecError(f"is named by {FOLDERS}, but is no folder", folder)
    found: dict[str, type[Engine]] = {}
    for path in sorted(Path(folder).glob("*.py")):
        found |= _of_file(path.resolve(), path.stat().st_mtime_ns)
    return found


@lru_cache(maxsize=256)
def _of_file(path: Path, stamp: int) -> dict[str, type[Engine]]:
    name = f"perfmodel_engine_{abs(hash((path, stamp)))}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError("cannot be loaded as Python", str(path))
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise SpecError(f"fails as it is loaded: {type(error).__name__}: {error}", str(path)) from error
    return _BY_MODULE.get(name, {})


def _file(engine: type[Engine]) -> str | None:
    return getattr(sys.modules[engine.__module__], "__file__", None)


Changes = Mapping[str, Mapping[str, Any]]
"""Other values than the file's, in SI units, by the name of an engine and the key of its block."""


def engines_of(
    device: Device, chip: ChipFacts | None = None, changes: Changes | None = None
) -> tuple[tuple[str, Engine], ...]:
    """Return the engines of a device by their names; empty if its file lists none.

    Errors: :class:`SpecError` with every fault of their blocks, at its line and column; an unknown form.
    """
    if not device.engines:
        return ()
    chip = chip or chip_facts(device)
    changed = changes or {}
    return tuple((spec.name, read_engine(spec, device, chip, changed.get(spec.name))) for spec in device.engines)


def read_engine(spec: EngineSpec, device: Device, chip: ChipFacts, changes: Mapping[str, Any] | None = None) -> Engine:
    """Return one engine from its block of a device file; errors as for :func:`engines_of`.

    ``changes`` are values in place of the block's, in SI units, any of them a column.
    """
    try:
        kind = engine_class(spec.form)
    except UnknownNameError as error:
        raise SpecError(str(error), device.path, spec.node.line, spec.node.column, f"{spec.place}.form") from None
    reading = Reading(source.id for source in device.sources)
    rule = Block(kind.RULE.required, {**kind.RULE.rules, **_COMMON})
    values = rule.read(spec.block, spec.place, reading, None)
    if reading.faults:
        raise SpecError.of(device.path, reading.faults)
    kinds = values.pop("operators", None)
    engine = kind.from_spec({**values, **(changes or {})}, chip)
    return engine if kinds is None else replace(engine, kinds=frozenset(kinds))
