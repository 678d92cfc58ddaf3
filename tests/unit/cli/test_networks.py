"""Networks on the command line: every command that takes a model, in words, in JSON and in files."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from perfmodel.cli.network import layer_precisions
from perfmodel.errors import InputError
from tests.conftest import Cli

QUESTION = ("resnet18", "--on", "rtx-4090")


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV text."""
    return list(csv.DictReader(io.StringIO(text)))


def answer(cli: Cli, *arguments: str) -> dict[str, Any]:
    """Return the JSON object of a command that must not fail."""
    found = cli(*arguments, "--json")
    assert (found.code, found.err) == (0, "")
    return json.loads(found.out)


def test_estimate_prints_the_answer(cli: Cli) -> None:
    found = cli("estimate", *QUESTION, "--batch", "64")
    assert (found.code, found.err) == (0, "")
    words = ("resnet18 on rtx-4090", "images of 3x224x224", "Latency", "images/s", "J/image", "USD per million images")
    assert all(word in found.out for word in words)
    assert "11.7 M parameters, 1.81 GMAC" in found.out
    assert "largest batch" in found.out
    assert "KV cache" not in found.out
    assert "tokens" not in found.out


def test_every_option_reaches_the_question(cli: Cli) -> None:
    options = ("--batch", "8", "--image", "160", "--precision", "int8", "--engine", "torch", "--fusion", "pointwise",
               "--layers", "fc=float16,layer1.*=fp8", "--dp", "2", "--power-limit", "300", "--usd-per-hour", "1.5",
               "--set", "model.classes=10", "--set", "device.power=400W")  # fmt: skip
    found = answer(cli, "estimate", *QUESTION, *options)
    inputs = found["inputs"]
    assert inputs["input_shapes"] == [[3, 160, 160]]
    assert inputs["layers"] == {"fc": "float16", "layer1.*": "fp8"}
    assert (inputs["batch"], inputs["dp"], inputs["engine"], inputs["fusion"]) == (8, 2, "torch", "pointwise")
    assert inputs["changes"] == {"model.classes": "10", "device.power": "400W"}
    assert found["parameters"] < 11_500_000
    assert found["energy"]["power_limit_w"] == 300
    assert found["money"]["usd_per_device_hour"] == 1.5


def test_estimate_writes_all_kinds_of_files(cli: Cli, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("r.csv", "r.html", "r.xlsx")]
    found = cli("estimate", *QUESTION, "--csv", files[0], "--html", files[1], "--xlsx", files[2])
    assert found.code == 0
    rows = table(files[0].read_text())
    assert list(rows[0])[:7] == ["model", "device", "batch", "precision", "phase", "name", "block"]
    assert "images/s" in files[1].read_text()
    assert files[2].read_bytes()[:2] == b"PK"


def test_a_pipeline_shows_its_networks(cli: Cli) -> None:
    found = cli("estimate", "sdxl", "--on", "l40s", "--image", "512", "--set", "model.steps=4")
    assert found.code == 0
    assert "Networks of the pipeline" in found.out
    assert "images of 3x512x512 by 4 networks" in found.out
    assert "all networks:" in found.out
    assert "sdxl-unet: " in found.out


def test_samples_have_their_own_names(cli: Cli) -> None:
    assert "videos/s" in cli("estimate", "cogvideox-2b", "--on", "h100-sxm").out
    assert "USD per million videos" in cli("estimate", "cogvideox-2b", "--on", "h100-sxm").out


def test_ops(cli: Cli) -> None:
    text = cli("ops", *QUESTION, "--batch", "8", "--fusion", "none").out
    assert "convolution" in text
    assert text.splitlines()[-1].startswith("batch: ")
    found = answer(cli, "ops", *QUESTION, "--precision", "int8")
    assert {row["dtype"] for row in found["operators"]} == {"int8"}
    assert "latency_s" in found
    assert "sdxl-unet: " in cli("ops", "sdxl", "--on", "l40s").out


def test_sweep_in_every_way(cli: Cli, tmp_path: Path) -> None:
    axes = ("--batch", "1,8", "--image", "160,224", "--precision", "float16,int8", "--vary", "engine=torch,tensorrt")
    found = answer(cli, "sweep", *QUESTION, *axes)
    assert found["shape"] == [2, 2, 2, 2]
    assert cli("sweep", *QUESTION, *axes, "--csv", tmp_path / "g.csv").code == 0
    rows = table((tmp_path / "g.csv").read_text())
    printed = table(cli("sweep", *QUESTION, *axes, "--csv", "-").out)
    assert len(rows) == len(printed) == len(found["rows"]) == 16
    for row, other, third in zip(rows, printed, found["rows"], strict=True):
        assert float(row["latency_s"]) == pytest.approx(float(other["latency_s"]), rel=1e-5)
        assert float(row["latency_s"]) == pytest.approx(third["latency_s"], rel=1e-5)
    text = cli("sweep", *QUESTION, *axes)
    assert text.out.splitlines()[0].split()[:4] == ["engine", "image", "precision", "batch"]
    assert "images/s" in text.out
    limited = cli("sweep", *QUESTION, *axes, "--slo", "latency=1ms", "--html", tmp_path / "s.html")
    assert "keep the service level" in limited.err
    page = (tmp_path / "s.html").read_text()
    assert "a sample is an image" in page
    assert "latency within" in page


def test_sweep_over_sparsity_and_devices_numbers(cli: Cli) -> None:
    found = answer(
        cli, "sweep", "resnet18", "--on", "a100-sxm-80gb", "--vary", "sparsity=dense,2:4", "--dp", "1,2",
        "--vary", "device.memory.main.bandwidth=*1,*2",
    )  # fmt: skip
    assert found["shape"] == [2, 2, 2, 1]
    assert {row["sparsity"] for row in found["rows"]} == {"dense", "2:4"}


def test_compare(cli: Cli, tmp_path: Path) -> None:
    cases = ("compare", "resnet18,mobilenetv2_100", "--on", "rtx-4090,l40s", "--vary", "precision=float16,int8")
    found = answer(cli, *cases)
    assert len(found["cases"]) == 8
    assert found["baseline"] == "resnet18 rtx-4090 float16"
    assert set(found["attribution"]["resnet18 rtx-4090 int8"]) == {"latency"}
    assert set(found["cases"][0]["bands"]) == {"latency_s"}
    text = cli(*cases, "--html", tmp_path / "c.html", "--csv", tmp_path / "c.csv")
    assert "images/s" in text.out
    assert "changed: precision float16 -> int8" in text.out
    assert "parameters 11,689,512 -> 3,504,872" in text.out
    assert len(table((tmp_path / "c.csv").read_text())) == 8
    page = (tmp_path / "c.html").read_text()
    assert "has the shortest latency" in page
    assert "A sample is an image." in page


def test_compare_explicit_cases(cli: Cli) -> None:
    text = cli(
        "compare", *QUESTION, "--case", "precision=int8,batch=64,image=160", "--case", "fusion=none,batch=64"
    ).out
    assert "input_shapes 3x160x160 -> 3x224x224" in text


def test_model_list_has_both_kinds(cli: Cli) -> None:
    found = answer(cli, "model", "list")
    assert {row["name"] for row in found["models"]} >= {"llama-3.1-8b"}
    resnet = next(row for row in found["networks"] if row["name"] == "resnet50")
    assert resnet == {
        "name": "resnet50", "family": "resnet", "parameters": 25_557_032, "macs": 4.089e9, "image": 224
    }  # fmt: skip
    assert "models" not in answer(cli, "model", "list", "--kind", "network")
    assert "networks" not in answer(cli, "model", "list", "--kind", "language")
    text = cli("model", "list", "--kind", "network")
    assert text.out.splitlines()[0].split() == ["network", "family", "parameters", "GMAC", "image"]
    assert "--counts" in text.err


def test_model_list_can_count(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from perfmodel.workloads.networks import summary

    few = [v for v in summary.all_variants() if v.name in ("resnet18", "resnet26")]
    monkeypatch.setattr(summary, "all_variants", lambda: iter(few))
    rows = answer(cli, "model", "list", "--kind", "network", "--counts")["networks"]
    assert [row["parameters"] for row in rows] == [11_689_512, 15_995_176]


def test_model_show(cli: Cli) -> None:
    found = answer(cli, "model", "show", "resnet50")
    assert (found["parameters"], found["macs"]) == (25_557_032, 4_089_184_256.0)
    assert found["published"]["parameters"] == 25_557_032
    assert found["fields"]["image"] == 224
    blocks = found["stages"][0]["blocks"]
    assert sum(block["parameters"] for block in blocks) == found["parameters"]
    assert sum(block["macs"] for block in blocks) == found["macs"]
    text = cli("model", "show", "resnet50", "--batch", "4").out
    assert all(word in text for word in ("+0.00 %", "layer1.0", "64x112x112", "--set model.FIELD=VALUE", "4 images:"))
    larger = answer(cli, "model", "show", "resnet50", "--image", "448")
    assert larger["macs"] > 3.9 * found["macs"]
    assert larger["published"] == {}
    assert larger["fields"]["image"] == 448


def test_model_show_of_a_pipeline(cli: Cli) -> None:
    text = cli("model", "show", "sdxl").out
    assert "sdxl-unet" in text
    assert "shows the blocks of one of them" in text


def test_model_check(cli: Cli, root: Path, tmp_path: Path) -> None:
    assert cli("model", "check", "resnet50", "llama-3.1-8b").out == "2 checked, 0 errors, 0 warnings\n"
    text = (
        'schema: networks/1\nname: mine\nfamily: resnet\nsource: "a test"\nverified: true\nvariants:\n'
        "  mine18: {depths: [2, 2, 2, 2], block: basic}\npublished:\n"
        '  mine18: {parameters: 11689513, macs: 1.9e9, source: "a test"}\n'
    )
    (tmp_path / "mine.yaml").write_text(text)
    found = cli("model", "check", tmp_path / "mine.yaml", "--json")
    assert found.code == 5
    messages = [row["message"] for row in json.loads(found.out)["findings"]]
    assert any("11,689,512 parameters, published 11,689,513" in message for message in messages)
    assert any("multiply-accumulates" in message for message in messages)
    assert answer(cli, "model", "show", str(tmp_path / "mine.yaml"))["published"]["parameters"] == 11_689_513


def test_model_families_has_those_of_networks(cli: Cli) -> None:
    found = answer(cli, "model", "families", "--kind", "network")
    assert found["families"] == []
    fields = next(row["fields"] for row in found["networks"] if row["family"] == "resnet")
    assert {"depths", "image", "classes"} <= set(fields)
    assert "network family" in cli("model", "families").out


def test_explain_latency(cli: Cli) -> None:
    found = answer(cli, "explain", "latency", *QUESTION, "--batch", "8", "--symbols", "batch,bandwidth")
    assert "BW" in found["bound"]
    assert set(found["symbols"]) == {"batch", "bandwidth"}
    assert {"compute", "memory", "traffic"} <= set(found["parts"])
    text = cli("explain", "latency", *QUESTION, "--engine", "torch", "--symbols", "launch,peak").out
    assert "issue" in text
    assert "t_{issue}" in text
    assert "\\" in cli("explain", "latency", *QUESTION, "--latex").out


def test_explain_counts(cli: Cli) -> None:
    text = cli("explain", "macs", "resnet18").out
    assert "macs = 36144*s**2 + 512000" in text
    assert "exact: image is a multiple of 32" in text
    found = answer(cli, "explain", "parameters", "resnet50", "--symbols", "depths,widths")
    assert [row["field"] for row in found["in"]] == ["depths", "widths"]
    assert cli("explain", "weights", "resnet18", "--precision", "int8", "--latex").out == "11689512\n"
    changed = answer(cli, "explain", "macs", "resnet18", "--set", "model.classes=10")
    assert changed["in"][0]["value"] == found_value(cli)


def found_value(cli: Cli) -> float:
    """Return the MACs of a resnet18 of ten classes by way of another command."""
    return answer(cli, "estimate", *QUESTION, "--set", "model.classes=10")["matmul_flops_per_sample"] / 2


def test_import_of_a_graph_says_what_is_counted(cli: Cli, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("NoSuchThing", ["z"], ["out"], domain="mine"),
    ]
    weights = helper.make_tensor("w", kind, [8, 3, 3, 3], [0.0] * 216)
    side: list[Any] = [1, 3, "side", 32]
    graph = helper.make_graph(
        nodes, "tiny", [helper.make_tensor_value_info("x", kind, side)],
        [helper.make_tensor_value_info("out", kind, [1, 8, "side", 32])], [weights],
    )  # fmt: skip
    path = tmp_path / "tiny.onnx"
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]), path
    )
    found = cli("model", "import", path, "--size", "side=32")
    assert found.code == 0
    assert "3x32x32 in" in found.out
    assert "216" in found.out
    assert "NoSuchThing" in found.out
    said = answer(cli, "model", "import", str(path), "--size", "side=32")
    assert said["coverage"]["unsupported"] == 1
    assert said["macs"] == 32 * 32 * 216
    refused = cli("model", "import", path)
    assert refused.code == 2
    assert "side" in refused.err
    estimate = cli("estimate", path, "--on", "rtx-4090", "--set", "model.side=32")
    assert estimate.code == 0
    assert "not counted" in estimate.out


def test_precisions_of_layers() -> None:
    assert layer_precisions("fc=float16, layer1.*=int8,") == [("fc", "float16"), ("layer1.*", "int8")]
    for text in ("fc", "=int8", "fc="):
        with pytest.raises(InputError, match="PATTERN=PRECISION"):
            layer_precisions(text)


def test_networks_of_a_users_folder(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(
        'schema: networks/1\nname: mine\nfamily: resnet\nsource: "a test"\nverified: false\nvariants:\n'
        "  my-resnet: {depths: [1, 1, 1, 1], block: basic, image: 64}\n  my-other: {depths: [2, 2, 2, 2]}\n"
    )
    monkeypatch.setenv("PERFMODEL_SPECS", str(tmp_path))
    assert answer(cli, "estimate", "my-resnet", "--on", "rtx-4090")["inputs"]["input_shapes"] == [[3, 64, 64]]
    assert "my-other" in cli("model", "list", "--kind", "network").out
    refused = cli("estimate", tmp_path / "mine.yaml", "--on", "rtx-4090")
    assert refused.code == 2
    assert "2 variants" in refused.err
