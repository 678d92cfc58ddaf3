"""What commands print: one JSON object, or text aligned in columns; notes go to standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib import import_module
from typing import Any

from perfmodel.cli.invocation import stamp, stamped
from perfmodel.errors import InputError

STAMP = "perfmodel-stamp"
"""The id of the data island of a page that says where it comes from."""


def print_json(value: Any) -> None:
    """Print one JSON object: plain numbers only, and null for what is not finite.

    An object gets the version, the command, its inputs and the hashes of the specs, where it lacks them.
    """
    whole: Any = stamped(value) if isinstance(value, Mapping) else value
    json.dump(jsonable(whole), sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def jsonable(value: Any) -> Any:
    """Return a value in JSON's own types: numpy scalars become numbers, NaN and infinity null."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, str) or value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "tolist"):  # a numpy scalar or array, without importing numpy
        return jsonable(value.tolist())
    if isinstance(value, Iterable):
        return [jsonable(item) for item in value]
    return str(value)


def note(text: str) -> None:
    """Say something beside the answer, on standard error."""
    print(text, file=sys.stderr)


def write_page(target: str, page: str, report: Mapping[str, Any]) -> None:
    """Write an HTML report with its stamp (:func:`stamped_page`), and say so."""
    from perfmodel.files import write_text

    write_text(target, stamped_page(page, report))
    note(f"wrote {target}")


def stamped_page(page: str, report: Mapping[str, Any]) -> str:
    """Return an HTML report that keeps the command, the headline numbers and the hashes of the specs behind it.

    They stand in a data island, which ``perfmodel rerun`` reads, and the command once more in the footer.
    """
    kept = jsonable(stamp(report))
    island = json.dumps(kept, allow_nan=False).replace("<", "\\u003c")
    marked = page.replace("</head>", f'<script type="application/json" id="{STAMP}">{island}</script>\n</head>', 1)
    hashes = {name: digest for name, digest in (kept.get("spec_hashes") or {}).items() if digest not in page}
    said = ["specs " + ", ".join(f"{name} {digest}" for name, digest in hashes.items())] if hashes else []
    footer = "".join(f"<br>\n{escape(text)}" for text in (*said, kept.get("command", "")) if text)
    before, mark, after = marked.partition("</p>\n</footer>")
    return f"{before}{footer}{mark}{after}" if mark else marked


def stamped_book(book: bytes, report: Mapping[str, Any]) -> bytes:
    """Return a workbook whose document property "comments" says where it comes from, as a page's data island does."""
    import io
    import zipfile

    said = escape(json.dumps(jsonable(stamp(report)), allow_nan=False))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(book)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename == "docProps/core.xml":
                text = data.decode("utf-8")
                text = text.replace(
                    "</cp:coreProperties>", f"<dc:description>{said}</dc:description></cp:coreProperties>"
                )
                data = text.encode("utf-8")
            new.writestr(entry, data)
    return out.getvalue()


def write_table_csv(target: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of the same columns as CSV to a file, or to standard output if it is ``-``."""
    from perfmodel.reports.csv import write_csv

    write_csv(target, rows, list(rows[0]) if rows else [], stdout=sys.stdout)
    if target != "-":
        note(f"wrote {target}")


Rows = Sequence[Mapping[str, Any]]


def give(
    report: Mapping[str, Any], rows: Rows, show: Callable[[], object], *, json: bool, csv: str = "", html: str = "",
    page: str = "",
) -> None:  # fmt: skip
    """Write the files that were asked for, then the answer: as JSON, or as ``show`` prints it.

    ``rows`` are those of ``csv``; where they go to standard output nothing else does. ``page`` names the function of
    :mod:`perfmodel.reports` that makes the HTML of the report: ``plan.plan_html``.
    """
    if csv:
        write_table_csv(csv, rows)
    if html:
        module, _, name = page.partition(".")
        make: Callable[[Mapping[str, Any]], str] = getattr(import_module(f"perfmodel.reports.{module}"), name)
        write_page(html, make(report), report)
    if json:
        print_json(report)
    elif csv != "-":
        show()


def one_stdout(json_asked: bool, *files: str) -> None:
    """Refuse two answers on standard output."""
    if json_asked + files.count("-") > 1:
        raise InputError("only one of --json and --csv - can have standard output; name a file")


def print_columns(rows: Iterable[Sequence[str]], numbers: Sequence[int] = (), indent: str = "") -> None:
    """Print rows in columns, the first row being the heading; the columns in ``numbers`` are right-aligned."""
    table = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = [
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print(indent + "  ".join(cells).rstrip())


def short(value: float | int | None) -> str:
    """Return a number in four significant digits (all of a whole part up to a billion), an empty cell for None."""
    if value is None:
        return ""
    if isinstance(value, float) and 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def of_samples(heading: str, sample: str) -> str:
    """Return a heading such as ``samples/s`` in the words of a network's sample: ``images/s``."""
    if not sample:
        return heading
    from perfmodel.reports.summary import plural

    return heading.replace("samples", plural(sample)).replace("sample", sample)
