"""Adapters: how many occur, what they cost a step, when they are fetched."""

from __future__ import annotations

import random

import pytest

import perfmodel as pm
from perfmodel.errors import InputError
from perfmodel.simulation.adapters import AdapterPool
from perfmodel.simulation.closed_form import distinct_adapters
from perfmodel.simulation.equipment import adapter_bytes
from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.predictor import Composition, StepPredictor
from perfmodel.simulation.report import simulate_report
from perfmodel.simulation.requests import Asked, ask
from perfmodel.simulation.run import simulate
from perfmodel.simulation.words import equipment_from
from perfmodel.workloads.spec import Lora
from tests.unit.simulation.doubles import ByTokens, replica, requests

LLAMA = ("llama-2-7b", "a100-sxm-80gb")


@pytest.mark.parametrize(("adapters", "exponent", "sequences"), [(100, 0.0, 32), (100, 1.0, 32), (5, 1.5, 200)])
def test_different_adapters_in_a_batch(adapters: int, exponent: float, sequences: int) -> None:
    rng = random.Random(1)
    weights = [1 / k**exponent for k in range(1, adapters + 1)]
    drawn = [len(set(rng.choices(range(adapters), weights, k=sequences))) for _ in range(3000)]
    assert float(distinct_adapters(adapters, exponent, sequences)) == pytest.approx(sum(drawn) / len(drawn), rel=0.02)


def test_an_adapter_of_attention_has_the_bytes_of_its_eight_matrices() -> None:
    """Llama-2-7B: query, key, value and output, each two matrices of 4096 x rank in 16 bits, in 32 layers."""
    setup = pm.estimate(*LLAMA).setup
    assert adapter_bytes(setup, Lora(8, targets="attention")) == 32 * 8 * 4096 * 8 * 2
    every = 32 * 8 * 2 * (8 * 4096 + 3 * 4096 + 3 * 11008)
    assert adapter_bytes(setup, Lora(8)) == every


def test_the_bytes_of_a_step_are_those_of_the_adapters_in_it() -> None:
    setup = pm.estimate(*LLAMA).setup
    predictor = StepPredictor(setup, lora=Lora(64, targets="attention"))
    plain, one, many = (predictor.seconds_of(Composition(decodes=32, decode_context=500.0, adapters=n))
                        for n in (0, 1, 32))  # fmt: skip
    assert plain[0] < one[0] < many[0]
    each = 32 * 8 * 4096 * 64 * 2
    bandwidth = setup.decode.machine.chip.memory_bandwidth_bytes_per_s
    assert (many[1] - one[1]) * bandwidth == pytest.approx(31 * each, rel=1e-6)
    # no more of them than there are sequences
    assert predictor.step_s(Composition(decodes=2, decode_context=500.0, adapters=32)) == pytest.approx(
        predictor.step_s(Composition(decodes=2, decode_context=500.0, adapters=2))
    )


def test_fetching_by_hand() -> None:
    """Adapters of 50 bytes at 100 a second: the second request of an adapter finds it, another waits for its own."""
    found = requests([0.0, 10.0, 20.0], 100, 2)
    for request, adapter in zip(found, (7, 7, 8), strict=True):
        request.adapter = adapter
    link = HostLink(100.0)
    one = replica(ByTokens(), room=300.0, token_budget=1000, adapters=AdapterPool(50.0, link), host=link)
    simulate(found, [one])
    assert [r.ttft_s for r in found] == pytest.approx([0.6, 0.1, 0.6])
    assert (one.adapters.asked, one.adapters.fetched) == (3, 2)


def test_caches_drive_idle_adapters_out_and_those_in_use_stay() -> None:
    found = requests([0.0, 10.0, 30.0], 100, 2)
    found[1].input_tokens = 250
    for request, adapter in zip(found, (7, 8, 7), strict=True):
        request.adapter = adapter
    link = HostLink(100.0)
    one = replica(ByTokens(), room=320.0, token_budget=1000, adapters=AdapterPool(50.0, link), host=link)
    simulate(found, [one])
    # 250 tokens and adapter 8 leave no room for adapter 7, which is fetched again
    assert one.adapters.fetched == 3
    assert one.adapters.pinned_bytes == 0.0


def test_simulation_and_closed_form_agree() -> None:
    setup = pm.estimate(*LLAMA).setup
    device = pm.load_device(LLAMA[1])
    report = simulate_report(
        setup, in_flight=16, requests=80, asked=Asked(adapters=200, exponent=0.5),
        equipment=equipment_from(device, adapters=200, lora_rank=32),
    )  # fmt: skip
    assert report["tpot_s"]["mean"] == pytest.approx(report["closed_form"]["tpot_s"], rel=0.1)
    assert report["requests_per_s"] == pytest.approx(report["closed_form"]["requests_per_s"], rel=0.1)
    plain = simulate_report(setup, in_flight=16, requests=80)
    assert report["tpot_s"]["mean"] > 1.02 * plain["tpot_s"]["mean"]
    assert 0.0 < report["adapters"]["hit_rate"] < 1.0


def test_adapters_are_drawn_alike_with_the_same_seed() -> None:
    first, second, third = (requests([0.0] * 50, 10, 1) for _ in range(3))
    for drawn, seed in ((first, 1), (second, 1), (third, 2)):
        ask(drawn, Asked(adapters=20), seed)
    assert [r.adapter for r in first] == [r.adapter for r in second] != [r.adapter for r in third]


def test_words_are_checked() -> None:
    device = pm.load_device("h100-sxm")
    with pytest.raises(InputError, match="attention"):
        equipment_from(device, adapters=5, lora_targets="atention")
    with pytest.raises(InputError, match="SIZE@RATE"):
        equipment_from(device, flash="2TB")
