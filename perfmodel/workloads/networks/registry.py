"""The families of networks, by name; the file of one is imported when it is first looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from perfmodel.workloads.network import AnyNetwork
from perfmodel.workloads.networks.homes import HOMES

Generator = Callable[..., AnyNetwork]
"""``generator(name, **fields)``: what a variant's fields say, built; ``image`` and ``classes`` where there are such."""

_registered: dict[str, Generator] = {}


def family(name: str) -> Callable[[Generator], Generator]:
    """Function decorator: enter a generator under its family's name; a second one of the same name raises."""

    def entered(generator: Generator) -> Generator:
        if name in _registered:
            raise ValueError(f"network family '{name}' is registered twice")
        _registered[name] = generator
        return generator

    return entered


class _Families(Mapping[str, Generator]):
    def __getitem__(self, name: str) -> Generator:
        if name not in _registered and name in HOMES:
            import_module(f"perfmodel.workloads.networks.{HOMES[name]}")
        return _registered[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**HOMES, **_registered})

    def __len__(self) -> int:
        return len({**HOMES, **_registered})


FAMILIES = _Families()
"""The generators by family."""
