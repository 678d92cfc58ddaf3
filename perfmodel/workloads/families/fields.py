"""Typed reading of a model config: every key that is read is remembered, every bad value names its file and field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from perfmodel.errors import ImportRefused, SpecError

_MISSING = object()
_MOST = 10**9
Place = Callable[[str], tuple[int, int]]


def nowhere(key: str) -> tuple[int, int]:
    """Return the position of a key in a config that came from no text: unknown."""
    return 0, 0


def shown(value: object) -> str:
    """Return a value as a message shows it: in one line and short."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


@dataclass(frozen=True)
class ConfigSource:
    """The keys of a model config and where they stand: ``place`` gives a key's line and column (0, 0: unknown).

    ``prefix`` is the dotted path of the config within its file ("config." in a workload file, "" in a config.json).
    """

    file: str
    values: Mapping[str, Any]
    place: Place = nowhere
    prefix: str = ""

    def fault(self, key: str, message: str) -> SpecError:
        """Return the error for a bad value of ``key``."""
        line, column = self.place(key)
        return SpecError(message, self.file, line, column, f"{self.prefix}{key}")

    def refusal(self, message: str) -> ImportRefused:
        """Return the error for something that is well formed and not understood."""
        return ImportRefused(f"{self.file}: {message}")

    def nested(self, key: str) -> ConfigSource:
        """Return the mapping under ``key``."""
        if key not in self.values:
            raise self.fault(key, "is missing")
        value = self.values[key]
        if not isinstance(value, Mapping):
            raise self.fault(key, f"must be an object, not {shown(value)}")
        return ConfigSource(self.file, value, self.place, f"{self.prefix}{key}.")


@dataclass
class ConfigFields:
    """A config as an adapter reads it: values by key, the class defaults of its family, and what was read so far."""

    source: ConfigSource
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    used: set[str] = field(default_factory=set[str])

    def fault(self, key: str, message: str) -> SpecError:
        return self.source.fault(key, message)

    def refusal(self, key: str, message: str) -> ImportRefused:
        return self.source.refusal(f"{self.source.prefix}{key} = {shown(self.source.values.get(key))}: {message}")

    def given(self, key: str) -> bool:
        """Say whether the config itself has a value for ``key``."""
        return self.source.values.get(key) is not None

    def raw(self, key: str, *aliases: str) -> Any:
        """Return the value under a key or one of its aliases, or the default; several that differ are a fault."""
        names = (key, *aliases)
        self.used.update(names)
        values = self.source.values
        present = [name for name in names if values.get(name) is not None]
        for other in present[1:]:
            if values[other] != values[present[0]]:
                raise self.fault(other, f"is {shown(values[other])}, but {present[0]} is {shown(values[present[0]])}")
        if present:
            return values[present[0]]
        return None if key in values else self.defaults.get(key, _MISSING)

    def whole(self, key: str, *aliases: str, least: int = 1, most: int = _MOST) -> int:
        """Return a whole number that must be there (or have a default), between ``least`` and ``most``."""
        value = self.raw(key, *aliases)
        if value is _MISSING:
            raise self.fault(key, "is missing")
        return self._checked(self._present(key, aliases), value, least, most)

    def optional_whole(self, key: str, *aliases: str, least: int = 1, most: int = _MOST) -> int | None:
        """Return a whole number, or None where the config (or, if it is silent, the class default) has null."""
        value = self.raw(key, *aliases)
        if value is None or value is _MISSING:
            return None
        return self._checked(self._present(key, aliases), value, least, most)

    def _present(self, key: str, aliases: Sequence[str]) -> str:
        return next((name for name in (key, *aliases) if self.given(name)), key)

    def _checked(self, key: str, value: Any, least: int, most: int) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.fault(key, f"must be a whole number, not {shown(value)}")
        if value != int(value):
            raise self.fault(key, f"must be a whole number, not {shown(value)}")
        if not least <= value <= most:
            limit = f"at least {least}" if value < least else f"at most {most}"
            raise self.fault(key, f"must be {limit}, not {shown(value)}")
        return int(value)

    def flag(self, key: str) -> bool:
        """Return true or false; null and nothing are the default, or false."""
        value = self.raw(key)
        if value is None or value is _MISSING:
            return bool(self.defaults.get(key, False))
        if not isinstance(value, bool):
            raise self.fault(key, f"must be true or false, not {shown(value)}")
        return value

    def word(self, key: str, *aliases: str) -> str | None:
        """Return a text, or None where there is none."""
        value = self.raw(key, *aliases)
        if value is None or value is _MISSING:
            return None
        if not isinstance(value, str):
            raise self.fault(key, f"must be a text, not {shown(value)}")
        return value

    def words(self, key: str) -> list[str] | None:
        """Return a list of texts, or None where there is none."""
        return self._list(key, str, "texts")

    def wholes(self, key: str) -> list[int] | None:
        """Return a list of whole numbers, or None where there is none."""
        return self._list(key, int, "whole numbers")

    def _list(self, key: str, kind: type[Any], what: str) -> list[Any] | None:
        value = self.raw(key)
        if value is None or value is _MISSING:
            return None
        if not isinstance(value, list) or not all(_is_a(item, kind) for item in value):
            raise self.fault(key, f"must be a list of {what}, not {shown(value)}")
        return list(value)


def _is_a(item: object, kind: type[Any]) -> bool:
    return isinstance(item, kind) and not isinstance(item, bool)
