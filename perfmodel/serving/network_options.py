"""The options of a question about a network, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from perfmodel.errors import InputError, did_you_mean
from perfmodel.serving.network import NetworkQuestion


def check_options(names: Iterable[str]) -> None:
    """Refuse options that no question about a network has. Errors: :class:`InputError` with the nearest one."""
    known = [field.name for field in fields(NetworkQuestion)]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, [*known, "batch", "image"])
            raise InputError(f"networks have no option '{name}'{hint} (they have batch, image, {', '.join(known)})")
