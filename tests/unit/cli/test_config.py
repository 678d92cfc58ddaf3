"""Defaults of ``perfmodel.toml`` and plans from files."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Cli

MODEL = "llama-3.1-8b"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory, an empty one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_defaults_fill_in_and_are_said(cli: Cli, here: Path) -> None:
    (here / "perfmodel.toml").write_text('[defaults]\non = "h100-sxm"\nkv = "fp8"\n[estimate]\nbatch = 8\n')
    found = cli("estimate", MODEL, "--json")
    answer = json.loads(found.out)
    assert (answer["inputs"]["device"], answer["inputs"]["batch"]) == ("h100-sxm", 8)
    assert found.err == "perfmodel.toml sets --on h100-sxm, --kv fp8, --batch 8 (--no-config leaves it out)\n"
    assert answer["command"] == f"perfmodel estimate {MODEL} --on h100-sxm --batch 8 --kv fp8"


def test_the_command_line_wins(cli: Cli, here: Path) -> None:
    (here / "perfmodel.toml").write_text('[defaults]\ndevice = "h100-sxm"\nbatch = 4\n[estimate]\nbatch = 8\n')
    found = cli("estimate", MODEL, "--on", "l4", "--batch", "2", "--json")
    assert (json.loads(found.out)["inputs"]["device"], found.err) == ("l4", "")
    assert "--batch 4" in cli("ops", MODEL, "--json").err


@pytest.mark.parametrize("words", [("--no-config", "estimate", MODEL), ("estimate", MODEL, "--no-config")])
def test_no_config(cli: Cli, here: Path, words: tuple[str, ...]) -> None:
    (here / "perfmodel.toml").write_text('[defaults]\ndevice = "h100-sxm"\n')
    found = cli(*words)
    assert found.code == 2
    assert "missing option '--on'" in found.err


def test_the_nearest_file_and_the_home_directory(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "home" / "perfmodel").mkdir(parents=True)
    (here / "home" / "perfmodel" / "config.toml").write_text('[defaults]\ndevice = "l4"\nbatch = 2\n')
    (here / "perfmodel.toml").write_text('[defaults]\ndevice = "a100-sxm-80gb"\n')
    (here / "a" / "b").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(here / "home"))
    monkeypatch.chdir(here / "a" / "b")
    inputs = json.loads(cli("estimate", MODEL, "--json").out)["inputs"]
    assert (inputs["device"], inputs["batch"]) == ("a100-sxm-80gb", 2)


def test_folders_of_specs_hold_for_one_command(cli: Cli, here: Path, root: Path) -> None:
    text = (root / "hardware_specs/gpu/l4.yaml").read_text().replace("name: l4\n", "name: mine\n")
    (here / "specs").mkdir()
    (here / "specs" / "mine.yaml").write_text("\n".join(x for x in text.splitlines() if not x.startswith("aliases")))
    (here / "perfmodel.toml").write_text('[defaults]\nspecs = ["specs"]\n')
    (here / "inner").mkdir()
    os.chdir(here / "inner")
    assert cli("estimate", MODEL, "--on", "mine", "--json").code == 0
    assert "PERFMODEL_SPECS" not in os.environ


def test_a_default_engine_of_the_other_kind_is_left_out(cli: Cli, here: Path) -> None:
    (here / "perfmodel.toml").write_text('[defaults]\nengine = "vllm"\n')
    found = cli("estimate", "resnet18", "--on", "rtx-4090", "--json")
    assert json.loads(found.out)["inputs"]["engine"] == ""
    assert "the default engine vllm does not run resnet18" in found.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[defaults]\nengin = "vllm"\n', "perfmodel.toml:2:1: defaults.engin: no key 'engin' - did you mean 'engine'?"),
        ("[estimate]\n\nbach = 8\n", ":3:1: estimate.bach: no key 'bach' - did you mean 'batch'?"),
        ("[estimat]\nbatch = 8\n", ":1:1: estimat: no command 'estimat' - did you mean 'estimate'?"),
        ("batch = 8\n", "keys stand in a table"),
        ("[device]\nfoo = 1\n", "[device.list]"),
        ("[network.memry]\nprecision = 1\n", "did you mean 'memory'"),
        ("[estimate]\nbatch = true\n", "is no value of --batch"),
        ('[estimate]\nstatic = "yes"\n', "is true or false"),
        ('[estimate]\nhtml = "a.html"\n', "say on the command line where an answer goes"),
        ("[estimate]\nbatch = {a = 1}\n", "is one value, not a table"),
        ("[estimate]\nbatch = 1979-05-27\n", "neither a word nor a number"),
        ("[estimate\n", "is not TOML"),
        ("[estimate]\nprecision = fp8\n", ":2:13: is not TOML: Invalid value; words stand in quotes"),
        ('[defaults]\nspecs = "nowhere"\n', "'nowhere' is no folder"),
    ],
)
def test_faults_have_their_place(cli: Cli, here: Path, text: str, message: str) -> None:
    (here / "perfmodel.toml").write_text(text)
    found = cli("estimate", MODEL, "--on", "h100-sxm")
    assert (found.code, found.out) == (2, "")
    assert message in found.err
    assert "perfmodel.toml" in found.err
    assert cli("estimate", "--help").code == 0


YAML = "tp: 4\nengine: vllm\nset:\n  device.memory.main.bandwidth: '*2'\n"
TOML = 'tp = 4\nengine = "vllm"\n[set]\n"device.memory.main.bandwidth" = "*2"\n'


@pytest.mark.parametrize(("name", "text"), [("p.yaml", YAML), ("p.toml", TOML)])
def test_a_plan_from_a_file_is_the_same_as_its_options(cli: Cli, here: Path, name: str, text: str) -> None:
    (here / name).write_text(text)
    question = ("estimate", "llama-3.1-70b", "--on", "h100-sxm", "--json")
    ours = json.loads(cli(*question, "--plan", name).out)
    said = ("--tp", "4", "--engine", "vllm", "--set", "device.memory.main.bandwidth=*2")
    assert ours == json.loads(cli(*question, *said).out)
    assert json.loads(cli(*question, "--plan", name, "--tp", "8").out)["inputs"]["tp"] == 8


def test_a_plan_has_pools(cli: Cli, here: Path) -> None:
    (here / "p.yaml").write_text("prefill: {workers: 2, tp: 2}\ndecode: {tp: 4}\n")
    inputs = json.loads(cli("estimate", MODEL, "--on", "h100-sxm", "--plan", "p.yaml", "--json").out)["inputs"]
    assert (inputs["prefill_workers"], inputs["prefill_tp"], inputs["decode_tp"]) == (2, 2, 4)
    found = cli("estimate", MODEL, "--on", "h100-sxm", "--plan", "p.yaml", "--tp", "2")
    assert found.code == 2
    assert "--decode tp=2" in found.err


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.yaml", "tp: 2\ntpp: 4\n", "p.yaml:2:1: tpp: `perfmodel estimate` has no option 'tpp' - did you mean 'tp'?"),
        ("p.toml", "tp = 2\ntpp = 4\n", "p.toml:2:1: tpp"),
        ("p.yaml", "tp: {a: 1}\n", "p.yaml:1:1: tp: is one value, not a table"),
        ("p.yaml", "input: 8\ninput_tokens: 9\n", "a second time"),
        ("p.yaml", "- tp\n", "is no table of options"),
        ("p.yaml", "tp: [\n", "p.yaml:"),
        ("p.yaml", "html: a.html\n", "has no option 'html'"),
        ("p.txt", "tp: 2\n", "neither YAML (.yaml) nor TOML (.toml)"),
        ("p.yaml", "tp: .nan\n", "tp"),
    ],
)
def test_faults_of_a_plan(cli: Cli, here: Path, name: str, text: str, message: str) -> None:
    (here / name).write_text(text)
    found = cli("estimate", MODEL, "--on", "h100-sxm", "--plan", name)
    assert (found.code, found.out) == (2, "")
    assert message in found.err


def test_a_plan_that_is_not_there(cli: Cli, here: Path) -> None:
    assert "there is no file no.yaml" in cli("ops", MODEL, "--on", "l4", "--plan", "no.yaml").err


def test_a_plan_of_a_language_model_is_refused_for_a_network(cli: Cli, here: Path) -> None:
    (here / "p.toml").write_text("tp = 2\n")
    assert "--tp is not an option of the network" in cli("estimate", "resnet18", "--on", "l4", "--plan", "p.toml").err


def test_a_plan_that_does_not_divide_is_3(cli: Cli, here: Path) -> None:
    (here / "p.toml").write_text("tp = 3\n")
    assert cli("estimate", MODEL, "--on", "h100-sxm", "--plan", "p.toml").code == 3
