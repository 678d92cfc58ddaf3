"""The frame of an HTML report: style sheet, script, and the pieces of a page that needs nothing from anywhere else."""

from __future__ import annotations

import json
import re
from html import escape as escape_tags
from typing import Any

from perfmodel.reports.views.view import Drawing, Key, Plot, Table, View

_BEFORE_UNIT = re.compile(r"(?<=\d) (?=[A-Za-zµ%])")

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"

_STYLE = """
:root { color-scheme: light dark; --page: #fff; --card: #f5f6f8; --ink: #1b1d21; --soft: #5a606b; --line: #d9dce2;
  --grid: #e3e5ea; --accent: #0072B2; }
@media screen and (prefers-color-scheme: dark) { :root { --page: #14161a; --card: #1f2329; --ink: #e8eaee;
  --soft: #a6adb8; --line: #373d47; --grid: #2d323a; --accent: #56B4E9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 1080px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 44px 0 4px; padding-top: 14px; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
h3 { font-size: 1rem; margin: 18px 0 0; }
.soft, footer { color: var(--soft); font-size: .9rem; overflow-wrap: anywhere; }
.finding { margin: 6px 0 10px; font-size: 1.05rem; max-width: 80ch; overflow-wrap: anywhere; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 12px; margin: 22px 0; }
.card { background: var(--card); border-radius: 8px; padding: 12px 16px; }
.card b { display: block; font-size: 1.55rem; line-height: 1.3; font-weight: 600; }
.card span { display: block; color: var(--soft); font-size: .85rem; }
.alert { border: 2px solid var(--ink); border-radius: 8px; padding: 10px 14px; font-weight: 600; margin: 18px 0 0; }
.card.bad { outline: 2px solid var(--ink); }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(300px, 100%), 1fr)); gap: 8px 44px;
  align-items: start; }
figure { margin: 0; }
.plot { width: 100%; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 20px; list-style: none; margin: 6px 0; padding: 0;
  font-size: .85rem; }
.legend svg { width: 13px; height: 13px; margin-right: 7px; vertical-align: -1px; overflow: visible; }
.scroll { overflow-x: auto; }
.scroll:focus-visible, summary:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; margin: 8px 0; }
.columns table { width: 100%; }
.columns tbody th { vertical-align: top; }
.columns td { white-space: normal; overflow-wrap: anywhere; }
caption { text-align: left; font-weight: 600; font-size: 1rem; padding: 8px 0 4px; }
th, td { padding: 4px 12px 4px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; vertical-align: bottom; }
.left { text-align: left; }
tbody th { font-weight: 400; }
summary { cursor: pointer; color: var(--accent); padding: 6px 0; width: fit-content; max-width: 100%;
  overflow-wrap: anywhere; }
a { color: var(--accent); }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font-size: .85rem; }
.gallery { list-style: none; margin: 0; padding: 0; }
footer { padding-bottom: 40px; }
footer p { margin: 48px 0 0; padding-top: 14px; border-top: 1px solid var(--line); }
.xtick text, .ytick text, .xtitle, .ytitle, .annotation-text
  { fill: var(--ink) !important; }
.drawing svg { display: block; width: 100%; height: auto; overflow: visible; }
.drawing text { fill: var(--ink); font-size: 13px; }
.drawing .dim { fill: var(--soft); }
.drawing .grid { stroke: var(--grid); }
.drawing .axis { stroke: var(--ink); }
.drawing .mark { stroke: var(--ink); stroke-width: .8; }
.drawing .narrow { display: none !important; }
.gridlayer path { stroke: var(--grid) !important; }
.shapelayer path, .errorbar path { stroke: var(--ink) !important; }
@media (max-width: 640px) { body { font-size: 15px; }
  main, header, footer { padding-left: 14px; padding-right: 14px; } h1 { font-size: 1.35rem; }
  .cards { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 8px; } .card { padding: 10px 12px; }
  .card b { font-size: 1.2rem; } .drawing .wide { display: none !important; }
  .drawing .narrow { display: block !important; } }
@media print { @page { margin: 14mm; } main, header, footer { max-width: none; padding: 0; } summary { display: none; }
  .card, figure, tr { break-inside: avoid; } h2, h3, .finding { break-after: avoid; } .scroll { overflow: visible; }
  .card { border: 1px solid var(--line); } .modebar { display: none; } table { font-size: 8pt; }
  th, td { padding-right: 8px; white-space: normal; } }
"""

_SCRIPT = """
const drawn = [...document.querySelectorAll("script[data-plot]")].map((source) => {
  const spec = JSON.parse(source.textContent), element = document.getElementById(source.dataset.plot);
  const notes = spec.layout.annotations || [];
  if (innerWidth <= 640) {
    spec.layout.annotations = notes.filter((note) => note.name !== "wide-only");
    spec.data.filter((trace) => trace.type === "heatmap").forEach((trace) => {
      if (trace.x.length > 5) trace.texttemplate = "";
      trace.colorbar.title = {text: ""};
    });
  }
  Plotly.newPlot(element, spec.data, spec.layout, {responsive: true, displaylogo: false,
    displayModeBar: spec.zoomable ? "hover" : false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]]});
  return element;
});
const folds = [...document.querySelectorAll("details")];
let open = [];
addEventListener("beforeprint", () => { open = folds.map((fold) => fold.open);
  folds.forEach((fold) => { fold.open = true; });
  document.body.style.width = "680px"; drawn.forEach((element) => Plotly.Plots.resize(element)); });
addEventListener("afterprint", () => { folds.forEach((fold, i) => { fold.open = open[i]; });
  document.body.style.width = ""; drawn.forEach((element) => Plotly.Plots.resize(element)); });
"""


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
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        f"<header>\n{header}\n</header>\n<main>\n{body}\n</main>\n<footer>\n<p>{footer}</p>\n</footer>\n"
        f"{_scripts(plots)}{scripts}</body>\n</html>\n"
    )


def _scripts(plots: list[Plot]) -> str:
    if not plots:
        return ""
    from plotly.offline import get_plotlyjs

    specs = "".join(f'<script type="application/json" data-plot="{p.div_id}">{_json(p)}</script>\n' for p in plots)
    return f"{specs}<script>{get_plotlyjs()}</script>\n<script>{_SCRIPT}</script>\n"


def _json(plot: Plot) -> str:
    return safe_json({"data": plot.data, "layout": plot.layout, "zoomable": plot.zoomable})


def safe_json(value: Any) -> str:
    """Return a value as JSON that cannot end the script element it stands in."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


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
}


def _legend(keys: tuple[Key, ...]) -> str:
    items = "".join(f"<li>{_swatch(key)}{escape(key.text)}</li>" for key in keys)
    return f'<ul class="legend">{items}</ul>\n' if items else ""


def _swatch(key: Key) -> str:
    paint = (
        f'fill="{key.colour or "currentColor"}" stroke="currentColor" stroke-width="{0 if key.shape == "bar" else 1}"'
    )
    return f'<svg viewBox="0 0 13 13" aria-hidden="true">{_SHAPES[key.shape]} {paint}/></svg>'


def _figure(plot: Plot) -> str:
    heading = f"<h3>{escape(plot.heading)}</h3>\n" if plot.heading else ""
    return (
        f'{heading}{_legend(plot.legend)}<figure role="img" aria-label="{escape(plot.label)}">'
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
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    cells = enumerate(content.headers)
    head = "".join(f'<th scope="col"{_side(place, content)}>{escape(text)}</th>' for place, text in cells)
    rows = "\n".join(_row(row, content) for row in content.rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table>{title}'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div>\n"
    )


def _row(row: tuple[str, ...], content: Table) -> str:
    first = f'<th scope="row"{_side(0, content)}>{escape(row[0])}</th>'
    rest = "".join(f"<td{_side(place, content)}>{escape(cell)}</td>" for place, cell in enumerate(row) if place)
    return f"<tr>{first}{rest}</tr>"


def _side(place: int, content: Table) -> str:
    return ' class="left"' if place in content.texts else ""
