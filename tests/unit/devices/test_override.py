"""What-if devices and models: which numbers can change, how they are written, and what is refused."""

from __future__ import annotations

import pytest

from perfmodel import api
from perfmodel.devices import load_device
from perfmodel.devices.override import change_device, device_fields
from perfmodel.errors import InputError
from perfmodel.workloads.library import load_model
from perfmodel.workloads.override import change_model, model_fields

DEVICE = load_device("h100-sxm")


def test_quantities_and_factors() -> None:
    found = change_device(DEVICE, {"memory.main.bandwidth": "4 TB/s", "power": "*0.5", "chip.cores": "x2",
                                   "peaks.tensor.bfloat16": "1 PFLOP/s", "links.scale_up.domain": "72"})  # fmt: skip
    assert found.main_bandwidth_bytes_per_s == 4e12
    assert found.power_w == 350
    assert found.core_count == 264
    assert found.peak_flops_per_s("bfloat16") == 1e15
    assert found.peak_flops_per_s("bfloat16", sparsity="2:4") == 2e15
    link = found.link("scale_up")
    assert link is not None
    assert link.domain_size == 72
    assert found.name == DEVICE.name
    assert next(note for note in found.notes if note.startswith("what-if")) == "what-if: memory.main.bandwidth = 4 TB/s"


@pytest.mark.parametrize("field", device_fields(DEVICE))
def test_every_listed_field_can_be_changed(field: str) -> None:
    if field.endswith(("latency", "rails", "idle_power", "cache.bandwidth")):
        with pytest.raises(InputError, match=r"is not stated|must be a number above 0|not a number"):
            change_device(DEVICE, {field: "*-2"})
        return
    assert change_device(DEVICE, {field: "*2"}) != DEVICE


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("memory.man.bandwidth", "1 TB/s", "did you mean 'memory.main.bandwidth'"),
        ("power", "300", "power: '300' "),
        ("power", "3 TB/s", "power: "),
        ("chip.cores", "many", "'many' is not a number"),
        ("chip.cores", "-3", "must be a number above 0"),
        ("idle_power", "*2", "is not stated"),
    ],
)
def test_changes_that_cannot_be(field: str, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        change_device(DEVICE, {field: text})


def test_models() -> None:
    model = load_model("llama-3.1-8b")
    found = change_model(model, {"attention.kv_heads": "4", "ffn.intermediate": "*2", "layers": "16"})
    assert found.layer_count == 16
    assert {g.mixer.kv_heads for g in found.layers} == {4}  # pyright: ignore[reportAttributeAccessIssue]
    assert found.name == "llama-3.1-8b (attention.kv_heads = 4, ffn.intermediate = *2, layers = 16)"
    assert "ffn.experts" in model_fields(load_model("mixtral-8x7b"))
    with pytest.raises(InputError, match=r"no field .ffn\.expert."):
        change_model(model, {"ffn.expert": "2"})
    with pytest.raises(InputError, match="must come to a whole number"):
        change_model(model, {"attention.kv_heads": "*0.3"})


def test_twice_the_bandwidth_halves_a_memory_bound_step() -> None:
    plain = api.estimate("llama-3.1-8b", "h100-sxm", static=True)
    fast = api.estimate("llama-3.1-8b", "h100-sxm", static=True, changes={"device.memory.main.bandwidth": "*2"})
    assert plain.tpot_s is not None
    assert fast.tpot_s is not None
    assert fast.tpot_s.bound == pytest.approx(plain.tpot_s.bound / 2)
    assert "what-if: memory.main.bandwidth = *2" in fast.report()["notes"]
    with pytest.raises(InputError, match=r"write device\.FIELD or model\.FIELD"):
        api.estimate("llama-3.1-8b", "h100-sxm", changes={"power": "*2"})
