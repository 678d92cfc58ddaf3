from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from perfmodel.devices import load_device
from perfmodel.errors import InputError, PlanError
from perfmodel.explorer.choices import MOST_COMBINATIONS, Choices, explore
from perfmodel.explorer.numbers import device_numbers
from perfmodel.explorer.page import explorer_html
from perfmodel.workloads.library import load_model
from tests.conftest import Cli

REQUEST = {"batch": 8, "input_tokens": 1024, "output_tokens": 256}


def _choices(**axes: tuple[Any, ...]) -> Choices:
    return Choices(load_model("llama-3.1-8b"), (load_device("h100-sxm"),), {"tp": (1,), **axes})


@pytest.fixture(scope="module")
def page() -> str:
    explored = explore(_choices(tp=(1, 2, 3)))
    return explorer_html(
        explored, REQUEST, {"model": ["llama-3.1-8b"], "device": ["h100-sxm"]}, ["--routing", "balanced"]
    )


def _data(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_a_page_holds_each_combination_and_says_why_others_cannot_be(page: str) -> None:
    data = _data(page)
    assert list(data["combinations"]) == ["0,0", "0,1"]
    assert "3" in data["refused"]["0,2"]
    assert data["fixed"] == ["--routing", "balanced"]
    assert [axis["name"] for axis in data["axes"]] == ["device", "tp"]


def test_a_page_loads_nothing_and_says_so_to_the_browser(page: str) -> None:
    assert "default-src 'none'" in page
    assert not re.findall(r"\b(?:src|href|action)=", page)
    assert "eval(" not in page
    assert "new Function" not in page
    assert len(page) < 1_000_000


def test_combinations_share_the_functions_that_differ_in_constants_alone() -> None:
    explored = explore(_choices(tp=(2, 4, 8)))
    assert explored.functions.source.count("function ") < len(explored.functions.calls)


def test_where_nothing_can_be_the_reason_is_told() -> None:
    with pytest.raises(PlanError, match="3"):
        explore(_choices(tp=(3,)))


def test_too_many_combinations_are_refused_before_any_is_traced() -> None:
    heard: list[int] = []
    many = _choices(dp=tuple(range(1, MOST_COMBINATIONS + 2)))
    with pytest.raises(InputError, match=f"{MOST_COMBINATIONS}"):
        explore(many, lambda done, of: heard.append(done))
    assert heard == []


def test_a_device_has_the_numbers_that_its_file_states() -> None:
    numbers = {number.field: number for number in device_numbers(load_device("h100-sxm"))}
    assert numbers["memory.main.bandwidth"].value == 3.35e12
    assert numbers["memory.main.bandwidth"].argument == "memory_main_bandwidth"
    assert numbers["peaks.tensor.bfloat16"].name == "bfloat16 matrix peak"
    assert device_numbers(load_device("groq-lpu")) == []  # engines with numbers of their own


@pytest.mark.parametrize(
    "name", ["</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a&b\"'`\u2028"]
)
def test_a_hostile_name_stays_text(name: str) -> None:
    from dataclasses import replace

    model = replace(load_model("llama-3.1-8b"), name=name)
    device = replace(load_device("h100-sxm"), name=name)
    explored = explore(Choices(model, (device,), {"tp": (1,)}))
    page = explorer_html(explored, REQUEST, {"model": [name], "device": [name]}, ["--set", name])
    assert "<script>alert" not in page
    assert "<img" not in page
    data = _data(page)
    assert data["model"] == name
    assert data["devices"][0]["name"] == name


def test_the_command_writes_the_page(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    done = cli(
        "explore", "llama-3.1-8b", "--on", "h100-sxm", "--tp", "1", "--precision", "stored,fp8", "--html", target
    )
    assert done.code == 0, done.err
    assert "2 combinations" in done.err
    assert [v["key"] for v in _data(target.read_text())["axes"][6]["values"]] == ["", "fp8"]


def test_a_networks_page_offers_image_sizes_and_precisions(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    done = cli("explore", "mobilenet_v2", "--on", "rtx-4090", "--image", "192", "--precision", "stored,int8", "--set",
               "device.power=300W", "--html", target)  # fmt: skip
    assert done.code == 0, done.err
    data = _data(target.read_text())
    assert data["kind"] == "network"
    assert data["request"] == {"batch": 1}
    assert [axis["name"] for axis in data["axes"]] == ["device", "image", "precision", "engine", "dp"]
    assert data["axes"][1]["values"][0] == {"key": "192", "text": "192", "word": "192", "said": "192 pixels"}
    assert data["fixed"] == ["--set", "device.power=300W"]
    assert {label["phase"] for label in data["operators"][0]} == {"mobilenetv2_100"}


def test_pools_and_drafts_are_axes_of_their_own(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    done = cli("explore", "llama-3.2-1b", "--on", "h100-sxm", "--precision", "stored", "--prefill", "workers=2",
               "--prefill", "tp=2", "--decode", "tp=2", "--html", target)  # fmt: skip
    assert done.code == 0, done.err
    data = _data(target.read_text())
    assert [value["word"] for value in data["axes"][1]["values"]] == ["workers=2", "workers=1,tp=2"]
    assert [axis["name"] for axis in data["axes"]][1:3] == ["prefill_pool", "decode_pool"]
    done = cli("explore", "llama-3.2-1b", "--on", "h100-sxm", "--tp", "1", "--precision", "stored", "--draft-tokens",
               "0,1", "--html", target)  # fmt: skip
    assert "1 cannot be" in done.err  # it has no module that drafts
    assert "draft" in _data(target.read_text())["refused"]["0,0,0,0,0,0,1,0,0,0"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["llama-3.1-8b", "--on", "h100-sxm"], "--html"),
        (["resnet50", "--on", "h100-sxm", "--tp", "2", "--html", "x.html"], "--tp is not an option of the network"),
        (["llama-3.1-8b", "--on", "h100-sxm", "--image", "288", "--html", "x.html"], "--input"),
        (["llama-3.1-8b", "--on", "h100-sxm", "--prefill", "tp=2", "--tp", "4", "--html", "x.html"], "--prefill tp=4"),
        (["llama-3.1-8b", "--on", "h100-sxm", "--draft-tokens", "x", "--html", "x.html"], "--draft-tokens"),
        (["llama-3.1-8b", "--on", ",", "--html", "x.html"], "--on"),
        (["llama-3.1-8b", "--on", "h100-sxm", "--tp", "0", "--html", "x.html"], "tp"),
    ],
)
def test_what_cannot_be_asked_is_said(cli: Cli, words: list[str], said: str) -> None:
    done = cli("explore", *words)
    assert done.code == 2
    assert said in done.err
