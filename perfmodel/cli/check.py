"""What ``device check`` and ``model check`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from perfmodel.cli.output import print_json
from perfmodel.errors import PerfmodelError, ValidationFailed

SCHEMA = "perfmodel/check/1"
Load = Callable[[str], Any]
Check = Callable[[Any], Iterable[Any]]


def check_all(
    what: str,
    names: Sequence[str],
    load: Load,
    check: Check,
    json: bool,
    strict: bool = False,
    counts: Mapping[str, int] | None = None,
) -> None:
    """Check specs and print the findings; :class:`ValidationFailed` if one is an error, or if strict a warning.

    ``counts`` are further figures of all specs together, such as how many numbers were looked up.
    """
    rows = [row for name in names for row in _findings(name, load, check)]
    errors = sum(row["level"] == "error" for row in rows)
    if json:
        head = {"schema": SCHEMA, "checked": len(names), "errors": errors, "warnings": len(rows) - errors}
        print_json({**head, **(counts or {}), "findings": rows})
    else:
        for row in rows:
            print(": ".join(part for part in (row["level"], row["name"], row["field"], row["message"]) if part))
        more = "".join(f", {count:,} {title.replace('_', ' ')}" for title, count in (counts or {}).items())
        print(f"{len(names)} checked, {errors} errors, {len(rows) - errors} warnings{more}")
    if errors:
        raise ValidationFailed(f"{errors} errors in {len(names)} {what} files")
    if strict and rows:
        raise ValidationFailed(f"{len(rows)} warnings in {len(names)} {what} files, and --strict allows none")


def _findings(name: str, load: Load, check: Check) -> Iterator[dict[str, str]]:
    try:
        for found in check(load(name)):
            yield {"name": name, "level": found.level, "field": found.field, "message": found.message}
    except PerfmodelError as error:
        yield {"name": name, "level": "error", "field": "", "message": str(error)}
