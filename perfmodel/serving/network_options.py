"""The options of a question about a network, by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from perfmodel.errors import InputError, did_you_mean
from perfmodel.serving.network import NetworkQuestion
from perfmodel.workloads.network import AnyNetwork, as_pipeline


def check_options(names: Iterable[str]) -> None:
    """Refuse options that no question about a network has. Errors: :class:`InputError` with the nearest one."""
    known = [field.name for field in fields(NetworkQuestion)]
    for name in names:
        if name not in known:
            hint = did_you_mean(name, [*known, "batch", "image"])
            raise InputError(f"networks have no option '{name}'{hint} (they have batch, image, {', '.join(known)})")


def check_layers(network: AnyNetwork, layers: Iterable[tuple[str, str]]) -> None:
    """Refuse patterns (of ``layers``' precisions) that no layer matches: a precision that nothing has is a mistake."""
    from fnmatch import fnmatchcase

    names = [node.name for stage in as_pipeline(network).stages for node in stage.network.nodes]
    for pattern, _ in layers:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(
                f"no layer of {network.name} matches '{pattern}'; they are called {', '.join(names[:6])} ..."
            )
