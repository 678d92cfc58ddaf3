from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[3]
_HEAVY = ("plotly", "pandas", "numpy", "rich", "xlsxwriter", "sympy")


def _loaded_after(code: str) -> set[str]:
    show = f"{code}; import sys; print(*(name for name in {_HEAVY!r} if name in sys.modules))"
    found = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True, cwd=_ROOT)
    return set(found.stdout.split())


def test_importing_reports_is_cheap() -> None:
    assert _loaded_after("import perfmodel.reports") == set()


def test_rows_and_csv_need_nothing_heavy() -> None:
    code = "import sys; from perfmodel.reports import *; write_csv('-', estimate_rows({}), ['a'], sys.stderr)"
    assert _loaded_after(code) == set()
