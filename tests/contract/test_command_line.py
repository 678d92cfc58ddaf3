"""What other tools rely on: help with examples, exit codes, pure JSON, errors on standard error."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfmodel import __version__
from perfmodel.cli.root import COMMANDS, GROUPS, command
from tests.conftest import Cli

QUESTION = ("llama-3.1-8b", "--on", "h100-sxm")
NETWORK = ("resnet18", "--on", "rtx-4090")
ANSWERS = {
    "estimate": ("estimate", *QUESTION, "--json"),
    "ops": ("ops", *QUESTION, "--json"),
    "sweep": ("sweep", *QUESTION, "--batch", "1,2", "--json"),
    "explain": ("explain", "tpot", *QUESTION, "--json"),
    "estimate of a network": ("estimate", *NETWORK, "--json"),
    "ops of a network": ("ops", *NETWORK, "--json"),
    "sweep of a network": ("sweep", *NETWORK, "--batch", "1,2", "--json"),
    "compare of networks": ("compare", "resnet18,resnet34", "--on", "rtx-4090", "--json"),
    "explain latency": ("explain", "latency", *NETWORK, "--json"),
    "explain macs": ("explain", "macs", "resnet18", "--json"),
    "model show of a network": ("model", "show", "resnet18", "--json"),
    "model families": ("model", "families", "--json"),
    "model list": ("model", "list", "--json"),
    "model show": ("model", "show", "llama-3.1-8b", "--json"),
    "model check": ("model", "check", "llama-3.1-8b", "--json"),
    "device list": ("device", "list", "--json"),
    "device show": ("device", "show", "h100-sxm", "--json"),
    "device diff": ("device", "diff", "h100-sxm", "h200-sxm", "--json"),
    "device check": ("device", "check", "h100-sxm", "--json"),
}
METRIC_KEYS = ("ttft_s", "tpot_s", "e2e_s", "step_s")
ESTIMATE_KEYS = {
    *METRIC_KEYS, "tokens_per_s", "tokens_per_s_per_device", "requests_per_s", "joules_per_token",
    "usd_per_million_tokens", "memory_bytes_per_device", "fits", "bottleneck", "operators", "inputs", "version",
    "spec_hashes", "schema",
}  # fmt: skip
MODEL_KEYS = {
    "parameters", "parameters_text", "active_parameters_per_token", "kv_bytes_per_token", "state_bytes_per_sequence",
    "weights_bytes",
}  # fmt: skip


def every_command() -> list[tuple[str, ...]]:
    root: Any = command()
    found: list[tuple[str, ...]] = []
    for name in root.list_commands(None):
        inner = getattr(root.get_command(None, name), "commands", None)
        found += [(name, sub) for sub in inner] if inner else [(name,)]
    return found


def pure(text: str) -> Any:
    """Return the JSON object that a text is, refusing NaN and Infinity."""

    def refuse(word: str) -> Any:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("path", every_command(), ids=" ".join)
def test_help_has_an_example(cli: Cli, path: tuple[str, ...]) -> None:
    found = cli(*path, "--help")
    assert found.code == 0
    assert re.search(rf"Examples?:\n\s+perfmodel {' '.join(path)}", found.out)


def test_help_says_the_exit_codes(cli: Cli) -> None:
    found = cli("--help")
    assert found.code == 0
    assert all(name in found.out for name in COMMANDS)
    assert "Exit codes: 0" in found.out


def test_commands_are_documented(root: Path) -> None:
    text = (root / "docs" / "commands.md").read_text()
    assert [path for path in every_command() if f"perfmodel {' '.join(path)}" not in text] == []


def test_version(cli: Cli) -> None:
    found = cli("--version")
    assert (found.code, found.err) == (0, "")
    assert re.fullmatch(rf"perfmodel {re.escape(__version__)}, data [0-9a-f]{{16}} \(\d+ files\)\n", found.out)


def test_every_command_has_a_purpose() -> None:
    shown = [name for group in GROUPS.values() for name in group]
    assert len(shown) == len(set(shown))
    assert set(COMMANDS) <= set(shown)


@pytest.mark.parametrize("name", ANSWERS)
def test_json_is_one_object_and_nothing_else(cli: Cli, name: str) -> None:
    found = cli(*ANSWERS[name])
    assert (found.code, found.err) == (0, "")
    answer = pure(found.out)
    assert isinstance(answer, dict)
    assert answer["schema"].startswith("perfmodel/")
    assert answer["version"] == __version__
    assert answer["command"].split()[:2] == ["perfmodel", ANSWERS[name][0]]
    assert "inputs" in answer
    assert answer["spec_hashes"] or name == "model families"


def test_estimate_keys(cli: Cli) -> None:
    answer = pure(cli(*ANSWERS["estimate"]).out)
    assert set(answer) >= ESTIMATE_KEYS
    for key in METRIC_KEYS:
        time = answer[key]
        assert 0 < time["bound"] <= time["p10"] <= time["expected"] <= time["p90"]


def test_phases_leave_out_what_they_do_not_have(cli: Cli) -> None:
    assert pure(cli("estimate", *QUESTION, "--phase", "prefill", "--json").out)["tpot_s"] is None
    assert pure(cli("estimate", *QUESTION, "--phase", "decode", "--json").out)["ttft_s"] is None


def test_model_keys(cli: Cli) -> None:
    assert set(pure(cli(*ANSWERS["model show"]).out)) >= MODEL_KEYS
    counted = pure(cli(*ANSWERS["model show"], "--batch", "1", "--input", "128").out)
    assert counted["flops"] > counted["matmul_flops"] > 0


@pytest.mark.parametrize(
    ("code", "arguments", "message"),
    [
        (2, ["estimat"], "did you mean 'estimate'"),
        (2, ["estimate"], "missing argument 'MODEL'"),
        (2, ["estimate", "llama-3.1-8b"], "missing option '--on'"),
        (2, ["estimate", *QUESTION, "--bach", "3"], "--batch"),
        (2, ["estimate", "llama-3.1-8x", "--on", "h100-sxm"], "llama-3.1-8b"),
        (2, ["estimate", "llama-3.1-8b", "--on", "h100-sxx"], "h100-sxm"),
        (2, ["estimate", *QUESTION, "--batch", "1.5"], "batch"),
        (2, ["estimate", *QUESTION, "--phase", "training"], "phase"),
        (2, ["estimate", *QUESTION, "--csv", "-", "--json"], "standard output"),
        (2, ["estimate", *QUESTION, "--html", "/no/such/folder/a.html"], "/no/such/folder"),
        (2, ["ops", *QUESTION, "--phase", "serve"], "prefill or decode"),
        (2, ["sweep", *QUESTION, "--batch", "8:1:x2"], "--batch"),
        (2, ["explain", "tput", *QUESTION], "tpot"),
        (2, ["run", "/no/such.csv", "--out", "-"], "/no/such.csv"),
        (2, ["estimate", *NETWORK, "--tp", "2"], "--tp is not an option of the network resnet18"),
        (2, ["estimate", *NETWORK, "--input", "128"], "--image N"),
        (2, ["estimate", *NETWORK, "--prefill-workers", "2"], "--dp N"),
        (2, ["estimate", *NETWORK, "--phase", "decode"], "one pass"),
        (2, ["estimate", *NETWORK, "--kv", "fp8"], "keeps no cache"),
        (2, ["estimate", *QUESTION, "--image", "288"], "--image is not an option of the language model"),
        (2, ["estimate", *QUESTION, "--sparsity", "2:4"], "--sparsity is not an option of the language model"),
        (2, ["estimate", "resnet5", "--on", "h100-sxm"], "resnet50"),
        (2, ["estimate", *NETWORK, "--engine", "vllm"], "torch-compile"),
        (2, ["estimate", *NETWORK, "--fusion", "all"], "pointwise"),
        (2, ["estimate", *NETWORK, "--layers", "fc"], "PATTERN=PRECISION"),
        (2, ["estimate", *NETWORK, "--layers", "fx=int8"], "no layer of resnet18 matches 'fx'"),
        (2, ["estimate", *NETWORK, "--set", "model.imag=288"], "did you mean 'image'"),
        (2, ["estimate", *NETWORK, "--image", "many"], "image must be a whole number"),
        (2, ["estimate", "vgg16", "--on", "h100-sxm", "--image", "1"], "too small"),
        (2, ["compare", "resnet18,llama-3.1-8b", "--on", "h100-sxm"], "share no metric"),
        (2, ["compare", "resnet18", "--on", "h100-sxm", "--vary", "tp=1,2"], "no field 'tp'"),
        (2, ["sweep", *NETWORK, "--vary", "kv=fp8"], "no field 'kv'"),
        (2, ["sweep", *NETWORK, "--slo", "tpot=1ms"], "with latency"),
        (2, ["explain", "tpot", *NETWORK], "the network resnet18 has no tpot"),
        (2, ["explain", "macs", *QUESTION], "perfmodel model show"),
        (2, ["explain", "latency", "resnet18"], "--on DEVICE"),
        (2, ["explain", "macs", "resnet18", "--symbols", "imag"], "did you mean 'image'"),
        (2, ["explain", "latency", *NETWORK, "--symbols", "bandwith"], "did you mean 'bandwidth'"),
        (2, ["model", "list", "--kind", "networks"], "--kind must be"),
        (2, ["model", "show", "resnet18", "--logits", "all"], "--logits is not an option of the network"),
        (2, ["model", "import", "/no/such.onnx"], "/no/such.onnx"),
        (2, ["model", "import", "/no/such.onnx", "--out", "a.yaml"], "estimated from its own file"),
        (2, ["model", "import", "/no/config.json", "--size", "a=1"], "of graphs"),
        (2, ["model", "show", "llama-3.1-8b", "--logits", "some"], "--logits"),
        (2, ["estimate", *QUESTION, "--html", "-"], "'-' is standard output"),
        (2, ["estimate", *QUESTION, "--tp", "2", "--decode", "tp=2"], "--decode tp=2"),
        (2, ["require", *QUESTION, "--tpot", "0s"], "--tpot"),
        (2, ["fleet", *QUESTION, "--rate", "0"], "rate must be above 0"),
        (2, ["sweep", *QUESTION, "--slo", "tpot=30"], "--slo: '30' has no unit"),
        (2, ["offload", *QUESTION, "--host", "5parsec"], "--host: '5parsec' has the unknown unit"),
        (3, ["estimate", *QUESTION, "--tp", "3"], "does not divide"),
        (3, ["estimate", *QUESTION, "--mode", "disagg"], "pools"),
    ],
)
def test_errors(cli: Cli, code: int, arguments: list[str], message: str) -> None:
    found = cli(*arguments)
    assert (found.code, found.out) == (code, "")
    assert found.err.startswith("error: ")
    assert message.lower() in found.err.lower()
    assert "Traceback" not in found.err


def test_a_failed_check_is_5(cli: Cli, root: Path, tmp_path: Path) -> None:
    text = (root / "hardware_specs/gpu/h100-sxm.yaml").read_text().replace("989.4 TFLOP/s", "9894 TFLOP/s")
    (tmp_path / "mine.yaml").write_text(text.replace("name: h100-sxm", "name: mine"))
    found = cli("device", "check", tmp_path / "mine.yaml")
    assert found.code == 5
    assert found.err.startswith("error: ")


def test_a_bug_is_raised_and_ctrl_c_is_130(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(error: BaseException) -> Any:
        def raised(*_: object, **__: object) -> None:
            raise error

        return raised

    monkeypatch.setattr("perfmodel.api.estimate", fail(KeyboardInterrupt()))
    found = cli("estimate", *QUESTION)
    assert (found.code, found.out) == (130, "")
    assert "interrupted" in found.err
    monkeypatch.setattr("perfmodel.api.estimate", fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):  # the interpreter prints where, and exits with 1
        cli("estimate", *QUESTION)


def test_no_arguments_is_help_and_bad_usage(cli: Cli) -> None:
    found = cli()
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("Usage: perfmodel")
    assert found.err.count("\n    perfmodel ") == 3


@pytest.mark.parametrize("words", ["device list", "estimate llama-3.2-1b --on l4"])
def test_a_reader_that_leaves_is_no_failure(root: Path, words: str) -> None:
    program = f"{sys.executable} cli.py {words} | true; echo ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.split()[-1] == "0"
    assert found.stderr == ""


def test_completion(root: Path) -> None:
    program = "import sys; sys.argv[0] = 'perfmodel'; from perfmodel.cli import main; main()"
    for words, offered in (("perfmodel est", "estimate"), ("perfmodel device show h100", "h100-sxm")):
        environment = {"_PERFMODEL_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        found = subprocess.run(
            [sys.executable, "-c", program], cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        assert offered in found.stdout.split(), found.stderr
