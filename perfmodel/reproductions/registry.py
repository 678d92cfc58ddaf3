"""The kinds of parts: each a file of ``kinds``, found by scanning that package, with one function that answers."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from perfmodel.errors import InputError, did_you_mean

Answer = Callable[..., Mapping[str, Any]]
"""Arguments by name to an answer: a JSON-ready mapping, whose numbers an expression names by their path."""

_KINDS: dict[str, Answer] = {}


def kind(name: str) -> Callable[[Answer], Answer]:
    """Register a function as the kind ``name`` of parts."""

    def register(function: Answer) -> Answer:
        _KINDS[name] = function
        return function

    return register


@cache
def kinds() -> Mapping[str, Answer]:
    """Return all kinds by name."""
    from perfmodel.reproductions import kinds as package

    for module in pkgutil.iter_modules(package.__path__):
        import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_KINDS.items()))


def answer(name: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the answer of a kind. Errors: :class:`InputError` for an unknown kind or arguments that it has not."""
    found = kinds().get(name)
    if found is None:
        raise InputError(f"unknown kind '{name}'{did_you_mean(name, kinds())} (one of {', '.join(kinds())})")
    try:
        return found(**arguments)
    except TypeError as error:
        if f"{found.__name__}()" not in str(error):
            raise
        raise InputError(f"kind {name}: {str(error).removeprefix(found.__name__ + '() ')}") from None
