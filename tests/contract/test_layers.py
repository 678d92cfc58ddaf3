"""The layers: a package imports only what stands below it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path


def test_lint_imports(root: Path) -> None:
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    found = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_package_has_its_layer(root: Path) -> None:
    contract = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layered = {name.strip() for layer in contract["layers"] for name in layer.replace(":", "|").split("|")}
    present = {
        f"perfmodel.{path.stem}"
        for path in (root / "perfmodel").iterdir()
        if path.name not in ("__init__.py", "py.typed", "_data") and not path.name.startswith("__")
    }
    assert present == layered
