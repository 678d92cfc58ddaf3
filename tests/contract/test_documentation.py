"""The documentation is about this package: pages of all commands, docstrings that run, a tutorial that runs."""

import doctest
import importlib
import json
import pkgutil
import sys
from pathlib import Path

import pytest

import perfmodel
from perfmodel.cli.root import COMMANDS, command

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def pages(monkeypatch):
    if not (DOCS / "make_command_pages.py").exists():
        pytest.skip("the documentation is not beside the tests")
    monkeypatch.syspath_prepend(str(DOCS))
    yield importlib.import_module("make_command_pages")
    sys.modules.pop("make_command_pages", None)


def test_every_command_gets_a_page_with_all_its_options(pages, tmp_path):
    written = pages.write_pages(tmp_path)
    firsts = {name.split("-")[1] for name in written}
    assert firsts == {name.split("-")[0] for name in COMMANDS}
    text = (tmp_path / "perfmodel-sweep.md").read_text()
    sweep = command().get_command(None, "sweep")
    shown = [parameter for parameter in sweep.params if not getattr(parameter, "hidden", False)]
    options = [option for parameter in shown for option in parameter.opts if option.startswith("--")]
    assert "--batch" in options
    assert not [option for option in options if option not in text]
    assert "## Example" in text
    assert "perfmodel-model-show" in (tmp_path / "index.md").read_text()


def test_what_would_end_a_cell_of_a_table_is_escaped(pages):
    assert pages._cell("a | b\n <c>") == "a \\| b &lt;c>"


def test_error_tables_are_markdown_whatever_a_group_is_called(monkeypatch):
    if not (DOCS / "make_tables.py").exists():
        pytest.skip("the documentation is not beside the tests")
    monkeypatch.syspath_prepend(str(DOCS))
    tables = importlib.import_module("make_tables")
    rows = [{"engine": "a|b", "figures": 2, "median_error_percent": 12.345, "band_width": None}]
    heading, rule, row = tables._table(rows).splitlines()
    assert heading == "| engine | figures | median error, % | band width |"
    assert rule == "| --- | --- | --- | --- |"
    assert row == "| a\\|b | 2 | 12.3 | - |"


def modules_with_examples():
    found = []
    for module in pkgutil.walk_packages(perfmodel.__path__, "perfmodel."):
        spec = importlib.util.find_spec(module.name)
        if spec and spec.origin and ">>> " in Path(spec.origin).read_text(encoding="utf-8"):
            found.append(module.name)
    return found


def test_examples_in_docstrings_run():
    tried = 0
    for name in modules_with_examples():
        failed, attempted = doctest.testmod(importlib.import_module(name))
        assert not failed, name
        tried += attempted
    assert tried


def cells():
    path = DOCS / "tutorial.ipynb"
    if not path.exists():
        pytest.skip("the documentation is not beside the tests")
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def test_the_tutorial_is_small_and_shows_answers():
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert len(json.dumps(cells())) < 60_000
    assert all(cell["outputs"] for cell in code)
    assert not [out for cell in code for out in cell["outputs"] if out["output_type"] == "error"]


@pytest.mark.slow
def test_the_tutorial_runs():
    names = {}
    for cell in cells():
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "tutorial.ipynb", "exec"), names)  # what a reader does
    assert names["chat"].fits
