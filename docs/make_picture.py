"""Draw docs/picture.svg: the terminal's answer to the first question of the README.

python docs/make_picture.py
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from html import escape
from pathlib import Path

from perfmodel import estimate
from perfmodel.reports import render_estimate

QUESTION = "perfmodel estimate llama-3.1-8b --on h100-sxm --batch 8 --input 2048 --output 256"
WIDTH, LINE, CHARACTER, MARGIN = 88, 19, 8.43, 22
STYLE = (
    "text{font:14px ui-monospace,Menlo,Consolas,monospace;fill:#d8dee9;white-space:pre}"
    ".ask{fill:#8fbcbb}.head{fill:#ebcb8b;font-weight:bold}"
)
LEFT_OUT = ("Memory of one device", "prefill:")


def answer() -> list[str]:
    """Return the lines of the answer, without the tables that a picture has no room for."""
    report = estimate("llama-3.1-8b", "h100-sxm", batch=8, input_tokens=2048, output_tokens=256).report()
    with redirect_stdout(io.StringIO()) as text:
        render_estimate(report, WIDTH)
    blocks = text.getvalue().strip().split("\n\n")
    return "\n\n".join(block for block in blocks if not block.startswith(LEFT_OUT)).split("\n")


def draw(lines: list[str]) -> str:
    """Return an SVG of a terminal window."""
    width = MARGIN * 2 + CHARACTER * max(len(line) for line in lines)
    height = MARGIN * 2 + LINE * len(lines)
    rows = [
        f'<text x="{MARGIN}" y="{MARGIN + LINE * (i + 0.75):.0f}"{_style(line)}>{escape(line)}</text>'
        for i, line in enumerate(lines)
        if line.strip()
    ]
    label = f'role="img" aria-label="{escape(lines[0])}: the answer in a terminal"'
    page = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" {label}>',
        f"<style>{STYLE}</style>",
        f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#232831"/>',
        *rows,
        "</svg>",
    ]
    return "\n".join(page) + "\n"


def _style(line: str) -> str:
    if line.startswith("$"):
        return ' class="ask"'
    heading = line.startswith(("time ", "operator ", "decode:", "llama"))
    return ' class="head"' if heading else ""


if __name__ == "__main__":
    target = Path(__file__).parent / "picture.svg"
    target.write_text(draw([f"$ {QUESTION}", "", *answer()]), encoding="utf-8")
