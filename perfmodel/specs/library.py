"""The files of one schema: their names, and what they say, read once until they change."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

from perfmodel.errors import SpecError
from perfmodel.specs.locate import find_spec, list_specs

Item = TypeVar("Item")


class SpecLibrary(Generic[Item]):
    """The files of ``schema`` in a folder of the library and of the user, each made into an object by ``build``."""

    def __init__(self, folder: str, schema: str, build: Callable[[Path], Item]) -> None:
        self.folder, self.schema = folder, schema

        @lru_cache(maxsize=256)
        def read(path: Path, stamp: int) -> Item:
            del stamp  # a file that has changed is read anew
            return build(path)

        self._read = read

    def names(self) -> tuple[str, ...]:
        """Return the names of all, sorted, without parsing their files."""
        return list_specs(self.folder, self.schema)

    def load(self, name_or_path: str | Path) -> Item:
        """Return one by name, alias or path.

        Raises :class:`UnknownNameError` with the nearest names, or :class:`SpecError` with all faults of the file.
        """
        path = find_spec(self.folder, str(name_or_path), self.schema)
        try:
            return self._read(path, path.stat().st_mtime_ns)
        except OSError as error:
            raise SpecError(f"cannot be read: {error.strerror}", str(path)) from None
