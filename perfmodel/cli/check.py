"""What ``device check`` and ``model check`` have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from perfmodel.cli.output import print_json
from perfmodel.cli.workers import each
from perfmodel.errors import PerfmodelError, ValidationFailed

SCHEMA = "perfmodel/check/1"
Find = Callable[[str], list[dict[str, str]]]


def check_all(
    what: str,
    names: Sequence[str],
    find: Find,
    json: bool,
    strict: bool = False,
    counts: Mapping[str, int] | None = None,
) -> None:
    """Check specs and print the findings; :class:`ValidationFailed` if one is an error, or if strict a warning.

    ``find`` is a function of a module, for it may run in other processes; ``counts`` are further figures of all specs
    together, such as how many numbers were looked up.
    """
    rows = [row for found in each(find, names, f"{what}s") for row in found]
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


def findings(name: str, load: Callable[[str], Any], check: Callable[[Any], Iterable[Any]]) -> list[dict[str, str]]:
    """Return what is found of one spec, a row each; a spec that cannot be read is a finding too."""
    try:
        return [{"name": name, "level": one.level, "field": one.field, "message": one.message}
                for one in check(load(name))]  # fmt: skip
    except PerfmodelError as error:
        return [{"name": name, "level": "error", "field": "", "message": str(error)}]
