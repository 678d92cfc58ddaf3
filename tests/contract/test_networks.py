"""The library of networks: every variant builds, counts what is published, and has a name of its own."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from perfmodel.specs.locate import list_specs
from perfmodel.workloads import networks
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.homes import HOMES
from perfmodel.workloads.networks.library import list_networks, load_network
from perfmodel.workloads.networks.published import disagreements
from perfmodel.workloads.networks.registry import FAMILIES

NAMES = list_networks()


def test_the_index_of_families_is_right() -> None:
    for module in pkgutil.iter_modules(networks.__path__):
        importlib.import_module(f"perfmodel.workloads.networks.{module.name}")
    for name, home in HOMES.items():
        assert FAMILIES[name].__module__ == f"perfmodel.workloads.networks.{home}"
    assert set(FAMILIES) == set(HOMES)


def test_no_network_hides_a_language_model() -> None:
    assert not set(NAMES) & set(list_specs("workloads", "workload"))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_network_builds_and_counts_what_is_published(part: int) -> None:
    wrong: list[str] = []
    for name in NAMES[part::8]:
        network = load_network(name)
        assert network.parameters >= 0
        assert network.matmul_flops >= 0
        if isinstance(network, Network):
            wrong += disagreements(network)
    assert not wrong, "\n".join(wrong)
