"""Files that are written whole or not at all, and cells of CSV files that no spreadsheet runs as a formula."""

from __future__ import annotations

import io
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, TextIO, cast

from perfmodel.errors import InputError

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_text(path: str | Path, text: str) -> None:
    """Write a text as UTF-8, whole or not at all; raises :class:`InputError` where no file can be written."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Write bytes, whole or not at all; raises :class:`InputError` where no file can be written."""
    with whole_file(path) as file:
        file.write(data)


@contextmanager
def whole_text(path: str | Path) -> Iterator[TextIO]:
    """Open a UTF-8 text for writing as :func:`whole_file` does, gzipped if its name ends in ``.gz``."""
    with whole_file(path) as file:
        if not str(path).endswith(".gz"):
            yield from _encoded(file)
            return
        import gzip

        with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as stream:
            yield from _encoded(cast(IO[bytes], stream))


def _encoded(file: IO[bytes]) -> Iterator[TextIO]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    try:
        yield text
    finally:
        text.detach()


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for writing that takes the place of ``path`` only when the block ends without an error.

    What was there stays until then. A link is followed; a pipe or a device such as ``/dev/null`` is written directly.
    An OSError of the block is taken for one of writing.
    """
    target = _checked(Path(path).expanduser())
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                yield stream
        else:
            yield from _replacing(target)
    except OSError as error:
        raise InputError(f"cannot write '{path}': {error.strerror or error}") from error


def _replacing(target: Path) -> Iterator[BinaryIO]:
    temporary = target.parent / f".perfmodel-{secrets.token_hex(6)}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _checked(path: Path) -> Path:
    """Return where to write, links followed; a folder, or a file in a folder that is not there, is an error."""
    if str(path) == "-":
        raise InputError("'-' is standard output, which takes a table (--csv -) and nothing else: name a file")
    if path.is_dir():
        raise InputError(f"cannot write '{path}': it is a folder; name a file in it, such as '{path / 'report'}'")
    if path.exists() and not path.is_file():
        return path  # /dev/stdout leads to a pipe that has no name
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(f"cannot write '{path}': there is no folder '{target.parent}'; make it first")
    return target


def defused(text: str) -> str:
    """Return a cell with an apostrophe before it if a spreadsheet would take it for a formula; numbers stay."""
    if not text.startswith(_FORMULA_STARTS) or _is_number(text):
        return text
    return f"'{text}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text[0] in "+-"
