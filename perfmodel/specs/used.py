"""Which spec files this process has read, by the hash of their content: what an answer rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

_read: dict[str, str] = {}


def note_used(path: str | Path, text: str) -> None:
    """Remember that a spec file was read."""
    _read[str(path)] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def read_hashes() -> dict[str, str]:
    """Return the path of each file that was read with the hash of its content."""
    return dict(_read)


def note_hashes(hashes: Mapping[str, str]) -> None:
    """Remember files that another process has read for this one."""
    _read.update(hashes)


def used_files() -> dict[str, str]:
    """Return each file that was read (folder and stem, ``gpu/h100-sxm``) with the hash of its content, sorted.

    Files are read once a process, so that after several questions in one process this is what they read together.
    """
    return dict(sorted((f"{Path(path).parent.name}/{Path(path).stem}", digest) for path, digest in _read.items()))


def data_hash() -> tuple[str, int]:
    """Return the hash of all packaged spec files (their paths and contents), and how many they are."""
    from perfmodel.specs.locate import KINDS, packaged_root

    whole, count = hashlib.sha256(), 0
    for kind in KINDS:
        root = packaged_root(kind)
        for path in sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            whole.update(f"{kind}/{path.relative_to(root).as_posix()}\0".encode())
            whole.update(hashlib.sha256(path.read_bytes()).digest())
            count += 1
    return whole.hexdigest()[:16], count
