"""Sensitivities against differences, crossovers and requirements against the estimate they turn round."""

from __future__ import annotations

import itertools
import math

import pytest

import perfmodel as pm
from perfmodel.errors import InputError
from perfmodel.plan.step_shape import StepShape
from perfmodel.readings.dual import Dual, gradient
from perfmodel.search.bottlenecks import bottleneck_maps, bottlenecks, crossovers
from perfmodel.search.elasticity import METRICS, elasticities, metric_of
from perfmodel.search.knobs import KNOBS, present, turned
from perfmodel.search.require import Limits, jointly, needs, platform
from perfmodel.search.require_report import require_report
from perfmodel.search.trade import trade_off
from perfmodel.serving.step import step_parts
from perfmodel.workloads.parameters import parameters
from perfmodel.workloads.scaled import scaled_model

NUMBERS = (60.0, 2000.0, 500.0)


@pytest.fixture(scope="module")
def setup() -> object:
    return pm.estimate(
        "llama-3.1-70b", "h100-sxm", tp=4, batch=60, input_tokens=2000, output_tokens=500, engine="vllm"
    ).setup


def test_dual_numbers_by_hand() -> None:
    value, slopes = gradient(lambda x, y: 3.0 * x**2 / y - (1.0 - x) + 2.0**y, {"x": 2.0, "y": 4.0})
    assert value == pytest.approx(3.0 + 1.0 + 16.0)
    assert slopes["x"] == pytest.approx(3.0 + 1.0)
    assert slopes["y"] == pytest.approx(-0.75 + 16.0 * math.log(2.0))
    assert gradient(lambda x: 5.0, {"x": 1.0}) == (5.0, {"x": 0.0})
    assert (-Dual(2.0, (1.0,))).slopes == (-1.0,)


@pytest.mark.parametrize("metric", list(METRICS))
def test_derivatives_are_the_limits_of_differences(setup: object, metric: str) -> None:
    f = metric_of(setup, metric, NUMBERS)
    value = f()
    for one in elasticities(setup, metric, NUMBERS):
        step = 1e-6
        up, down = (f(**{one.knob: 1.0 + sign * step}) for sign in (1.0, -1.0))
        assert one.derivative == pytest.approx((up - down) / (2.0 * step * value), abs=2e-4), one.knob


def test_more_of_everything_is_never_slower(setup: object) -> None:
    by_name = {one.knob: one for one in elasticities(setup, "tpot", NUMBERS)}
    for name in ("peak", "clock", "cores", "bandwidth", "link"):
        assert by_name[name].derivative <= 1e-12
        assert by_name[name].up <= 1.0 + 1e-9 <= by_name[name].down + 2e-9
    assert by_name["host"].derivative > 0
    assert "network" not in by_name


def test_a_knob_turned_back_changes_nothing(setup: object) -> None:
    for name in present(setup):
        again = turned(turned(setup, {name: 3.0}), {name: 1.0 / 3.0})
        assert KNOBS[name].value(again) == pytest.approx(KNOBS[name].value(setup))
    with pytest.raises(InputError, match="bandwidth"):
        turned(setup, {"bandwith": 2.0})


def test_at_a_crossover_both_resources_take_as_long(setup: object) -> None:
    found = {(one.phase, one.knob): one for one in crossovers(bottlenecks(setup, NUMBERS))}
    length, bandwidth = found["prefill", "context"], found["decode", "bandwidth"]
    faster = turned(setup, {"bandwidth": bandwidth.at / KNOBS["bandwidth"].value(setup)})
    cases = [
        (length, step_parts(setup.prefill, StepShape(1.0, length.at, length.at))),
        (bandwidth, step_parts(faster.decode, StepShape(decodes=60.0, decode_context=2000.0 + 250.0))),
    ]
    for one, parts in cases:
        named = {"compute": parts.compute_s, "memory": parts.memory_s, "link": parts.link_s}
        assert named[one.below] == pytest.approx(named[one.above], rel=1e-6)
        assert named[one.above] >= max(named.values()) * (1 - 1e-6)


def test_the_map_agrees_with_the_stretches_along_its_axes(setup: object) -> None:
    along = {(one.phase, one.knob): one for one in bottlenecks(setup, NUMBERS)}
    for found in bottleneck_maps(setup, NUMBERS):
        assert (found.batch, found.context) == ((1.0, 2000.0) if found.phase == "prefill" else (60.0, 2250.0))
        for i, j in ((0, 0), (20, 30), (40, 10), (56, 56)):
            n, tokens = found.batches[j], found.contexts[i]
            prompts = found.phase == "prefill"
            shape = StepShape(n, tokens, tokens) if prompts else StepShape(decodes=n, decode_context=tokens)
            parts = step_parts(getattr(setup, found.phase), shape)
            values = (parts.compute_s, parts.memory_s, parts.link_s)
            assert values[found.rows[i][j]] == pytest.approx(max(values), rel=1e-9)
        for knob in ("batch", "context"):
            spans = along[found.phase, knob].spans
            assert all(a.high == b.low and a.resource != b.resource for a, b in itertools.pairwise(spans))
    held = [room for found in bottleneck_maps(setup, NUMBERS) for room in found.room]
    assert held == sorted(held, reverse=True)


@pytest.mark.parametrize("of", ["expected", "p90", "bound"])
def test_what_is_required_keeps_the_limits_and_a_little_less_does_not(setup: object, of: str) -> None:
    times = setup.answer(*NUMBERS).phases
    limits = Limits(getattr(times.ttft, of) * 0.9, getattr(times.tpot, of) * 0.95, of=of)
    factor = jointly(setup, NUMBERS, limits)
    for more, kept in ((1.0001, True), (0.999, False)):
        faster = platform(setup, dict.fromkeys(("peak", "bandwidth", "link"), factor * more))
        assert (limits.excess(faster, NUMBERS) <= 1.0) == kept
    for need in needs(setup, NUMBERS, limits):
        if need.knob in ("peak", "bandwidth", "link") and need.alone is not None:
            enough = platform(setup, {need.knob: need.alone / need.has * 1.0001})
            assert limits.excess(enough, NUMBERS) <= 1.0
            assert need.floor is None or need.floor <= need.alone * (1 + 1e-6)


def test_capacity_that_is_required_holds_the_load() -> None:
    found = pm.estimate("llama-3.1-70b", "h100-sxm", tp=4, batch=600, input_tokens=2000, output_tokens=500).setup
    need = {one.knob: one for one in needs(found, (600.0, 2000.0, 500.0), Limits(tpot_s=1.0))}["capacity"]
    assert not need.enough
    factor = need.alone / need.has
    assert turned(found, {"capacity": factor * 1.001}).most_running(2000.0, 500.0, together=False) >= 600
    assert turned(found, {"capacity": factor * 0.99}).most_running(2000.0, 500.0, together=False) < 600


def test_the_edge_falls_and_what_lies_on_it_is_enough(setup: object) -> None:
    times = setup.answer(*NUMBERS).phases
    limits = Limits(tpot_s=times.tpot.expected)
    curve = trade_off(setup, NUMBERS, limits, count=9)
    assert all(y is not None for _, y in curve.points)
    assert curve.points[0][0] < KNOBS["bandwidth"].value(setup) < curve.points[-1][0]
    assert all(a[1] >= b[1] * (1 - 5e-2) for a, b in itertools.pairwise(curve.points))
    for x, y in curve.points:
        pair = {"bandwidth": x / KNOBS["bandwidth"].value(setup), "peak": y / KNOBS["peak"].value(setup)}
        assert limits.excess(platform(setup, {name: f * 1.00001 for name, f in pair.items()}), NUMBERS) <= 1.0


def test_no_pair_of_two_is_enough_where_a_third_is_short(setup: object) -> None:
    times = setup.answer(*NUMBERS).phases
    slow = turned(setup, {"link": 1e-3})
    limits = Limits(ttft_s=times.ttft.expected, tpot_s=times.tpot.expected)
    assert not trade_off(slow, NUMBERS, limits).points
    curve = require_report(slow, NUMBERS, limits)["curve"]
    assert curve["others"] > 10
    assert all(point["y"] for point in curve["points"])


def test_limits_are_checked() -> None:
    with pytest.raises(InputError, match="nothing is required"):
        Limits()
    with pytest.raises(InputError, match="p90"):
        Limits(1.0, of="p99")


@pytest.mark.parametrize(
    ("name", "wanted"), [("llama-3.1-405b", "10T"), ("deepseek-v3", "100T"), ("llama-3.1-8b", "2B")]
)
def test_scaled_models_have_the_size_that_was_asked_for(name: str, wanted: str) -> None:
    found = scaled_model(pm.load_model(name), wanted)
    factor = {"T": 1e12, "B": 1e9}[wanted[-1]]
    assert parameters(found) == pytest.approx(float(wanted[:-1]) * factor, rel=0.03)
    assert pm.estimate(found, "h100-sxm").setup.answer(1.0, 128.0, 16.0).phases.tpot is not None


def test_sizes_that_no_model_has() -> None:
    for text in ("-1B", "1e20", "ten"):
        with pytest.raises(InputError, match="parameters"):
            scaled_model(pm.load_model("llama-3.1-8b"), text)
