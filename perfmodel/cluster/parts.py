"""Results on disk, one file a part: whoever asks the same question again finds the parts that are there already."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from perfmodel.cluster.agreement import data_state
from perfmodel.cluster.mapping import Mapper
from perfmodel.errors import InputError
from perfmodel.files import write_bytes, write_text

QUESTION = "_question.json"
"""What the parts answer; readers of a folder of Parquet files leave names with an underscore out."""

Progress = Callable[[int, "int | None"], None]


class Made(NamedTuple):
    """What a task made: the bytes of its part, or why it has none."""

    content: bytes
    problem: str = ""


class PartStore:
    """A folder of parts of one question: ``part-000017-<hash of the question>.<suffix>``.

    The hash is of ``question`` (plain values), the version and the data behind the answers, so that parts of another
    question are never taken for parts of this one. A part is written whole or not at all, by the process that asks.
    Errors: :class:`InputError` for a folder that holds another question.
    """

    def __init__(self, folder: str | Path, question: Mapping[str, Any], suffix: str) -> None:
        self.folder, self.suffix = Path(folder).expanduser(), suffix
        text = json.dumps({"question": question, "answered by": data_state()}, sort_keys=True, indent=1, default=str)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:12]
        self._claim(text)

    def _claim(self, text: str) -> None:
        note = self.folder / QUESTION
        try:
            self.folder.mkdir(exist_ok=True)
            known = note.read_text(encoding="utf-8") if note.exists() else None
            others = [path.name for path in self.folder.iterdir() if path.name != QUESTION] if known is None else []
        except OSError as error:
            raise InputError(f"cannot keep parts in '{self.folder}': {error.strerror or error}") from error
        if others:
            raise InputError(f"'{self.folder}' holds other files, such as {others[0]}; name a folder for parts alone")
        if known is not None and known != text:
            raise InputError(f"'{self.folder}' holds parts of another question; remove it, or name another folder")
        if known is None:
            write_text(note, text)

    def path(self, place: int) -> Path:
        """Return where a part is kept."""
        return self.folder / f"part-{place:06d}-{self.key}.{self.suffix}"

    def _problem(self, place: int) -> Path:
        return self.folder / f"_none-{place:06d}-{self.key}.txt"

    def has(self, place: int) -> bool:
        """Say whether a part is there, or why it cannot be."""
        return self.path(place).exists() or self._problem(place).exists()

    def keep(self, place: int, made: Made) -> None:
        """Write a part, or why there is none."""
        if made.problem:
            write_text(self._problem(place), made.problem)
        else:
            write_bytes(self.path(place), made.content)

    def problem(self, place: int) -> str:
        """Return why a part cannot be, empty if it can."""
        path = self._problem(place)
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def remove(self) -> None:
        """Delete the folder: the parts have been joined to something else."""
        shutil.rmtree(self.folder)


def keep_all(
    store: PartStore, make: Callable[[Any], Made], tasks: Sequence[Any], mapper: Mapper, sizes: Sequence[int],
    progress: Progress | None = None,
) -> int:  # fmt: skip
    """Make and keep the parts that are not there yet, part ``i`` from task ``i``; return how many were there.

    ``sizes`` are points of each part, for the progress.
    """
    missing = [place for place in range(len(tasks)) if not store.has(place)]
    done, everything = sum(sizes), sum(sizes)
    done -= sum(sizes[place] for place in missing)
    for place, made in mapper(make, [tasks[place] for place in missing]):
        store.keep(missing[place], made)
        done += sizes[missing[place]]
        if progress:
            progress(done, everything)
    return len(tasks) - len(missing)
