"""What the site shows of data, computed anew when it is built: errors against published figures, and reproductions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

_HEAD = """# Errors, as computed for this site

The figures that come with perfmodel, each with its citation, against the model of this version: errors in % of the
time, as found. What the columns mean, and the larger tables: [validation](../validation.md) and
[accuracy](../accuracy.md).
"""


def errors_page() -> str:
    """Return the error tables of all figures that the project carries, as one page."""
    from perfmodel.validation.kinds import KINDS, carried_table, read_kind
    from perfmodel.validation.tables import error_table

    parts = [_HEAD]
    for kind, chosen in KINDS.items():
        if chosen.carried:
            rows, reasons = read_kind(kind, carried_table(kind))
            groups = chosen.by.removesuffix(",device").split(",")
            parts.append(f"## {kind}\n\n    perfmodel validate {kind}\n")
            parts.append(f"{len(rows)} figures answered, {sum(reasons.values())} not.\n")
            parts.append(_table(error_table(rows, groups)))
    return "\n".join(parts)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    heading = " | ".join(name.replace("_percent", ", %").replace("_", " ") for name in rows[0])
    lines = [f"| {heading} |", f"|{' --- |' * len(rows[0])}"]
    lines += [f"| {' | '.join(_cell(value) for value in row.values())} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value).replace("|", "\\|")


def reproductions_page() -> str:
    """Return the page of all reproductions, derived again."""
    from perfmodel.cli import run

    with TemporaryDirectory() as folder:
        target = Path(folder) / "page.md"
        if code := run(["reproduce", "--all", "--markdown", str(target)]):
            raise RuntimeError(f"perfmodel reproduce --all ends with {code}")
        return target.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.stdout.write(errors_page())
