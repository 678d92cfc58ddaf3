"""What is not needed is not imported: start-up is part of every answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"sympy", "pandas", "scipy", "plotly", "xlsxwriter"}
QUICK = HEAVY | {"numpy", "rich", "pydantic"}


def imported(root: Path, program: str) -> set[str]:
    """Return the top-level names of the modules that a program leaves imported."""
    report = (
        "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    found = subprocess.run(
        [sys.executable, "-c", f"{program}\n{report}"], cwd=root, capture_output=True, text=True, check=True
    )
    return set(json.loads(found.stderr.splitlines()[-1]))


@pytest.mark.parametrize("name", ["perfmodel", "perfmodel.cli", "perfmodel.api", "perfmodel.reports"])
def test_import(root: Path, name: str) -> None:
    assert not imported(root, f"import {name}") & QUICK


@pytest.mark.parametrize(
    "arguments",
    [
        "--help",
        "estimate --help",
        "device list",
        "model show llama-3.1-8b --json",
        "estimate llama-3.1-8b --on h100-sxm --json",
        "ops llama-3.1-8b --on h100-sxm",
        "model show resnet50",
        "estimate resnet50 --on rtx-4090 --batch 8 --json",
    ],
)
def test_command(root: Path, arguments: str) -> None:
    program = f"from perfmodel.cli import run; assert run({arguments.split()!r}) == 0"
    assert not imported(root, program) & QUICK


def test_the_terminal_answer_needs_rich_at_most(root: Path) -> None:
    program = "from perfmodel.cli import run; run('estimate llama-3.1-8b --on h100-sxm'.split())"
    assert not imported(root, program) & (QUICK - {"rich"})


def test_completion(root: Path) -> None:
    program = "from perfmodel.cli.options import complete_device; assert 'h100-sxm' in complete_device('h100')"
    assert not imported(root, program) & QUICK
