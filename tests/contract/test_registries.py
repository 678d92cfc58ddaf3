"""Registries hold everything that there is a file for, and everything registered can be costed."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from perfmodel.cost.engines.gpu import uncosted_operators
from perfmodel.devices import list_devices, load_device
from perfmodel.ops import OPERATORS, Operator
from perfmodel.workloads.families import ADAPTERS
from perfmodel.workloads.families.homes import HOMES
from perfmodel.workloads.library import list_models, load_model


def modules(root: Path, package: str) -> list[str]:
    return sorted(p.stem for p in (root / package.replace(".", "/")).glob("*.py") if not p.stem.startswith("_"))


def test_importing_operators_imports_every_file(root: Path) -> None:
    package = "perfmodel.ops"
    names = [f"{package}.{name}" for name in modules(root, package)]
    program = f"import sys, {package}; print(*[n for n in {names!r} if n not in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


def test_every_family_is_at_home(root: Path) -> None:
    """What the index says of each file is what it registers."""
    registering = [
        path for path in (root / "perfmodel/workloads/families").glob("*.py") if "\n@register(" in path.read_text()
    ]
    homes: dict[str, str] = {}
    for path in registering:
        import_module(f"perfmodel.workloads.families.{path.stem}")
    for model_type in ADAPTERS:
        homes[model_type] = ADAPTERS[model_type].read.__module__.rsplit(".", 1)[1]
    assert homes == HOMES
    assert {path.stem for path in registering} == set(HOMES.values())


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
