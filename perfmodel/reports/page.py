"""The frame of an HTML report: style sheet, script, and the pieces of a page that needs nothing from anywhere else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from html import escape as escape_tags
from importlib.resources import files
from typing import Any

from perfmodel.reports.views.view import Drawing, Key, Plot, Table, View

_BUTTONS_PX = 34
_LONG = 28
"""Letters from which on a cell may be broken into lines, where a table is too wide."""

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=[A-Za-zµ%])")

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


def escape(text: str) -> str:
    """Return a text for HTML in which a number stays on one line with its unit."""
    return _BEFORE_UNIT.sub("\u00a0", escape_tags(text))


def page(
    title: str, header: str, body: str, footer: str, plots: list[Plot], *, style: str = "", scripts: str = ""
) -> str:
    """Return a whole page; the three parts are HTML, and plotly.js is inlined if there is anything to draw.

    ``style`` is added to the style sheet; ``scripts`` are script elements that the page ends with.
    """
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_asset('page.css')}{style}</style>\n</head>\n<body>\n"
        f"<header>\n{header}\n</header>\n<main>\n{body}\n</main>\n<footer>\n<p>{footer}</p>\n</footer>\n"
        f"{_scripts(plots)}{scripts}</body>\n</html>\n"
    )


def _asset(name: str) -> str:
    return files("perfmodel.reports").joinpath(name).read_text(encoding="utf-8")


def _scripts(plots: list[Plot]) -> str:
    if not plots:
        return ""
    from plotly.offline import get_plotlyjs

    specs = "".join(f'<script type="application/json" data-plot="{p.div_id}">{_json(p)}</script>\n' for p in plots)
    return f"{specs}<script>{get_plotlyjs()}</script>\n<script>\n{_asset('page.js')}</script>\n"


def _json(plot: Plot) -> str:
    layout = plot.layout
    if plot.zoomable:  # its buttons stand above what is drawn, not on it
        margin = {"t": 0, **layout.get("margin", {})}
        layout = {**layout, "margin": {**margin, "t": max(margin["t"], _BUTTONS_PX)}}
    return safe_json({"data": plot.data, "layout": layout, "zoomable": plot.zoomable})


def safe_json(value: Any) -> str:
    """Return a value as JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def cards(shown: Iterable[Sequence[str]]) -> str:
    """Return the headline numbers: of each its name, its value, and lines of detail."""
    return f'<div class="cards">\n{"".join(card(*one) for one in shown)}</div>\n'


def card(name: str, value: str, *details: str, bad: bool = False) -> str:
    """Return one headline number; a ``bad`` one is framed."""
    said = "".join(f"<span>{escape(detail)}</span>" for detail in details if detail)
    kind = "card bad" if bad else "card"
    return f'<div class="{kind}"><span>{escape(name)}</span><b>{escape(value)}</b>{said}</div>\n'


def section(view: View) -> str:
    """Return a view as HTML: the finding, the figures, and their data in a table that opens."""
    caption = f'<p class="soft">{escape(view.caption)}</p>\n' if view.caption else ""
    return (
        f'<section id="{view.anchor}">\n<h2>{escape(view.title)}</h2>\n<p class="finding">{escape(view.finding)}</p>\n'
        f"{''.join(map(_figure, view.plots))}{''.join(map(_drawing, view.drawings))}{caption}{_details(view)}"
        "</section>\n"
    )


_SHAPES = {
    "circle": '<circle cx="6.5" cy="6.5" r="6"',
    "diamond": '<path d="M6.5 0 13 6.5 6.5 13 0 6.5z"',
    "square": '<path d="M1 1h11v11H1z"',
    "bar": '<path d="M0 1h13v11H0z"',
    "frame": '<path d="M1.5 1.5h10v10h-10z"',
}


def _legend(keys: tuple[Key, ...]) -> str:
    items = "".join(f"<li>{_swatch(key)}{escape(key.text)}</li>" for key in keys)
    return f'<ul class="legend">{items}</ul>\n' if items else ""


def _swatch(key: Key) -> str:
    paint = (
        f'fill="{key.colour or "currentColor"}" stroke="currentColor" stroke-width="{0 if key.shape == "bar" else 1}"'
    )
    if key.shape == "frame":
        paint = f'fill="none" stroke="{key.colour or "currentColor"}" stroke-width="2.5"'
    return f'<svg viewBox="0 0 13 13" aria-hidden="true">{_SHAPES[key.shape]} {paint}/></svg>'


def _figure(plot: Plot) -> str:
    heading = f"<h3>{escape(plot.heading)}</h3>\n" if plot.heading else ""
    role = "group" if plot.zoomable else "img"  # a picture has no buttons in it
    return (
        f'{heading}{_legend(plot.legend)}<figure role="{role}" aria-label="{escape(plot.label)}">'
        f'<div class="plot" id="{plot.div_id}" style="height:{plot.height_px}px"></div></figure>\n'
    )


def _drawing(drawing: Drawing) -> str:
    heading = f"<h3>{escape(drawing.heading)}</h3>\n" if drawing.heading else ""
    return (
        f'{heading}{_legend(drawing.legend)}<figure class="drawing" role="img" aria-label="{escape(drawing.label)}">'
        f"{drawing.wide}{drawing.narrow}</figure>\n"
    )


def _details(view: View) -> str:
    if not view.table.rows:
        return ""
    name = f"{view.title}: the data"
    return f"<details>\n<summary>{escape(name)}</summary>\n{table(view.table, name)}</details>\n"


def table(content: Table, name: str, caption: str = "") -> str:
    """Return a table that scrolls on its own where the page is too narrow for it."""
    title = f"<caption><span>{escape(caption)}</span></caption>" if caption else ""
    head = "".join(_heading(place, text, content) for place, text in enumerate(content.headers))
    rows = "\n".join(_row(row, content) for row in content.rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table>{title}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>\n"
    )


def _heading(place: int, text: str, content: Table) -> str:
    side = _side(place, content)
    return f'<th scope="col"{side}>{escape(text)}</th>' if text else f"<td{side}></td>"  # a heading says something


def _row(row: tuple[str, ...], content: Table) -> str:
    first = f'<th scope="row"{_side(0, content)}>{escape(row[0])}</th>'
    rest = "".join(f"<td{_side(place, content)}>{escape(cell)}</td>" for place, cell in enumerate(row) if place)
    return f"<tr>{first}{rest}</tr>"


def _side(place: int, content: Table) -> str:
    if place not in content.texts:
        return ""
    long = any(len(row[place]) > _LONG for row in content.rows if place < len(row))
    return ' class="left long"' if long else ' class="left"'
