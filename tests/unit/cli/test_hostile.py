"""Whatever somebody calls a model, a device or a cell, it stays a text: in pages, in workbooks and in tables."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from perfmodel.cli.root import COMMANDS as PROGRAM
from tests.conftest import Cli
from tests.hostile import COMMANDS, DEVICE, LANGUAGE, NAME, ask, write_specs

OTHERWISE = {
    "measure": "the page of calibrate", "choices": "rows of its own table", "reproduce": "names of the library alone",
    **dict.fromkeys((f"traffic {name}" for name in ("gemm", "conv", "attention", "cascade")), "no names"),
    **dict.fromkeys((f"network {name}" for name in ("exits", "lookup", "map", "pipeline", "prune", "scale")),
                    "the same table of kernels as network blocks, memory, cuts and bits"),
}  # fmt: skip
"""Commands that are not asked here, and why."""


class Page(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and self.cdata_elem == "script":
            self.scripts.append((self.elements[-1][1], data))
        else:
            self.texts.append(data)


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _strings(part)]


def _check_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert {"img", "iframe", "object", "embed"}.isdisjoint(tag for tag, _ in page.elements)
    assert not [(tag, name) for tag, attrs in page.elements for name in attrs if name.startswith("on")]
    assert not [data for _, data in page.scripts if data.strip().startswith("alert(1)")]
    words = " ".join(page.texts).replace("\u00a0", " ")
    data = [json.loads(data) for attrs, data in page.scripts if attrs.get("type") == "application/json"]
    assert '"><' in words or any('"><' in text for one in data for text in _strings(one))  # it is there, as a text
    figures = [json.loads(data) for attrs, data in page.scripts if "data-plot" in attrs]  # plotly reads tags in texts
    assert not [text for text in _strings(figures) if re.search(r"<(img|script|/script)", text)]


def _check_table(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if re.match(r"[=+@\t\r]|-(?![\d.]|inf)", cell)]


def _check_book(path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    cells = [cell for sheet in openpyxl.load_workbook(path) for row in sheet.iter_rows() for cell in row]
    assert [cell for cell in cells if cell.value and NAME in str(cell.value) and cell.data_type == "s"]
    assert not [cell.value for cell in cells if cell.data_type == "f" and "cmd|" in str(cell.value)]
    assert not [cell for cell in cells if cell.hyperlink]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * ("workbook" in name)) for name in COMMANDS]
)
def test_a_hostile_name_stays_text(
    name: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    ask(name, tmp_path, root, monkeypatch, cli)
    checks = {"out.html": _check_page, "out.csv": _check_table, "out.xlsx": _check_book}
    for target in (word for word in COMMANDS[name] if word in checks):
        checks[target](tmp_path / target)


def _written(name: str, command: Any) -> Iterator[tuple[str, set[str]]]:
    """Yield every command below one with the kinds of files that it writes."""
    for below, one in getattr(command, "commands", {}).items():
        yield from _written(f"{name} {below}", one)
    yield name, {"--html", "--csv", "--xlsx"} & {option for parameter in command.params for option in parameter.opts}


def test_every_command_that_writes_a_file_is_asked() -> None:
    from typer.main import get_command

    missing: list[str] = []
    for top, module in PROGRAM.items():
        for name, kinds in _written(top, get_command(import_module(f"perfmodel.cli.{module}").app)):
            mine = [set(words) for words in COMMANDS.values() if [*words[: len(name.split())]] == name.split()]
            if name not in OTHERWISE and not kinds <= set().union(*mine):
                missing.append(f"{name}: {', '.join(sorted(kinds))}")
    assert missing == []


def test_a_hostile_field_of_a_plan_is_refused(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    write_specs(tmp_path, root)
    monkeypatch.chdir(tmp_path)
    for field in (f"engine: {json.dumps(NAME)}", f"{json.dumps(NAME)}: 1", f"precision: {json.dumps(NAME)}"):
        Path("plan.yaml").write_text(field, encoding="utf-8")
        found = cli("estimate", *LANGUAGE, "--plan", "plan.yaml", "--html", "out.html")
        assert found.code == 2
        assert "alert(1)" in found.err
        assert not Path("out.html").exists()


def test_the_devices_of_a_plan_file_stay_text(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    write_specs(tmp_path, root)
    monkeypatch.chdir(tmp_path)
    Path("plan.yaml").write_text(f"set: {{device.name: {json.dumps(NAME)}, device.power: 500 W}}", encoding="utf-8")
    found = cli("estimate", "llama-3.2-1b", "--on", DEVICE, "--plan", "plan.yaml", "--html", "out.html")
    if found.code:  # a name is no number that may be changed
        assert found.code == 2
        assert not Path("out.html").exists()
    else:
        _check_page(Path("out.html"))
