"""Registries hold everything that there is a file for, and everything registered can be costed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from perfmodel.cost.operator_cost import uncosted_operators
from perfmodel.devices import list_devices, load_device
from perfmodel.ops import OPERATORS, Operator
from perfmodel.workloads.library import list_models, load_model


def modules(root: Path, package: str) -> list[str]:
    return sorted(p.stem for p in (root / package.replace(".", "/")).glob("*.py") if not p.stem.startswith("_"))


@pytest.mark.parametrize("package", ["perfmodel.ops", "perfmodel.workloads.families"])
def test_importing_the_package_imports_every_file(root: Path, package: str) -> None:
    names = [f"{package}.{name}" for name in modules(root, package)]
    program = f"import sys, {package}; print(*[n for n in {names!r} if n not in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_every_operator_is_registered(root: Path) -> None:
    found = {
        cls
        for name in modules(root, "perfmodel.ops")
        for _, cls in inspect.getmembers(import_module(f"perfmodel.ops.{name}"), inspect.isclass)
        if issubclass(cls, Operator) and "KIND" in cls.__dict__
    }
    assert found == set(OPERATORS.values())


def test_every_operator_has_a_cost() -> None:
    assert uncosted_operators() == []


def test_every_model_loads() -> None:
    assert [load_model(name).name for name in list_models()] == list(list_models())


def test_every_device_loads() -> None:
    assert [load_device(name).name for name in list_devices()] == list(list_devices())
