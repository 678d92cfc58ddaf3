"""The explorer's page in a real browser: its numbers are those of Python, and it works as a page."""

from __future__ import annotations

import itertools
import json
import math
import random
import shlex
from pathlib import Path
from typing import Any

import pytest

import perfmodel as pm
from perfmodel.devices import load_device
from perfmodel.explorer.choices import Choices, Explored, explore
from perfmodel.explorer.numbers import DeviceNumber, device_numbers
from perfmodel.explorer.page import explorer_html
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.scenario import Pool
from perfmodel.workloads.kinds import NETWORK, kind_of
from perfmodel.workloads.library import load_model
from tests.chromium import needs_chromium, run_in_page
from tests.conftest import Cli

pytestmark = [pytest.mark.slow, needs_chromium]
_UNITS = {"bytes": "B", "bytes_per_s": "B/s", "flops_per_s": "FLOP/s", "hertz": "Hz", "seconds": "s", "watts": "W"}
REQUEST = {"batch": 8, "input_tokens": 1024, "output_tokens": 256}

PAGES: dict[str, tuple[str, list[str], dict[str, tuple[Any, ...]], dict[str, Any]]] = {
    "dense": ("llama-3.1-8b", ["h100-sxm", "l40s", "mi300x", "tpu-v5e"],
              {"tp": (1, 4), "precision": (None, "fp8", "int4_wo")}, {}),
    "latent": ("deepseek-v3", ["h200-sxm"], {"tp": (8,), "ep": (1, 8), "engine": ("", "sglang")}, {}),
    "experts": ("qwen3-235b-a22b", ["h200-sxm", "gb200-nvl72"], {"tp": (8,), "ep": (1, 8), "pp": (1, 2)}, {}),
    "windows": ("gpt-oss-120b", ["b200", "rtx-4090"], {"tp": (1, 8), "kv_precision": (None, "fp8")}, {}),
    "static": ("llama-3.1-70b", ["h100-sxm", "groq-lpu"], {"tp": (8,), "dp": (1, 2)}, {"static": True}),
    "prefill": ("llama-3.1-8b", ["a100-sxm-80gb"], {"tp": (1, 2)}, {"phase": "prefill"}),
    "lanes": ("llama-3.2-1b", ["snapdragon-8-elite", "epyc-9654", "gtx-1080"], {"precision": (None, "int8")}, {}),
    "decode": ("mamba2-2.7b", ["h100-sxm"], {"tp": (1,)}, {"phase": "decode"}),
    "pools": ("llama-3.1-70b", ["h200-sxm"],
              {"prefill_pool": (Pool(1, Plan(tp=2)), Pool(3, Plan(tp=4))), "decode_pool": (Pool(2, Plan(tp=4)),),
               "engine": ("", "vllm")}, {"mode": "disagg"}),
    "drafts": ("deepseek-v3", ["h200-sxm"], {"tp": (8,), "ep": (8,), "draft_tokens": (0, 1, 3)},
               {"acceptance": 0.7}),
    "convolutions": ("resnet50", ["h100-sxm", "rtx-4090", "jetson-orin-nano-8gb", "tpu-v4"],
                     {"image": (None, 288), "precision": (None, "int8"), "dp": (1, 3)}, {}),
    "transformer": ("vit_base_patch16_224", ["a100-sxm-80gb", "edge-tpu"],
                    {"precision": (None,), "engine": ("", "torch"), "sparsity": ("dense",)}, {}),
    "pipeline": ("stable-diffusion-1.5", ["l40s"], {"precision": (None,)}, {}),
}  # fmt: skip


def _page(name: str) -> tuple[Explored, str]:
    model, devices, axes, fixed = PAGES[name]
    workload = model if kind_of(model) == NETWORK else load_model(model)
    choices = Choices(workload, tuple(load_device(device) for device in devices), axes, fixed)
    explored = explore(choices)
    request = {name: REQUEST[name] for name in choices.request}
    return explored, explorer_html(explored, request, {"model": [model], "device": devices}, [])


def _settings(explored: Explored, count: int, seed: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    places = list(explored.traced)
    found: list[dict[str, Any]] = []
    for _ in range(count):
        place = draw.choice(places)
        numbers = device_numbers(explored.choices.devices[place[0]])
        some = draw.sample(numbers, draw.randint(0, min(4, len(numbers))))
        turned = {number.argument: _turned(number, draw) for number in some}
        if draw.random() < 0.3:
            turned["usd_per_hour"] = round(draw.uniform(0.1, 20), 2)
        if draw.random() < 0.3:
            turned["usd_per_kwh"] = round(draw.uniform(0.01, 1), 3)
        request = {"batch": round(2 ** draw.uniform(0, 11)), "input_tokens": round(2 ** draw.uniform(0, 17)),
                   "output_tokens": round(2 ** draw.uniform(0, 13))}  # fmt: skip
        asked = {name: request[name] for name in explored.choices.request}
        found.append({"choice": list(place), "request": asked, "turned": turned})
    return found


def _turned(number: DeviceNumber, draw: random.Random) -> float:
    value = number.value * 4 ** draw.uniform(-1, 1)
    return float(max(1, round(value))) if number.field == "chip.cores" else value


def _python(explored: Explored, setting: dict[str, Any]) -> Any:
    choices, place, turned = explored.choices, setting["choice"], dict(setting["turned"])
    device = choices.devices[place[0]]
    options = {name: values[i] for (name, values), i in zip(choices.axes.items(), place[1:], strict=True)}
    options |= choices.fixed
    options |= {option: turned.pop(argument) for option, argument in (("usd_per_device_hour", "usd_per_hour"),
                                                                     ("usd_per_kwh", "usd_per_kwh"))
                if argument in turned}  # fmt: skip
    other = {
        f"device.{number.field}": f"{turned[number.argument]!r}{_UNITS.get(number.dimension, '')}"
        for number in device_numbers(device)
        if number.argument in turned
    }
    return pm.estimate(choices.model, device, changes=other, **setting["request"], **options).report()


def _of_report(report: dict[str, Any], name: str) -> Any:
    if name in ("joules_per_token", "usd_per_million_tokens", "fits"):
        return report[name]
    if "samples_per_s" in report:
        return _of_network(report, name)
    if name.startswith("usd_per_million"):
        return None if report["money"] is None else report["money"][name]
    if name == "power_w_per_device":
        return report["energy"][name]
    phase, _, what = name.partition(".")
    if phase in ("prefill", "decode"):
        last = "decode" if report["tpot_s"] else "prefill"
        if what in ("mfu", "mbu"):
            return report[what] if phase == last else report["prefill_mfu"] if what == "mfu" else ...
        return sum(row[what] for row in report["operators"] if row["phase"] == phase)
    return report[phase][what] if what else report[name]


def _of_network(report: dict[str, Any], name: str) -> Any:
    if name.startswith("stages."):
        _, place, what = name.split(".")
        return report["stages"][int(place)][what]
    where, dot, what = name.partition(".")
    return report[where][what] if dot else report[name]


def _same(a: Any, b: Any) -> bool:
    if b is None:
        return a is None  # NaN in JSON
    return a is not None and math.isclose(float(a), float(b), rel_tol=1e-9, abs_tol=1e-15)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_gives_what_python_gives(name: str, tmp_path: Path) -> None:
    explored, page = _page(name)
    settings = _settings(explored, 60, 11)
    found = run_in_page(page, f"""
        return {json.dumps(settings)}.map((s) => {{
          const found = answer(s.choice, numbersOf(s.choice, s.request, s.turned));
          return {{values: found.values, rows: found.rows, limit: window.bottleneckOf && bottleneckOf(found.rows)}};
        }});""", tmp_path)  # fmt: skip
    compared = 0
    for setting, mine in zip(settings, found, strict=True):
        report = _python(explored, setting)
        for key, value in mine["values"].items():
            expected = _of_report(report, key)
            if expected is not ...:
                assert _same(value, expected), (setting, key, value, expected)
                compared += 1
        assert mine.get("limit") in (None, report["bottleneck"])
        assert [row["name"] for row in mine["rows"]] == [row["name"] for row in report["operators"]]
        for a, b in zip(mine["rows"], report["operators"], strict=True):
            for key in ("expected_s", "bound_s", "flops", "bytes", "link_bytes", "share"):
                assert _same(a[key], b[key]), (setting, b["name"], key, a[key], b[key])
            if len({a[f"{part}_s"] for part in ("compute", "memory", "link")}) == 3 or "samples_per_s" in report:
                assert a["bottleneck"] == b["bottleneck"] or abs(a["memory_s"] / a["compute_s"] - 1) < 1e-9
    assert compared > (20 if "ttft_s" in report else 17) * len(settings)


@pytest.fixture(scope="module")
def small() -> str:
    choices = Choices(
        load_model("llama-3.1-8b"), (load_device("h100-sxm"), load_device("l40s")),
        {"tp": (1, 2, 3), "precision": (None, "fp8")},
    )  # fmt: skip
    return explorer_html(explore(choices), REQUEST, {"model": ["llama-3.1-8b"], "device": ["h100-sxm", "l40s"]}, [])


_STATE = "device=l40s&tp=2&precision=fp8&batch=48&input_tokens=3000&output_tokens=700"
_TURNED = "memory_main_bandwidth=1500000000000&chip_cores=200&memory_main_capacity=96000000000&usd_per_hour=1.25"
_SHOWN = """
  const cards = [...document.querySelectorAll(".card")].map((card) => card.textContent);
  const {values} = answer(state.choice, numbersOf(state.choice, state.request, turnedNow()));
  const texts = {command: $("command").textContent, changed: $("changed").textContent, fragment: toFragment()};
  return {...texts, values, cards};"""


def test_the_address_sets_the_page_and_the_command_gives_the_same_answer(small: str, tmp_path: Path, cli: Cli) -> None:
    found = run_in_page(small, _SHOWN, tmp_path, f"#{_STATE}&{_TURNED}")
    assert sorted(found["fragment"][1:].split("&")) == sorted(f"{_STATE}&{_TURNED}".split("&"))
    assert "memory bandwidth 1.50 TB/s instead of 864 GB/s" in found["changed"].replace("\u00a0", " ")
    program, *words = shlex.split(found["command"])
    assert program == "perfmodel"
    assert "device.memory.main.bandwidth=1500GB/s" in words
    done = cli(*words, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    for key, value in found["values"].items():
        expected = _of_report(report, key)
        assert expected is ... or _same(value, expected), (key, value, expected)
    assert any(card.startswith("TTFT") for card in found["cards"])


@pytest.mark.parametrize(
    "fragment",
    [
        "",
        "#batch=0&tp=x&precision=%3Cscript%3E",
        "#memory_main_bandwidth=-1&device=nothing",
        "#batch=1e400&memory_main_bandwidth=abc&power=",
        "#=&&&%E0%A4%A",
    ],
)
def test_an_address_that_makes_no_sense_is_left_out(fragment: str, small: str, tmp_path: Path) -> None:
    found = run_in_page(small, _SHOWN, tmp_path, fragment)
    assert found["command"] == "perfmodel estimate llama-3.1-8b --on h100-sxm --batch 8 --input 1024 --output 256"
    assert found["changed"] == ""


def test_sliders_texts_and_lists_change_what_is_shown(small: str, tmp_path: Path) -> None:
    found = run_in_page(small, """
      const told = [], frame = () => new Promise((done) => setTimeout(() => { show(); done(); }, 5));
      const keep = () => told.push([$("command").textContent, $("cards").textContent, $("roofline").innerHTML]);
      keep();
      const set = async (id, value, event) => { $(id).value = value;
        $(id).dispatchEvent(new Event(event, {bubbles: true})); await frame(); keep(); };
      await set("batch-slider", 9, "input");
      await set("input_tokens", "5,000", "change");
      await set("memory_main_bandwidth", "5", "change");
      await set("memory_main_bandwidth-slider", 8, "input");
      await set("axis-tp", 1, "change");
      await set("axis-device", 1, "change");
      await set("output_tokens", "-4", "change");
      const wrong = $("output_tokens").getAttribute("aria-invalid");
      await set("axis-tp", 2, "change");
      return {told, wrong, refused: $("alert").textContent, hidden: $("answers").hidden};""", tmp_path)  # fmt: skip
    commands = [told[0] for told in found["told"]]
    tails = [command.removeprefix("perfmodel estimate llama-3.1-8b ") for command in commands]
    what = "--set device.memory.main.bandwidth"
    assert tails == [
        "--on h100-sxm --batch 8 --input 1024 --output 256",
        "--on h100-sxm --batch 12 --input 1024 --output 256",
        "--on h100-sxm --batch 12 --input 5000 --output 256",
        f"--on h100-sxm --batch 12 --input 5000 --output 256 {what}=5TB/s",
        f"--on h100-sxm --batch 12 --input 5000 --output 256 {what}=6.7TB/s",
        f"--on h100-sxm --tp 2 --batch 12 --input 5000 --output 256 {what}=6.7TB/s",
        "--on l40s --tp 2 --batch 12 --input 5000 --output 256",
        "--on l40s --tp 2 --batch 12 --input 5000 --output 256",
        "--on l40s --tp 3 --batch 12 --input 5000 --output 256",
    ]
    pictures = [told[1:] for told in found["told"]]
    assert all(a != b for a, b in itertools.pairwise(pictures[:7]))
    assert pictures[6] == pictures[7]  # what is no number changes nothing
    assert found["wrong"] == "true"
    assert found["hidden"]
    assert "3" in found["refused"]


@pytest.mark.parametrize("width", [390, 800, 1280])
def test_nothing_is_wider_than_the_page(width: int, small: str, tmp_path: Path) -> None:
    found = run_in_page(small, """
      document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
      show();
      return [document.documentElement.scrollWidth, innerWidth];""", tmp_path, width=width)  # fmt: skip
    assert found[0] <= found[1]


def test_every_control_has_a_name_and_the_keyboard_reaches_it(small: str, tmp_path: Path) -> None:
    found = run_in_page(small, """
      document.querySelectorAll("details").forEach((d) => { d.open = true; });
      const controls = [...document.querySelectorAll("input, select, button")].filter((c) => c.offsetParent);
      return controls.map((c) => { c.focus(); return [c.id, c === document.activeElement, c.tabIndex,
        c.getAttribute("aria-label") || (c.labels && [...c.labels].map((l) => l.textContent).join()) || c.textContent,
        c.type !== "range" || Boolean(c.getAttribute("aria-valuetext"))]; });""", tmp_path)  # fmt: skip
    assert len(found) > 12
    for name, focused, order, label, valued in found:
        assert focused, name
        assert order == 0, name
        assert label, name
        assert valued, name


def test_hostile_names_stay_text_in_the_browser(tmp_path: Path) -> None:
    from dataclasses import replace

    name = "</script><img src=x onerror='window.bad=1'><script>window.bad=1</script>"
    model, device = replace(load_model("llama-3.1-8b"), name=name), replace(load_device("h100-sxm"), name=name)
    page = explorer_html(
        explore(Choices(model, (device,), {"tp": (1,)})), REQUEST, {"model": [name], "device": [name]}, []
    )
    found = run_in_page(page, "return [window.bad, document.images.length, document.querySelector('h1').textContent, "
                        "$('scenario').textContent, $('command').textContent]", tmp_path)  # fmt: skip
    assert found[:2] == [None, 0]
    assert found[2].startswith(name)
    assert name in found[3]
    assert shlex.split(found[4])[2] == name


@pytest.fixture(scope="module")
def network() -> str:
    devices = ["rtx-4090", "jetson-orin-nano-8gb"]
    axes: dict[str, tuple[Any, ...]] = {"image": (None, 288), "precision": (None, "int8")}
    choices = Choices("resnet50", tuple(load_device(name) for name in devices), axes)
    return explorer_html(explore(choices), {"batch": 8}, {"model": ["resnet50"], "device": devices}, [])


def test_a_networks_address_and_command_give_the_same_answer(network: str, tmp_path: Path, cli: Cli) -> None:
    state = "device=jetson-orin-nano-8gb&image=288&precision=int8&batch=5&memory_main_bandwidth=90000000000"
    found = run_in_page(network, _SHOWN, tmp_path, f"#{state}")
    assert sorted(found["fragment"][1:].split("&")) == sorted(state.split("&"))
    _, *words = shlex.split(found["command"])
    assert words[:2] == ["estimate", "resnet50"]
    done = cli(*words, "--json")
    assert done.code == 0, done.err
    report = json.loads(done.out)
    assert report["inputs"]["batch"] == 5
    for key, value in found["values"].items():
        assert _same(value, _of_report(report, key)), key
    assert any(card.startswith("images/s") for card in found["cards"])


@pytest.mark.parametrize("width", [390, 1280])
def test_a_networks_page_has_no_fault_that_axe_finds(width: int, network: str, axe: str, tmp_path: Path) -> None:
    page = network.replace("</body>", f"<script>{axe}</script></body>")
    found = run_in_page(page, """
      document.querySelectorAll("details").forEach((d) => { d.open = true; });
      show();
      const wide = document.documentElement.scrollWidth > innerWidth ? ["wider than the page"] : [];
      const found = await axe.run(document, {resultTypes: ["violations"]});
      const told = (v) => [v.impact, v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120))];
      return [...wide, ...found.violations.map(told)];
      """, tmp_path, width=width)  # fmt: skip
    assert found == []


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing(width: int, dark: bool, small: str, axe: str, tmp_path: Path) -> None:
    page = small.replace("(prefers-color-scheme: dark)", "(min-width: 1px)") if dark else small
    page = page.replace("</body>", f"<script>{axe}</script></body>")
    found = run_in_page(page, f"""
      document.querySelectorAll("details").forEach((d) => {{ d.open = true; }});
      location.hash = "#{_STATE}&{_TURNED}"; fromFragment(); buildDevice(); show();
      const found = await axe.run(document, {{resultTypes: ["violations"]}});
      return found.violations.map((v) => [v.impact, v.id, v.nodes.slice(0, 3).map((n) => n.html.slice(0, 120))]);""",
      tmp_path, width=width)  # fmt: skip
    assert found == []


def test_the_page_begins_with_the_first_combination_that_fits(tmp_path: Path) -> None:
    choices = Choices(load_model("llama-3.1-70b"), (load_device("h100-sxm"),), {"tp": (1, 4)})
    page = explorer_html(explore(choices), REQUEST, {"model": ["llama-3.1-70b"], "device": ["h100-sxm"]}, [])
    assert run_in_page(page, "return [state.choice, $('alert').textContent];", tmp_path) == [[0, 1], ""]
