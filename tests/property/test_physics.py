"""What must hold whatever the coefficients are, on every device and every model of the library."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import perfmodel as pm
from perfmodel.devices import list_devices, load_device
from perfmodel.errors import PlanError
from perfmodel.ops import Linear
from perfmodel.plan.memory import weights_bytes_per_device
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.step_shape import StepShape
from perfmodel.serving.scenario import Answer, Question, Setup, prepare
from perfmodel.serving.step import Deployment
from perfmodel.serving.timed import Time
from perfmodel.workloads.library import list_models, load_model

DEVICES = tuple(
    name for name in list_devices() if any(load_device(name).has_peak(dtype) for dtype in ("bfloat16", "float16"))
)  # what multiplies in 8 bits alone runs no language model
FIRST_OF_FAMILY = {load_model(name).family: name for name in reversed(list_models())}
MODELS = tuple(sorted(name for name in FIRST_OF_FAMILY.values() if load_model(name).generates))
"""One model of every family: what holds here depends on the kinds of blocks, not on their sizes."""
ENCODERS = tuple(name for name in list_models() if not load_model(name).generates)


def _setup(model: str, device: str, tp: int, **options: Any) -> Setup | None:
    try:
        return prepare(load_model(model), pm.load_device(device), Question(plan=Plan(tp=tp), **options))
    except PlanError:
        return None


def _in_order(time: Time) -> None:
    slack = 1 + 1e-9
    assert 0 < time.bound <= time.p10 * slack
    assert time.p10 <= time.expected * slack
    assert time.expected <= time.p90 * slack


def _answer(setup: Setup, *numbers: float) -> Answer | None:
    """Return the answer, or None where a device's own engines do not run all of the model's operators."""
    try:
        return setup.answer(*numbers)
    except PlanError:
        assert setup.decode.machine.engines
        return None


lengths = st.tuples(st.integers(1, 512), st.integers(1, 32768), st.integers(1, 2048))


@pytest.mark.parametrize("device", DEVICES)
@given(data=st.data())
@settings(max_examples=12, deadline=None)
def test_bound_p10_expected_p90_in_order(device: str, data: st.DataObject) -> None:
    model, tp = data.draw(st.sampled_from(MODELS)), data.draw(st.sampled_from([1, 2, 4, 8]))
    engine, static = data.draw(st.sampled_from(["", "vllm", "sglang", "trtllm"])), data.draw(st.booleans())
    setup = _setup(model, device, tp, engine=engine, static=static)
    if setup is None:
        return
    batch, input_tokens, output_tokens = data.draw(lengths)
    answer = _answer(setup, batch, input_tokens, output_tokens)
    if answer is None:
        return
    phases = answer.phases
    for time in (phases.ttft, phases.tpot, phases.e2e):
        assert time is not None
        _in_order(time)
    for step in (phases.prefill, phases.decode):
        assert step is not None
        for row in step.operators:
            assert row.expected_s >= row.bound.time_s >= 0


@pytest.mark.parametrize("model", MODELS)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_decode_is_never_faster_than_reading_the_weights(model: str, data: st.DataObject) -> None:
    device = data.draw(st.sampled_from(DEVICES))
    setup = _setup(model, device, data.draw(st.sampled_from([1, 2, 4, 8])), static=True)
    if setup is None or any(hasattr(g.ffn, "experts") for g in setup.decode.model.layers):
        return
    answer = _answer(setup, data.draw(st.integers(1, 256)), data.draw(st.integers(1, 8192)), 16)
    if answer is None:
        return
    tpot, d = answer.phases.tpot, setup.decode
    weights = weights_bytes_per_device(d.model, d.plan, d.precisions)
    if not d.model.tied_embeddings:
        weights -= d.model.vocabulary / d.plan.tp * d.model.hidden * 2.0  # the input table is gathered, not read
    # so are other tables, and towers do not run in a decode step
    weights -= 2.0 * (sum(n for _, n in d.model.extra) + sum(t.parameters for t in d.model.towers))
    weights -= _encoder_bytes(d)
    assert tpot is not None
    if d.machine.engines:
        return  # they may read through memories of their own, beside the device's
    assert tpot.bound >= 0.999 * weights / d.machine.chip.memory_bandwidth_bytes_per_s


def _encoder_bytes(d: Deployment) -> float:
    """Return the weights that only a prefill reads: those of an encoder, and of the keys and values made from it."""
    if d.model.encoder is None:
        return 0.0
    only_there = [s for s in d.operators(StepShape(1, 1, 1)) if s.name.startswith(("encoder_", "cross_kv_proj"))]
    read = sum(s.repeat * float(s.operator.n * s.operator.k) for s in only_there if isinstance(s.operator, Linear))
    return 2.0 * (read + sum(n for _, n in d.model.encoder.extra))


@pytest.mark.parametrize("model", ENCODERS)
@given(data=st.data())
@settings(max_examples=8, deadline=None)
def test_an_encoder_takes_one_forward_pass_and_keeps_nothing(model: str, data: st.DataObject) -> None:
    device, tp = data.draw(st.sampled_from(DEVICES)), data.draw(st.sampled_from([1, 2, 4]))
    assert _setup(model, device, tp) is None
    setup = _setup(model, device, tp, phase="prefill")
    if setup is None:
        return
    answer = _answer(setup, data.draw(st.integers(1, 256)), data.draw(st.integers(1, 512)), 1)
    if answer is None:
        return
    assert answer.phases.ttft is not None
    _in_order(answer.phases.ttft)
    assert answer.memory.kv_bytes == 0
    d = setup.prefill
    read = weights_bytes_per_device(d.model, d.plan, d.precisions) - 2.0 * sum(n for _, n in d.model.extra)
    if not d.model.tied_embeddings:
        read -= d.model.vocabulary / d.plan.tp * d.model.hidden * 2.0
    if d.machine.engines:
        return  # they may read through memories of their own, beside the device's
    assert answer.phases.ttft.bound >= 0.999 * read / d.machine.chip.memory_bandwidth_bytes_per_s


def _faster_memory(setup: Setup, factor: float) -> Setup:
    chip = setup.decode.machine.chip
    chip = replace(chip, memory_bandwidth_bytes_per_s=chip.memory_bandwidth_bytes_per_s * factor)
    decode = replace(setup.decode, machine=replace(setup.decode.machine, chip=chip))
    return replace(setup, decode=decode, prefill=decode)


@pytest.mark.parametrize("device", [name for name in DEVICES if not load_device(name).engines])
@given(data=st.data())
@settings(max_examples=6, deadline=None)
def test_more_bandwidth_is_never_slower(device: str, data: st.DataObject) -> None:
    setup = _setup(data.draw(st.sampled_from(MODELS)), device, data.draw(st.sampled_from([1, 2, 8])), static=True)
    if setup is None:
        return
    numbers = data.draw(lengths)
    slow = setup.answer(*numbers).phases
    fast = _faster_memory(setup, data.draw(st.floats(1.01, 8.0))).answer(*numbers).phases
    for name in ("ttft", "tpot", "e2e"):
        assert getattr(fast, name).bound <= getattr(slow, name).bound * (1 + 1e-9)
        assert getattr(fast, name).expected <= getattr(slow, name).expected * (1 + 1e-9)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "gpt-oss-20b", "deepseek-v3", "mixtral-8x7b"])
@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_mean_decode_step_is_the_mean_of_the_literal_steps(model: str, data: st.DataObject) -> None:
    setup = _setup(model, data.draw(st.sampled_from(["h100-sxm", "b200", "mi300x"])), 8, static=True)
    assert setup is not None
    batch, input_tokens, output_tokens = (
        data.draw(st.integers(1, 256)),
        data.draw(st.integers(1, 8192)),
        data.draw(st.integers(2, 400)),
    )
    mean = setup.answer(batch, input_tokens, output_tokens).phases.tpot
    # one output of two tokens has exactly one decode step, at a cache of input + 1 tokens
    literal = [setup.answer(batch, input_tokens + j, 2).phases.tpot for j in range(output_tokens - 1)]
    bound = sum(t.bound for t in literal if t) / len(literal)
    expected = sum(t.expected for t in literal if t) / len(literal)
    assert mean is not None
    assert mean.bound <= bound * (1 + 1e-9)
    assert mean.bound >= bound * (1 - 1e-3)
    assert mean.expected == pytest.approx(expected, rel=2e-3)  # two nodes, while splits and waves make small kinks


@given(st.sampled_from(DEVICES), st.sampled_from(MODELS), st.integers(1, 64))
@settings(max_examples=60, deadline=None)
def test_an_impossible_plan_says_why(device: str, model: str, tp: int) -> None:
    try:
        prepare(load_model(model), pm.load_device(device), Question(plan=Plan(tp=tp)))
    except PlanError as error:
        reason = str(error)
    else:
        return
    assert any(word in reason for word in ("tp", "precision", "no link to other devices", "no network beyond"))
