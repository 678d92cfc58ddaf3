"""What all tests share: a command line in this process, and no settings of whoever runs them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: the tests run in parallel already

import pytest
from hypothesis import settings

from perfmodel.cli import run

settings.register_profile("perfmodel", deadline=None)  # a busy machine is no failure
settings.load_profile("perfmodel")

ROOT = Path(__file__).resolve().parent.parent


class Result(NamedTuple):
    """What a command line left: its exit code, standard output and standard error."""

    code: int
    out: str
    err: str


Cli = Callable[..., Result]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return a function that runs a command line and returns what it left."""

    def call(*arguments: str | Path) -> Result:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Result(code, *capsys.readouterr())

    return call


@pytest.fixture(autouse=True)
def no_user_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the tester's own specs and defaults out."""
    monkeypatch.delenv("PERFMODEL_SPECS", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nowhere")


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the checkout."""
    return ROOT
