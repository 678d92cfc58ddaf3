"""Estimates of networks as calls: the same names as for language models, options checked, answers that add up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import perfmodel as pm
from perfmodel.devices.model import WHAT_IF
from perfmodel.errors import InputError, PlanError, UnknownNameError
from perfmodel.network_report import SCHEMA, network_report
from perfmodel.workloads.kinds import LANGUAGE, NETWORK, kind_of
from perfmodel.workloads.network import Network
from perfmodel.workloads.spec import LanguageModel

QUESTION: dict[str, Any] = {"model": "resnet18", "device": "rtx-4090", "batch": 32}


def test_one_name_space_for_both_kinds() -> None:
    assert isinstance(pm.load_model("resnet50"), Network)
    assert isinstance(pm.load_model("llama-3.1-8b"), LanguageModel)
    assert pm.load_network("resnet50", image=288).inputs == ((3, 288, 288),)
    assert [kind_of(name) for name in ("resnet50", "ResNet-50 v1.5", "llama-3.1-8b")] == [NETWORK, NETWORK, LANGUAGE]


def test_files_say_which_kind_they_are(root: Path, tmp_path: Path) -> None:
    assert kind_of(str(root / "workloads/cnn/resnet.yaml")) == NETWORK
    assert kind_of(str(root / "workloads/transformer/llama-3.1-8b.yaml")) == LANGUAGE
    assert [kind_of(name) for name in ("net.onnx", "net.graph.json", "config.json", "model.gguf", "./no.yaml")] == [
        NETWORK, NETWORK, LANGUAGE, LANGUAGE, LANGUAGE,
    ]  # fmt: skip
    (tmp_path / "records.json").write_text('{"schema": "perfmodel/graph/1", "nodes": []}')
    assert kind_of(str(tmp_path / "records.json")) == NETWORK
    (tmp_path / "model").mkdir()
    assert kind_of(str(tmp_path / "model")) == LANGUAGE


@pytest.mark.parametrize("name", ["resnet5", "llama-3.1-8x", "", " ", "a\0b"])
def test_unknown_names_are_refused_with_the_nearest_of_both(name: str) -> None:
    with pytest.raises(UnknownNameError, match="no model"):
        kind_of(name)


def test_the_nearest_is_of_either_kind() -> None:
    for name, near in (("resnet5", "resnet50"), ("lama-3.1-8b", "llama-3.1-8b")):
        with pytest.raises(UnknownNameError) as found:
            pm.estimate(name, "h100-sxm")
        assert near in found.value.nearest


def test_an_answer_adds_up() -> None:
    answer = pm.estimate(**QUESTION)
    assert isinstance(answer, pm.NetworkEstimate)
    time = answer.latency_s
    assert 0 < time.bound <= time.p10 <= time.expected <= time.p90
    assert answer.samples_per_s == pytest.approx(32 / time.expected)
    rows = answer.operator_rows()
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    assert sum(row["expected_s"] for row in rows) == pytest.approx(time.expected)
    assert answer.memory.used_bytes < answer.memory.capacity_bytes
    assert answer.bottleneck in ("compute", "memory")
    assert list(answer.ops()["block"][:2]) == ["conv1", "maxpool"]


def test_kernels_are_of_a_kind_of_layer_and_have_their_products_dtype() -> None:
    rows = pm.estimate(
        "mobilenetv2_100", "rtx-4090", precision="int8", layers={"classifier": "float16"}
    ).operator_rows()
    kinds = {row["part"] for row in rows}
    assert {"convolution", "depthwise", "dense", "pooling"} <= kinds
    assert {row["dtype"] for row in rows if row["part"] == "depthwise"} == {"int8"}
    assert [row["dtype"] for row in rows if row["part"] == "dense"] == ["float16"]
    vit = {row["part"] for row in pm.estimate("vit_tiny_patch16_224", "rtx-4090").operator_rows()}
    assert {"attention", "dense", "element-wise"} <= vit


def test_the_report_is_plain_json_with_every_part() -> None:
    found = network_report(pm.estimate(**QUESTION, dp=2, image=160, changes={"device.power": "300 W"}))
    assert set(json.loads(json.dumps(found, allow_nan=False))) == set(found)
    assert found["schema"] == SCHEMA
    assert found["inputs"]["input_shapes"] == [[3, 160, 160]]
    assert found["inputs"]["changes"] == {"device.power": "300 W"}
    assert found["samples_per_s_per_device"] == pytest.approx(found["samples_per_s"] / 2)
    assert found["energy"]["joules_per_sample"] == found["joules_per_sample"]
    assert found["money"]["usd_per_hour"] == pytest.approx(2 * found["money"]["usd_per_device_hour"])
    assert 0 < found["mfu"] < 1
    assert 0 < found["mbu"] < 1
    assert any(note.startswith(WHAT_IF) for note in found["notes"])


def test_what_the_device_lacks_is_said() -> None:
    notes = network_report(pm.estimate("resnet18", "a100-sxm-80gb", precision="fp8"))["notes"]
    assert any("no fp8 matrix unit" in note for note in notes)
    with pytest.raises(PlanError, match="2:4"):
        pm.estimate("resnet18", "v100-sxm-32gb", sparsity="2:4")
    assert network_report(pm.estimate("resnet18", "a100-sxm-80gb", sparsity="2:4"))["mfu"] > 0


def test_a_pipeline_has_stages_that_sum() -> None:
    found = network_report(pm.estimate("sdxl", "l40s", image=512, changes={"model.steps": "4"}))
    assert len(found["stages"]) == 4
    assert found["inputs"]["output_shapes"] == [[3, 512, 512]]
    assert sum(stage["latency_s"] for stage in found["stages"]) == pytest.approx(found["latency_s"]["expected"])
    assert sum(stage["macs_per_sample"] for stage in found["stages"]) == pytest.approx(
        found["matmul_flops_per_sample"] / 2
    )
    assert {row["phase"] for row in found["operators"]} == {stage["network"] for stage in found["stages"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tp": 2}, "networks have no option 'tp' - did you mean 'dp'"),
        ({"input_tokens": 5}, "networks have no option 'input_tokens'"),
        ({"image": 0}, "image must be at least 1"),
        ({"image": 2.5}, "image must be a whole number"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"layers": {"no.such": "int8"}}, "no layer of resnet18 matches"),
        ({"engine": "vllm"}, "unknown engine 'vllm' of networks"),
        ({"changes": {"model.no": "1"}}, "has no field 'no'"),
        ({"changes": {"image": "1"}}, "write device.FIELD or model.FIELD"),
    ],
)
def test_what_cannot_be_is_an_input_error(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        pm.estimate(**{**QUESTION, **options})


def test_a_network_given_as_an_object() -> None:
    network = pm.load_network("resnet18", image=160)
    by_name = pm.estimate("resnet18", "rtx-4090", image=160)
    assert pm.estimate(network, "rtx-4090").latency_s == by_name.latency_s
    with pytest.raises(InputError, match="given as an object"):
        pm.estimate(network, "rtx-4090", image=224)


def test_language_models_have_no_images() -> None:
    with pytest.raises(InputError, match="no option 'image'"):
        pm.estimate("llama-3.1-8b", "h100-sxm", image=224)


def test_sweeps_of_networks() -> None:
    found = pm.sweep("resnet18", "rtx-4090", batch=[1, 8], image=[160, 224], precision=["float16", "int8"])
    assert found.shape == (2, 2, 2)
    assert list(found.axes) == ["image", "precision", "batch"]
    answer = pm.estimate("resnet18", "rtx-4090", batch=8, image=224, precision="int8")
    assert found.columns["latency_s"][1, 1, 1] == pytest.approx(answer.latency_s.expected)
    assert found.columns["samples_per_s"][1, 1, 1] == pytest.approx(answer.samples_per_s)
    with pytest.raises(InputError, match="no option 'tp'"):
        pm.sweep("resnet18", "rtx-4090", tp=2)


def test_comparisons_of_networks() -> None:
    found = pm.compare([{"precision": "float16"}, {"precision": "int8"}], model="resnet18", device="rtx-4090", batch=64)
    terms = found.attribution("latency", found.cases[1])
    before, after = (case.metric("latency_s") for case in found.cases)
    assert before is not None
    assert after is not None
    assert sum(t.difference_s for t in terms) == pytest.approx(after - before, abs=1e-12)
    assert {"conv1", "layer1.0", "fc"} <= {t.name for t in terms}
    assert found.differences(found.cases[1]) == {"precision": ("float16", "int8")}
    assert "latency" in found.explanation("latency", found.cases[1])
    with pytest.raises(InputError, match="terms of latency are known"):
        found.attribution("tpot", found.cases[1])


def test_different_networks_are_compared_by_kinds_of_layers() -> None:
    found = pm.compare([{"model": "resnet18"}, {"model": "mobilenetv2_100"}], device="rtx-4090")
    changed = found.differences(found.cases[1])
    assert {"model", "parameters", "matmul_flops_per_sample"} <= set(changed)
    assert {"convolution", "depthwise"} <= {t.name for t in found.attribution("latency", found.cases[1])}
    with pytest.raises(InputError, match="share no metric"):
        pm.compare([{"model": "resnet18"}, {"model": "llama-3.1-8b"}], device="h100-sxm")
