"""What two processes must share for their numbers to be the same: the version, and the data that it reads."""

from __future__ import annotations

import hashlib
from functools import cache

from perfmodel import __version__
from perfmodel.specs.locate import KINDS, user_roots
from perfmodel.specs.used import data_hash


@cache
def data_state() -> dict[str, str]:
    """Return the version and the hashes of the packaged data and of the user's own spec files."""
    own = hashlib.sha256()
    for kind in KINDS:
        for root in user_roots(kind):
            for path in sorted(root.rglob("*.y*ml")):
                own.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return {"version": __version__, "data": data_hash()[0], "own specs": own.hexdigest()[:16]}
