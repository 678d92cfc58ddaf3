"""Designs in columns against one by one and against the device itself; searches; an environment for agents."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import perfmodel as pm
from perfmodel.cost.area import die_area
from perfmodel.cost.manufacture import RETICLE_MM2, chip_cost, good_dies
from perfmodel.devices import load_device
from perfmodel.devices.override import change_device
from perfmodel.errors import InputError
from perfmodel.search.design import METRICS, DesignEnv, Designs, gymnasium_env, optimise
from perfmodel.search.design.chip import base_values, designed
from perfmodel.search.design.optimise import Aim, undominated
from perfmodel.search.design.report import design_report
from perfmodel.search.design.space import parse_space
from perfmodel.serving.scenario import Question, prepare
from perfmodel.workloads.library import load_model

RANGES = ["bandwidth=1TB/s:8TB/s", "peak=300TFLOP/s:3PFLOP/s", "capacity=40GB:300GB", "cache=20MB:200MB"]
LOAD = (16.0, 2048.0, 256.0)


def designs(like: str = "h100-sxm", ranges: list[str] | None = None, question: Question | None = None) -> Designs:
    return Designs(load_model("llama-3.1-8b"), load_device(like), parse_space(ranges or RANGES), question or Question(),
                   LOAD)  # fmt: skip


def test_columns_are_the_designs_one_by_one() -> None:
    mine = designs(ranges=[*RANGES, "tp=1,2", "batch=8:512", "precision=bfloat16,fp8"])
    unit = np.random.default_rng(1).random((40, 7))
    found = mine.evaluate(unit)
    assert set(found) == set(METRICS)
    for place in (0, 7, 39):
        one = mine.evaluate(unit[place])
        assert {name: column[0] for name, column in one.items()} == {name: found[name][place] for name in found}


@pytest.mark.parametrize("like", ["h100-sxm", "l40s"])
def test_the_model_chip_is_the_device_itself(like: str) -> None:
    mine, device = designs(like), load_device(like)
    answer = prepare(mine.model, device, Question()).answer(*LOAD)
    found = mine.of_like()
    assert answer.phases.tpot is not None
    assert found["tpot_s"] == pytest.approx(float(answer.phases.tpot.expected), rel=1e-12)
    assert found["usd_per_million_tokens"] == pytest.approx(answer.extras["usd_per_million_tokens"], rel=1e-12)
    assert found["joules_per_token"] == pytest.approx(answer.extras["joules_per_token"], rel=1e-12)
    assert found["area_mm2"] == device.die_area_mm2
    assert found["power_w"] == device.power_w


def test_a_design_is_the_device_with_these_numbers() -> None:
    like = load_device("h100-sxm")
    mine = designs(ranges=["bandwidth=1TB/s:8TB/s", "cores=60:240"])
    unit = [0.9, 0.7]
    values = {name: float(column[0]) for name, column in mine.space.decode(np.array([unit])).items()}
    grown = values["cores"] / like.core_count
    power = designed(like, values, mine.dtype).power_w
    changes = {f"peaks.{p.engine}.{p.dtype}": f"*{grown!r}" for p in like.peaks if p.sparsity == "dense"}
    changes["memory.main.bandwidth"] = f"{values['bandwidth']!r} B/s"
    changes |= {"chip.cores": str(round(values["cores"])), "power": f"{power} W"}
    device = change_device(like, changes)
    asked = pm.estimate(mine.model, device, batch=16, input_tokens=2048, output_tokens=256)
    found = mine.evaluate(unit)
    assert found["tpot_s"][0] == pytest.approx(asked.tpot_s.expected, rel=1e-9)
    assert found["ttft_s"][0] == pytest.approx(asked.ttft_s.expected, rel=1e-9)


def test_more_of_anything_takes_more_area_power_and_money() -> None:
    like = load_device("h100-sxm")
    base = base_values(like, "bfloat16")
    plain = designed(like, {}, "bfloat16")
    assert (plain.area_mm2, plain.power_w) == (like.die_area_mm2, like.power_w)
    for name in ("cores", "peak", "bandwidth", "cache", "vector", "link"):
        more = designed(like, {name: 2.0 * base[name]}, "bfloat16")
        assert more.area_mm2 > plain.area_mm2, name
        assert more.power_w > plain.power_w, name
        assert more.usd > plain.usd, name
    faster = designed(like, {"clock": 1.2 * base["clock"]}, "bfloat16")
    assert faster.area_mm2 == pytest.approx(plain.area_mm2)


def test_dies() -> None:
    # 858 mm2 on 300 mm at 0.1 a square centimetre: 82.4 - 22.75 dies, of which (1 + 0.858/3)^-3 are good
    assert good_dies(858.0) == pytest.approx((math.pi * 150**2 / 858 - math.pi * 300 / math.sqrt(1716)) * 1.286**-3)
    like = load_device("h100-sxm")
    one, two = (chip_cost(like, area).dies_usd for area in (RETICLE_MM2, 2.0 * RETICLE_MM2))
    assert two == pytest.approx(2.0 * one)
    assert np.allclose(chip_cost(like, np.array([RETICLE_MM2, 2.0 * RETICLE_MM2])).dies_usd, [one, two])


def test_area_of_columns() -> None:
    like = load_device("l40s")
    device = designed(like, {"bandwidth": np.array([0.864e12, 2e12])}, "bfloat16").device
    found = die_area(device).modelled_mm2
    assert found[0] == pytest.approx(die_area(like).modelled_mm2)
    assert found[1] > found[0]


def test_what_does_not_fit_has_no_answer() -> None:
    found = designs(ranges=["capacity=4GB:80GB", "tp=1,3"]).evaluate([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    assert found["memory_share"][0] > 1.0
    assert np.isnan(found["tpot_s"]).tolist() == [True, False, True]  # too small; fits; tp 3 divides no heads
    assert np.isfinite(found["area_mm2"]).all()


@pytest.mark.parametrize("searcher", ["optuna", "evolution", "random"])
def test_searches_keep_the_limits_and_improve(searcher: str) -> None:
    if searcher == "optuna":
        pytest.importorskip("optuna")
    mine, limits = designs(), {"area_mm2": 750.0, "power_w": 600.0}
    aim = Aim(("usd_per_million_tokens", "tpot_s"), limits)
    found = optimise(mine, aim, 256, seed=3, searcher=searcher)
    assert found.best is not None
    assert found.best == found.front[0]
    for place in found.front:
        assert all(found.metrics[name][place] <= limit for name, limit in limits.items())
    assert found.metrics["usd_per_million_tokens"][found.best] < mine.of_like()["usd_per_million_tokens"]
    again = optimise(mine, aim, 256, seed=3, searcher=searcher)
    assert np.array_equal(again.unit, found.unit)
    losses = aim.losses(found.metrics)[list(found.front)]
    assert len(undominated(losses)) == len(losses)


def test_undominated_against_all_pairs() -> None:
    losses = np.random.default_rng(0).random((200, 3))
    beaten = [any((other <= row).all() and (other < row).any() for other in losses) for row in losses]
    assert sorted(undominated(losses)) == [i for i, lost in enumerate(beaten) if not lost]


def test_where_nothing_keeps_the_limits() -> None:
    report = design_report("llama-3.1-8b", "h100-sxm", RANGES, limits={"area_mm2": 50.0}, trials=64, searcher="random")
    assert report["best"] is None
    assert report["front"] == []
    assert "mm2" in report["nearest"]["misses"][0]


def test_the_environment() -> None:
    aim = Aim(("usd_per_million_tokens",), {"area_mm2": 750.0})
    env = DesignEnv(designs(), aim, horizon=2)
    observation, info = env.reset(seed=0)
    assert observation.shape == (len(env.metrics),)
    assert info["violation"] == pytest.approx(math.log(814.0 / 750.0))
    small: list[float] = [0.6, 0.3, 0.5, 0.3]
    first = env.step(small)
    assert first[2:4] == (False, False)
    assert first[4]["violation"] == 0.0
    gain = math.log(env.designs.of_like()["usd_per_million_tokens"] / first[4]["usd_per_million_tokens"])
    assert first[1] == pytest.approx(gain)
    several = env.step([small, [1.0, 1.0, 1.0, 1.0]])
    assert several[3] is True
    assert several[1][0] == pytest.approx(first[1])
    assert several[1][1] < -1.0
    assert several[0].shape == (2, len(env.metrics))


def test_the_environment_in_gymnasium() -> None:
    gymnasium = pytest.importorskip("gymnasium")
    env = gymnasium_env(designs(), Aim(("tpot_s",), {}), horizon=3)
    assert isinstance(env, gymnasium.Env)
    from gymnasium.utils.env_checker import check_env

    with np.errstate(all="ignore"):
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on the range of spaces
            check_env(env, skip_render_check=True)


@pytest.mark.parametrize(
    ("like", "texts", "message"),
    [
        ("h100-sxm", ["bandwith=1TB/s:2TB/s"], "did you mean 'bandwidth'"),
        ("h100-sxm", ["bandwidth=2TB/s:1TB/s"], "ends above its start"),
        ("h100-sxm", ["bandwidth=1TB/s"], ""),
        ("h100-sxm", ["tp=1:8"], "choices, not a range"),
        ("h100-sxm", ["cache"], "NAME=LOW:HIGH"),
        ("h100-sxm", ["tp=1,2", "tp=4"], "varies twice"),
        ("jetson-orin-nano", ["link=1GB/s:2GB/s"], "no scale_up link"),
        ("tpu-v6e", ["cache=1MB:2MB"], "no last-level cache"),
    ],
)
def test_ranges(like: str, texts: list[str], message: str) -> None:
    if not message:
        assert designs(like, texts).evaluate([[0.5]])["tpot_s"][0] > 0
        return
    with pytest.raises(InputError, match=message):
        designs(like, texts)


def test_aims() -> None:
    with pytest.raises(InputError, match="did you mean 'tpot_s'"):
        Aim(("tpots",), {})
    unknown: Any = designs("tpu-v6e", ["bandwidth=1TB/s:2TB/s"])
    with pytest.raises(InputError, match="is not known"):
        optimise(unknown, Aim(("tpot_s",), {"area_mm2": 500.0}), 8, searcher="random")


@pytest.mark.parametrize(
    ("like", "ranges"),
    [
        ("wse-3", ["engines.mesh.stage=2ns:20ns", "engines.mesh.rows=400:1200", "bandwidth=5PB/s:50PB/s"]),
        ("edge-array-128x128", ["engines.array.rows=32:512", "clock=200MHz:1GHz"]),
        (
            "alveo-u280",
            ["engines.slices.dsps=2000:20000", "engines.slices.clock=200MHz:600MHz", "bandwidth=200GB/s:1TB/s"],
        ),
        ("gddr6-aim", ["engines.in-bank.units=4:64", "engines.in-bank.mac=0.5ns:4ns"]),
    ],
)
def test_numbers_of_engines_in_columns_are_the_designs_one_by_one(like: str, ranges: list[str]) -> None:
    device = load_device(like)
    mine = Designs(load_model("gpt2"), device, parse_space(ranges, device), Question(), (4.0, 256.0, 32.0))
    unit = np.random.default_rng(2).random((9, len(ranges)))
    found = mine.evaluate(unit)
    assert len(set(found["tpot_s"].tolist())) > 1
    for place in (0, 8):
        one = mine.evaluate(unit[place])
        for name, column in one.items():
            assert column[0] == pytest.approx(found[name][place], nan_ok=True), name


def test_an_array_that_grows_is_the_device_with_that_array() -> None:
    like = load_device("edge-array-128x128")
    mine = Designs(load_model("gpt2"), like, parse_space(["engines.array.rows=128:256"], like), Question(),
                   (4.0, 256.0, 32.0))  # fmt: skip
    grown = {f"peaks.tensor.{p.dtype}": "*2" for p in like.peaks if p.engine == "tensor"}
    device = change_device(like, {"engines.array.rows": "256", **grown})
    asked = pm.estimate("gpt2", device, batch=4, input_tokens=256, output_tokens=32)
    found = mine.evaluate([1.0])
    assert found["tpot_s"][0] == pytest.approx(asked.tpot_s.expected, rel=1e-9)
    assert found["ttft_s"][0] == pytest.approx(asked.ttft_s.expected, rel=1e-9)


def test_numbers_that_engines_do_not_work_with_are_refused() -> None:
    for like, range_ in (("alveo-u280", "peak=1TFLOP/s:9TFLOP/s"), ("wse-3", "engines.network.latency=1us:9us")):
        device = load_device(like)
        with pytest.raises(InputError, match="changes nothing"):
            Designs(load_model("gpt2"), device, parse_space([range_], device), Question(), (4.0, 256.0, 32.0))
    with pytest.raises(InputError, match=r"engines\.mesh\.rows"):
        parse_space(["engines.mesh.row=10:20"], load_device("wse-3"))


def test_the_best_design_of_an_engine_is_a_file_to_write() -> None:
    report = design_report("gpt2", "wse-3", ["engines.mesh.stage=2ns:20ns", "engines.mesh.rows=400:1200"], batch=1,
                           input_tokens=256, output_tokens=32, objectives=["tpot_s"], trials=64,
                           searcher="random")  # fmt: skip
    assert report["best"]["tpot_s"] <= report["model_chip"]["tpot_s"]
    device = change_device(load_device("wse-3"), dict(text.split("=") for text in report["device"]))
    asked = pm.estimate("gpt2", device, batch=1, input_tokens=256, output_tokens=32)
    assert report["best"]["tpot_s"] == pytest.approx(asked.tpot_s.expected, rel=1e-3)
