"""The wheel carries its data and works where there is no checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def call(site: Path, folder: Path, program: str, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


def test_contents(root: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        points = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    for kind in ("hardware_specs", "workloads"):
        stored = {f"perfmodel/_data/{p.relative_to(root)}" for p in (root / kind).rglob("*.yaml")}
        assert stored
        assert stored <= names
    assert "perfmodel/py.typed" in names
    assert "perfmodel = perfmodel.cli:main" in points
    assert not [n for n in names if not n.startswith("perfmodel")], "only the package is at the top"


def test_it_answers_elsewhere(site: Path, tmp_path: Path) -> None:
    where = call(site, tmp_path, "import perfmodel; print(perfmodel.__file__)")
    assert Path(where.strip()).is_relative_to(site)
    main = "from perfmodel.cli import main; main()"
    assert "h100-sxm" in call(site, tmp_path, main, "device", "list")
    answer = call(site, tmp_path, main, "estimate", "llama-3.1-8b", "--on", "h100-sxm", "--json")
    assert json.loads(answer)["tpot_s"]["expected"] > 0
