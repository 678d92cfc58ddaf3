"""``perfmodel.toml``: a user's own defaults, from the working directory or above it, and from the home directory."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import Fault, SpecError, did_you_mean

FILE = "perfmodel.toml"
DEFAULTS = "defaults"
SPECS = "specs"
SHARED = (
    "device", "on", "engine", "precision", "moe_precision", "kv", "routing", "usecase", "batch", "input", "output",
    "power_limit", "price_kind", "usd_per_hour", "usd_per_kwh",
)  # fmt: skip
"""Options that ``[defaults]`` may set for every command that has them; others belong to the table of a command."""

NOT_FROM_FILES = ("json", "csv", "html", "xlsx", "markdown", "out", "help")
"""Where an answer goes is said on the command line, so that no file is overwritten unasked."""

_HEADER = re.compile(r"\s*\[([^\[\]]+)\]\s*(?:#.*)?$")


@dataclass(frozen=True)
class ConfigFile:
    """One file: its tables by command (``"network memory"``), and where each key stands."""

    path: Path
    text: str
    tables: Mapping[str, Mapping[str, Any]]
    folders: tuple[str, ...] = ()

    def fault(self, table: str, key: str, message: str) -> SpecError:
        """Return the error of a key."""
        line, column = place_of(self.text, table.replace(" ", "."), key)
        return SpecError.of(str(self.path), [Fault(line, column, ".".join(filter(None, (table, key))), message)])


def config_files() -> list[Path]:
    """Return the files that apply, the least important first: the home directory's, then the nearest one's."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    found = [Path(home).expanduser() / "perfmodel" / "config.toml"]
    try:
        here = Path.cwd()
    except OSError:  # the working directory was deleted
        return [path for path in found if path.is_file()]
    found += [folder / FILE for folder in (here, *here.parents) if (folder / FILE).is_file()][:1]
    return [path for path in found if path.is_file()]


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """Return a TOML file's text and values; :class:`SpecError` with the place where it is not TOML."""
    import tomllib

    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, tomllib.loads(text)
    except UnicodeDecodeError as error:
        raise SpecError(f"is not UTF-8 text (byte {error.start})", str(path), 1, 1) from None
    except OSError as error:
        raise SpecError(f"cannot be read: {error.strerror}", str(path)) from None
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        said = re.sub(r" \(at .*\)$", "", str(error))
        line, column = (int(at[1]), int(at[2])) if at else (0, 0)
        hint = '; words stand in quotes, as in precision = "fp8"' if said == "Invalid value" else ""
        raise SpecError(f"is not TOML: {said}{hint}", str(path), line, column) from None


def place_of(text: str, table: str, key: str) -> tuple[int, int]:
    """Return line and column of a key of a table of a TOML text, (0, 0) where it cannot be found."""
    inside, wanted = table == "", re.compile(rf"\s*[\"']?({re.escape(key)})[\"']?\s*[=.]")
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            inside = re.sub(r"[\s\"']", "", header[1]) == table
            if inside and not key:
                return number, 1
        elif inside and key and (match := wanted.match(line)):
            return number, match.start(1) + 1
    return 0, 0


def read_config(path: Path) -> ConfigFile:
    """Return a file of defaults, every table that of a command and every key an option of it."""
    text, values = read_toml(path)
    file = ConfigFile(path, text, dict(_tables(values)))
    folders = _folders(file)
    commands = _commands(file.tables)
    for table, keys in file.tables.items():
        if table == DEFAULTS:
            _check(file, table, keys, (*SHARED, SPECS))
        elif table in commands:
            _check(file, table, keys, options_of(commands[table]))
        else:
            raise file.fault(table, "" if table else next(iter(keys)), _why_no_table(table))
    return ConfigFile(path, text, file.tables, folders)


def _why_no_table(table: str) -> str:
    """Return what is wrong with a table that is no command's."""
    from perfmodel.cli.root import COMMANDS, command

    if not table:
        return "keys stand in a table: [defaults], or that of a command such as [estimate]"
    name, _, sub = table.partition(" ")
    root: Any = command()
    inner = list(getattr(root.get_command(None, name), "commands", ())) if name in COMMANDS else []
    if inner:
        return f"one of {', '.join(f'[{name}.{one}]' for one in inner)}{did_you_mean(sub, inner)}"
    return f"no command '{table}'{did_you_mean(name, (*COMMANDS, DEFAULTS))}"


def _tables(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the tables of a file by command; a table in a group of commands is that of a sub-command."""
    own = {key: value for key, value in values.items() if not isinstance(value, dict)}
    inner = {key: value for key, value in values.items() if isinstance(value, dict)}
    if above and not _is_group(above):
        yield above, {**own, **inner}
        return
    if own or (above and not inner):
        yield above, own
    for key, value in inner.items():
        yield from _tables(value, f"{above} {key}".strip())


def _is_group(path: str) -> bool:
    from perfmodel.cli.root import COMMANDS, command

    if path not in COMMANDS:
        return False
    found: Any = command()
    return hasattr(found.get_command(None, path), "commands")


def _commands(tables: Iterable[str]) -> dict[str, Any]:
    from perfmodel.cli.root import COMMANDS, command

    root: Any = command()
    found: dict[str, Any] = {}
    for table in tables:
        name, _, sub = table.partition(" ")
        if name in COMMANDS:
            one = root.get_command(None, name)
            one = getattr(one, "commands", {}).get(sub) if sub else one
            if one is not None and not hasattr(one, "commands"):
                found[table] = one
    return found


def options_of(command: Any) -> dict[str, Any]:
    """Return the parameters of a command that a file may set, by each name that a file may use for them."""
    found: dict[str, Any] = {}
    for parameter in command.params:
        if parameter.param_type_name != "option" or parameter.name in NOT_FROM_FILES or not parameter.expose_value:
            continue
        names = {option.lstrip("-").replace("-", "_") for option in parameter.opts}
        if "on" in names:
            names.add("device")
        found |= dict.fromkeys(sorted(names | {parameter.name}), parameter)
    return found


def _check(file: ConfigFile, table: str, keys: Iterable[str], known: Iterable[str]) -> None:
    names = list(known)
    for key in keys:
        name = key.replace("-", "_")
        if name not in names:
            why = (
                ": say on the command line where an answer goes"
                if name in NOT_FROM_FILES
                else did_you_mean(name, names)
            )
            listed = "" if why else f" (one of {', '.join(names)})"
            raise file.fault(table, key, f"no key '{key}'{why}{listed}")


def _folders(file: ConfigFile) -> tuple[str, ...]:
    """Return the folders of specs, from the file's own folder on."""
    value = file.tables.get(DEFAULTS, {}).get(SPECS, ())
    texts = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(text, str) for text in texts):
        raise file.fault(DEFAULTS, SPECS, "is a folder, or a list of folders")
    found = tuple(str(file.path.parent / Path(text).expanduser()) for text in texts)
    for text, folder in zip(texts, found, strict=True):
        if not Path(folder).is_dir():
            raise file.fault(DEFAULTS, SPECS, f"'{text}' is no folder")
    return found


def defaults_for(file: ConfigFile, path: Sequence[str], command: Any) -> dict[str, Any]:
    """Return what a file sets for a command, by the command's parameters: its own table over ``[defaults]``.

    The default device stands only where a command needs one: where it is optional, it would change the question.
    """
    known, found = options_of(command), {}
    for table in (DEFAULTS, " ".join(path)):
        for key, value in file.tables.get(table, {}).items():
            parameter = known.get(key.replace("-", "_"))
            if parameter is None or (table == DEFAULTS and "--on" in parameter.opts and not parameter.required):
                continue
            found[parameter.name] = words_of(value, parameter, lambda text, t=table, k=key: file.fault(t, k, text))
    return found


def words_of(value: Any, parameter: Any, fault: Any) -> Any:
    """Return a value of a file as the words that the option would have on the command line.

    A list joins with commas (or repeats an option that may be repeated); a table is ``FIELD=VALUE``.
    """
    if parameter.is_flag:
        if not isinstance(value, bool):
            raise fault(f"is true or false, not {value!r}")
        return value
    if isinstance(value, bool) or value is None:
        raise fault(f"is no value of {parameter.opts[0]}")
    pairs = [f"{key}={_word(one, fault)}" for key, one in value.items()] if isinstance(value, dict) else None
    if parameter.multiple:
        return pairs or [_word(one, fault) for one in (value if isinstance(value, list) else [value])]
    if pairs is not None:
        if "=" not in str(parameter.metavar):
            raise fault("is one value, not a table")
        return ",".join(pairs)
    return ",".join(_word(one, fault) for one in value) if isinstance(value, list) else _word(value, fault)


def _word(value: Any, fault: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise fault(f"{value!r} is neither a word nor a number")
    return str(value)
