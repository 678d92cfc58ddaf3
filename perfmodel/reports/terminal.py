"""An estimate in the terminal: the answer first, then the memory, the operators, and the notes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel.reports.ops_table import Phase, folded, label, share, together
from perfmodel.reports.summary import (
    BANDS,
    STAGE_COLUMNS,
    fit,
    limit,
    memory_of,
    memory_parts,
    queue,
    rates,
    room,
    scenario,
    stages,
    times,
    title,
    used_bytes,
    warning,
    work_line,
)
from perfmodel.reports.text import MISSING, Report, Row, number, percent, seconds, size

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_MOST_ROWS = 10
_PIPE_WIDTH = 100


def render_estimate(report: Report, console_width: int | None = None) -> None:
    """Print an estimate to standard output; ``console_width`` is in characters, None takes the terminal's.

    Colours and lines are only for a terminal; nothing is said by a colour alone.
    """
    console = _console(console_width)
    _heading(console, title(report), scenario(report))
    if text := warning(report):
        _heading(console, f"\n{text}")
    _answer(console, report)
    _memory(console, report)
    _stages(console, report)
    for phase in together(report):
        _operators(console, phase)
    _notes(console, report)


def _console(width: int | None) -> Console:
    from rich.console import Console

    class Piped(Console):
        """A console that leaves it to the program what a reader that has gone means, and does not end it with 1."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    console = Piped(width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)
    if width is None and not console.is_terminal:
        console.width = _PIPE_WIDTH
    return console


def _table(console: Console, *columns: str, texts: int = 1) -> Table:
    """Return a table whose first ``texts`` columns are aligned left."""
    from rich import box
    from rich.table import Table

    edges = box.SIMPLE_HEAD if console.is_terminal else None
    table = Table(box=edges, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, column in enumerate(columns):
        left = place < texts
        table.add_column(column, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    return table


def _heading(console: Console, text: str, detail: str = "") -> None:
    from rich.text import Text

    console.print(Text(text, style="bold"))
    if detail:
        console.print(detail)


def _answer(console: Console, report: Report) -> None:
    console.print()
    pairs = [*rates(report), ("memory", fit(report)), ("queue", queue(report)), ("limited by", limit(report))]
    found = times(report)
    if found:
        table = _table(console, "time", *BANDS)
        for time in found:
            table.add_row(time.name, *(_safe(console, time.text(band)) for band in BANDS))
        console.print(table)
        console.print()
    pairs.append(("work", work_line(report)))
    for name, text in pairs:
        if text:
            console.print(f"{name:<12}{_safe(console, text)}")


def _memory(console: Console, report: Report) -> None:
    parts = memory_parts(report)
    capacity = number(memory_of(report).get("capacity_bytes"))
    if not parts:
        return
    console.print()
    _heading(console, "Memory of one device")
    table = _table(console, "what", "size", "of capacity")
    totals = [("all together", used_bytes(report)), ("capacity", capacity)]
    for name, part in [*parts, *totals]:
        table.add_row(name, size(part), percent(part / capacity) if part is not None and capacity else MISSING)
    for name, text in room(report):
        table.add_row(name, text, "")
    console.print(table)


def _stages(console: Console, report: Report) -> None:
    rows = stages(report)
    if not rows:
        return
    console.print()
    _heading(console, "Networks of the pipeline")
    table = _table(console, *STAGE_COLUMNS)
    for row in rows:
        table.add_row(*(_safe(console, cell) for cell in row))
    console.print(table)


def _operators(console: Console, phase: Phase) -> None:
    console.print()
    fused = " (name+n: n more layers in its kernel)" if any("+" in str(row.get("name")) for row in phase.rows) else ""
    _heading(console, _safe(console, f"{phase.name}: {seconds(phase.expected_s)} expected{fused}"))
    table = _table(console, "operator", "part", "share", "bound", "expected", "limited by", texts=2)
    table.columns[-1].justify = "left"
    shown, others = folded(phase, _MOST_ROWS)
    for row in [*shown, others]:
        if row is not None:
            table.add_row(*_cells(console, row, phase))
    console.print(table)


def _cells(console: Console, row: Row, phase: Phase) -> list[str]:
    bands = [_safe(console, seconds(row.get(key))) for key in ("bound_s", "expected_s")]
    part, bottleneck = (str(row.get(key) or MISSING) for key in ("part", "bottleneck"))
    return [label(row, phase), part, percent(share(row, phase)), *bands, bottleneck]


def _notes(console: Console, report: Report) -> None:
    notes = [str(note) for note in report.get("notes") or ()]
    if notes:
        console.print()
        _heading(console, "Notes")
        for note in notes:
            console.print(_safe(console, f"- {note}"))


def _safe(console: Console, text: str) -> str:
    """Return a text that the terminal's encoding can show."""
    try:
        text.encode(console.encoding)
    except UnicodeEncodeError:
        return text.replace("µ", "u").encode(console.encoding, "replace").decode(console.encoding)
    return text
