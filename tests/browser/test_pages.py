"""Every kind of page in a real browser, asked about things whose names are code: nothing runs, nothing is hidden."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.browser import Browser
from perfmodel.cli import run
from tests.chromium import needs_chromium
from tests.conftest import ROOT
from tests.hostile import COMMANDS, write_specs

pytestmark = [pytest.mark.slow, needs_chromium, pytest.mark.xdist_group("pages")]
PAGES = [name for name, words in COMMANDS.items() if "out.html" in words]
GIVEN = {"gallery": "reports/gallery/index.html", "a page of the gallery": "reports/gallery/when-fp4-pays.html"}
_OPEN = "document.querySelectorAll('details').forEach((fold) => { fold.open = true; });"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pages")
    write_specs(found, ROOT)
    return found


@pytest.fixture
def page(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the page of a command, written once."""
    name = request.param
    if name in GIVEN:
        return ROOT / GIVEN[name]
    monkeypatch.chdir(folder)
    return _written(name, folder)


@functools.cache
def _written(name: str, folder: Path) -> Path:
    assert run([*COMMANDS[name], "--json"] if name == "calibrate" else list(COMMANDS[name])) == 0
    return Path(shutil.move("out.html", folder / f"{PAGES.index(name)}.html"))


every_page = pytest.mark.parametrize("page", [*PAGES, *GIVEN], indirect=True)


@every_page
def test_nothing_of_a_hostile_name_runs(page: Path, browser: Browser) -> None:
    browser.open(page)
    found = browser.run(f"""
      {_OPEN}
      await new Promise((done) => setTimeout(done, 100));
      const marks = (element) => [...element.attributes].some((one) => one.name.startsWith("on"));
      return [document.images.length, [...document.querySelectorAll("*")].filter(marks).length,
        performance.getEntriesByType("resource").length];""")
    assert found == [0, 0, 0]
    assert browser.happened == []


@every_page
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_page(page: Path, width: int, browser: Browser) -> None:
    browser.open(page, width)
    wide = browser.run(f"{_OPEN} return [document.documentElement.scrollWidth, innerWidth];")
    assert wide[0] <= wide[1] == width


@every_page
@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_axe_finds_nothing_serious(page: Path, width: int, dark: bool, axe: str, browser: Browser) -> None:
    browser.open(page, width, dark=dark)
    browser.run(f"{axe}; {_OPEN}")
    found = browser.run("""
      const found = await window.axe.run(document, {resultTypes: ["violations"]});
      return found.violations.map((v) => [v.impact, v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160))]);""")
    assert found == []


@pytest.mark.parametrize("page", ["estimate", "explore"], indirect=True)
def test_the_first_paint_is_told(page: Path, browser: Browser) -> None:
    browser.open(page)
    assert browser.first_paint_ms() > 0.0
