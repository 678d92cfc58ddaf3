"""Energy by hand: joules of flops and bytes, the limit, and the clock that it costs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel import api
from perfmodel.cost.energy import (
    EnergyFacts,
    clock_loss,
    dynamic_energy,
    energy_facts,
    limit_factor,
    overload,
)
from perfmodel.counts import Counts, read, tensor, vector, write
from perfmodel.devices import list_devices, load_device
from perfmodel.errors import InputError

FACTS = EnergyFacts(100.0, 500.0, 500.0, 150e-12, 344e-12, {"bfloat16": 2e-12, "fp8": 1e-12}, 2e-12, True, 0.9, 1.1)


def test_flops_and_bytes_by_hand() -> None:
    counts = Counts(
        {tensor("bfloat16"): 1e12, tensor("fp8"): 1e12, vector("softmax"): 1e9},
        {read("weight"): 1e9, read("kv"): 1e9, read("activation"): 7e9, write("collective", "link"): 1e9,
         read("collective", "link"): 1e9},
    )  # fmt: skip
    found = dynamic_energy(counts, FACTS)
    assert found.compute_j == pytest.approx(2.0 + 1.0 + 0.002)
    assert found.memory_j == pytest.approx(0.3), "activations of a step stay in caches"
    assert found.link_j == pytest.approx(0.344), "a byte is paid for where it is sent"


def test_power_falls_with_the_cube_of_the_clock() -> None:
    assert overload(300.0, FACTS, 500.0) == 1.0
    over = overload(800.0, FACTS, 500.0)
    assert over == 2.0
    assert clock_loss(over) == pytest.approx(2.0 ** (1 / 3))
    # 400 W at the board's limit of 500 less 100: half of the room takes 2^(1/3) times as long
    halved = EnergyFacts(100.0, 300.0, 500.0, 1.0, 1.0, {}, 1.0, True, 1.0, 1.0)
    assert limit_factor(400.0, halved) == pytest.approx(2.0 ** (1 / 3))
    assert limit_factor(400.0, FACTS) == 1.0


SIXTEEN_BIT = [
    name for name in list_devices() if any(load_device(name).has_peak(dtype) for dtype in ("bfloat16", "float16"))
]


@pytest.mark.parametrize("name", list_devices())
def test_every_device_of_known_power_has_plausible_coefficients(name: str) -> None:
    device = load_device(name)
    facts = energy_facts(device)
    if device.power_w is None:
        assert facts is None
        return
    assert facts is not None
    assert 0 < facts.static_w < facts.limit_w == device.power_w
    assert facts.p10 <= 1 <= facts.p90
    assert all(0 < j < 1e-9 for j in facts.j_per_flop.values())


@given(st.sampled_from(SIXTEEN_BIT), st.sampled_from([1, 8, 64]), st.sampled_from([128, 4096]))
def test_power_is_between_idle_and_the_limit(name: str, batch: int, tokens: int) -> None:
    found = api.estimate("llama-3.1-8b", name, batch=batch, input_tokens=tokens)
    if found.energy is None:
        assert load_device(name).power_w is None
        return
    facts = found.setup.energy_facts
    assert facts is not None
    assert facts.static_w < found.energy.power_w <= facts.limit_w * (1 + 1e-9)
    assert found.energy.slow_down >= 1
    assert found.joules_per_token is not None
    assert found.joules_per_token > 0
    parts = found.energy.prefill.total_j + found.energy.decode.total_j + found.energy.static_j
    assert found.energy_j == pytest.approx(parts)


def test_power_times_time_is_energy() -> None:
    found = api.estimate("llama-3.1-70b", "h100-sxm", tp=4, batch=16, dp=2)
    assert found.energy is not None
    watts = found.energy.power_w * found.setup.devices
    assert found.energy_j is not None
    # a sustained run at the limit takes longer than the expected times
    assert watts * found.energy.slow_down == pytest.approx(found.energy_j * found.requests_per_s)


def test_a_bigger_batch_takes_less_energy_a_token() -> None:
    found = [api.estimate("llama-3.1-8b", "h100-sxm", batch=b).joules_per_token for b in (1, 8, 64)]
    assert found[0] > found[1] > found[2]  # pyright: ignore[reportOptionalOperand]


def test_a_lower_limit_is_slower_and_saves_energy() -> None:
    full, low = (api.estimate("llama-3.1-8b", "h100-sxm", batch=64, power_limit_w=w) for w in (None, 350.0))
    assert full.tpot_s
    assert low.tpot_s
    assert full.energy
    assert low.energy
    assert low.tpot_s.expected > full.tpot_s.expected
    assert low.tpot_s.bound == full.tpot_s.bound
    assert low.energy.power_w <= 350 * (1 + 1e-9)
    assert low.energy.joules_per_request < full.energy.joules_per_request
    same = api.estimate("llama-3.1-8b", "h100-sxm", batch=64, power_limit_w=700.0)
    assert same.tpot_s
    assert same.tpot_s.expected == pytest.approx(full.tpot_s.expected)


@pytest.mark.parametrize("watts", [0.0, 100.0, 1e5])
def test_limits_that_cannot_be(watts: float) -> None:
    with pytest.raises(InputError, match="must lie above the 140 W that an idle h100-sxm draws"):
        api.estimate("llama-3.1-8b", "h100-sxm", power_limit_w=watts)


def test_a_byte_of_cache_may_take_more_than_one_of_weights() -> None:
    counts = Counts({}, {read("weight"): 1e9, read("kv"): 2e9})
    assert dynamic_energy(counts, FACTS).memory_j == pytest.approx(0.45)
    apart = replace(FACTS, j_per_kv_byte=250e-12)
    assert dynamic_energy(counts, apart).memory_j == pytest.approx(0.15 + 0.5)


def test_an_idle_power_that_is_stated_stands() -> None:
    stated = energy_facts(load_device("tpu-v4"))
    assert stated is not None
    assert stated.static_w == load_device("tpu-v4").idle_power_w


def test_engines_in_memory_bring_their_own_energy() -> None:
    found = [api.estimate("llama-2-7b", d, batch=8, phase="decode") for d in ("attacc", "attacc-buffer")]
    bank, buffer = (one.energy.decode for one in found if one.energy)
    assert bank.memory_j < buffer.memory_j, "0.55 against 3.29 pJ/bit from the cell"
