"""Write docs/screenshots.md and its pictures: every kind of report at the width of a desktop and of a phone.

python docs/make_screenshots.py [FOLDER]

FOLDER (a temporary one unless told) keeps the pages. Needs Chromium and Pillow (``pip install "perfmodel[dev]"``).
"""

from __future__ import annotations

import argparse
import io
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from browser import Browser
from shown_pages import PAGES, SHOTS, Page, Shot

HERE = Path(__file__).resolve().parent
PICTURES = HERE / "screenshots"
HEIGHTS = {1280: 1300, 390: 1500}
"""The most height of a picture by its width."""

COLOURS = 64
_HEAD = """# Every view

One picture of each view on a desktop and one on a phone, made by

    python docs/make_screenshots.py

which builds the pages, photographs them in headless Chromium and writes this page. Tall pages are cut off; what
each view means: [reports](reports.md).
"""


def build(folder: Path, pages: Sequence[Page] = PAGES) -> dict[str, Path]:
    """Write every page into a folder and return where it lies; SystemExit if a command does not give its exit code."""
    found: dict[str, Path] = {}
    for page in pages:
        target = folder / f"{page.name}.html"
        if page.given:
            shutil.copyfile(HERE.parent / page.given, target)
        else:  # from that folder, so that the commands in the pages' footers name no path
            words = [sys.executable, str(HERE.parent / "cli.py"), *shlex.split(page.words), "--html", target.name]
            done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
            if done.returncode != page.code:
                raise SystemExit(f"perfmodel {page.words}: exit code {done.returncode}\n{done.stderr}")
        found[page.name] = target
    return found


def shoot(places: Mapping[str, Path], pictures: Path, shots: Sequence[Shot] = SHOTS) -> list[str]:
    """Write the pictures; return when each page first painted, and what is wrong with it."""
    pictures.mkdir(exist_ok=True)
    told: list[str] = []
    with Browser() as browser:
        for name in dict.fromkeys(shot.page for shot in shots):
            for width, dark in ((1280, False), (1280, True), (390, False)):
                chosen = [shot for shot in shots if shot.page == name and (shot.dark or not dark)]
                if not chosen:
                    continue
                browser.open(places[name], width, dark=dark)
                wide = browser.run("return document.documentElement.scrollWidth;")
                told += [f"{name}: {wide} px wide at {width}"] if wide > width else []
                told += [f"{name}: {text}" for text in browser.happened]
                for shot in chosen:
                    data = small(browser.picture(shot.selector, HEIGHTS[width]))
                    (pictures / _file(shot, width, dark)).write_bytes(data)
            told.append(f"{name}: first paint after {browser.first_paint_ms():.0f} ms")
    return told


def _file(shot: Shot, width: int, dark: bool = False) -> str:
    return f"{shot.name}-{'dark' if dark else width}.png"


def small(png: bytes) -> bytes:
    """Return a picture with few colours, which is a quarter of the size."""
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise SystemExit("the pictures are made smaller by Pillow: pip install pillow") from None
    image = Image.open(io.BytesIO(png)).convert("RGB")
    # the most frequent colours, that areas keep theirs, and others by coverage, that thin lines do
    frequent = sorted(image.getcolors(1 << 24) or [], reverse=True)[:COLOURS]
    spread = (image.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE).getpalette() or [])[: 3 * COLOURS]
    palette = Image.new("P", (1, 1))
    palette.putpalette([*(part for _, colour in frequent for part in colour), *spread])
    out = io.BytesIO()
    image.quantize(palette=palette, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def text(sizes: Mapping[str, int], shots: Sequence[Shot] = SHOTS) -> str:
    """Return the page of all pictures; ``sizes`` are the bytes of the pages."""
    words = {page.name: page.words for page in PAGES}
    parts = [_HEAD]
    for shot in shots:
        command = words[shot.page] + ("" if "gallery" in shot.page else f" --html {shot.page}.html")
        shown = [f"![{shot.title}, on a desktop](screenshots/{_file(shot, 1280)})", "",
                 f"![{shot.title}, on a phone](screenshots/{_file(shot, 390)})"]  # fmt: skip
        shown += ["", f"![{shot.title}, in the dark](screenshots/{_file(shot, 1280, True)})"] if shot.dark else []
        parts.append(f"## {shot.title}\n\n{shot.question}\n\n    perfmodel {command}\n\n" + "\n".join(shown) + "\n")
    rows = [f"| {name} | {size / 1e3:,.0f} |" for name, size in sizes.items()]
    parts.append(
        "## Sizes of the pages\n\nPages of more than 4,800 kB hold plotly.js, for figures that can be zoomed.\n"
    )
    parts.append("\n".join(["| page | kB |", "| --- | ---: |", *rows]) + "\n")
    return "\n".join(parts)


def main(arguments: Sequence[str]) -> None:
    """Build, photograph, and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", nargs="?", default="", help="keep the pages here")
    folder = parser.parse_args(arguments).folder
    with tempfile.TemporaryDirectory() as temporary:
        place = Path(folder or temporary).resolve()
        place.mkdir(parents=True, exist_ok=True)
        places = build(place)
        told = shoot(places, PICTURES)
        sizes = {name: path.stat().st_size for name, path in places.items()}
    (HERE / "screenshots.md").write_text(text(sizes), encoding="utf-8")
    whole = sum(path.stat().st_size for path in PICTURES.glob("*.png"))
    sys.stdout.write("".join(f"{line}\n" for line in told))
    sys.stdout.write(f"{len(SHOTS)} views, {whole / 1e6:.2f} MB of pictures\n")


if __name__ == "__main__":
    main(sys.argv[1:])
