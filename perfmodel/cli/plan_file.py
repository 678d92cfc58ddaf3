"""``--plan FILE``: how a model is laid on machines, written down once in YAML or TOML."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from perfmodel.cli.config import options_of, place_of, read_toml, words_of
from perfmodel.errors import Fault, InputError, SpecError, did_you_mean


def plan_options(path_text: str, command: Any, name: str) -> dict[str, Any]:
    """Return the options of a command that a plan file sets, by parameter. Errors: :class:`SpecError` with its place.

    Keys are those of the command's options (``tp``, ``ep``, ``engine``, ...); ``prefill`` and ``decode`` are tables.
    """
    path = Path(path_text).expanduser()
    if path.suffix not in (".yaml", ".yml", ".toml"):
        raise InputError(f"--plan: '{path_text}' is neither YAML (.yaml) nor TOML (.toml)")
    if not path.is_file():
        raise InputError(f"--plan: there is no file {path_text}")
    values, place = _read_toml(path) if path.suffix == ".toml" else _read_yaml(path)
    known = options_of(command)
    found: dict[str, Any] = {}
    for key, value in values.items():
        fault = _fault(path_text, key, place(key))
        parameter = known.get(str(key).replace("-", "_"))
        if parameter is None:
            raise fault(f"`perfmodel {name}` has no option '{key}'{did_you_mean(str(key), known)}")
        if parameter.name in found:
            raise fault(f"sets {parameter.opts[0]} a second time")
        if value is not None:
            found[parameter.name] = words_of(value, parameter, fault)
    return found


def _fault(file: str, key: str, place: tuple[int, int]) -> Callable[[str], SpecError]:
    return lambda text: SpecError.of(file, [Fault(*place, str(key), text)])


def _read_toml(path: Path) -> tuple[dict[str, Any], Callable[[str], tuple[int, int]]]:
    text, values = read_toml(path)
    return values, lambda key: max(place_of(text, "", key), place_of(text, key, ""))


def _read_yaml(path: Path) -> tuple[dict[str, Any], Callable[[str], tuple[int, int]]]:
    from perfmodel.specs.yaml_strict import load_yaml

    node = load_yaml(path)
    if node.mapping is None:
        raise SpecError("is no table of options, such as tp: 8", str(path), node.line, node.column)
    entries = node.mapping
    return dict(node.plain()), lambda key: (entries[key].key_line, entries[key].key_column)
