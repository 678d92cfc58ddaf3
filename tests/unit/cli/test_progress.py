"""Progress is for a person at a terminal."""

from __future__ import annotations

import sys

import pytest

from perfmodel.cli.progress import progress


def test_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work") as update:
        assert update is None
    assert capsys.readouterr().err == ""


def test_on_a_terminal_it_goes_to_standard_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("work") as update:
        assert update is not None
        update(1, 2)
        update(2, None)
    assert capsys.readouterr().out == ""
