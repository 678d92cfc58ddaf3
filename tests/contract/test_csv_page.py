"""The page on CSV files says what commands write."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path


def test_the_page_is_what_the_commands_write(root: Path) -> None:
    spec = spec_from_file_location("make_csv", root / "docs" / "make_csv.py")
    assert spec is not None
    assert spec.loader is not None
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    assert made.page() == (root / "docs" / "csv.md").read_text(encoding="utf-8"), "run python docs/make_csv.py"
