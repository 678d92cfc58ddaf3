"""Cases beside a baseline: ratios, terms that sum, names, and cases that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfmodel.comparison import FRAMEWORK, case_names, compare, product
from perfmodel.errors import InputError, PlanError
from tests.conftest import Cli

COMMON = {"model": "llama-3.1-8b", "batch": 8}


def test_terms_sum_to_the_difference() -> None:
    found = compare([{"device": "h100-sxm"}, {"device": "mi300x"}, {"device": "h100-sxm", "tp": 4}], **COMMON)
    for case in found.cases[1:]:
        for metric in ("tpot", "ttft"):
            terms = found.attribution(metric, case)
            before, after = found.base.metric(f"{metric}_s"), case.metric(f"{metric}_s")
            assert before is not None
            assert after is not None
            assert sum(t.difference_s for t in terms) == pytest.approx(after - before, abs=1e-12)
            assert sum(t.case_s for t in terms) == pytest.approx(after)
            assert any(t.name == FRAMEWORK for t in terms)
    reduced = {t.name: t for t in found.attribution("tpot", found.cases[2])}["ffn_all_reduce"]
    assert reduced.baseline_s == 0.0 < reduced.case_s
    assert reduced.case_limit == "link"


def test_ratios_and_what_changed() -> None:
    found = compare([{"device": "h100-sxm"}, {"device": "h200-sxm"}], baseline=1, **COMMON)
    first, base = found.rows()
    assert base["tpot_s_ratio"] == 1.0
    assert first["tpot_s_ratio"] == pytest.approx(first["tpot_s"] / base["tpot_s"])
    changed = found.differences(found.cases[0])
    assert changed["device"] == ("h200-sxm", "h100-sxm")
    assert changed["device.memory.main.bandwidth_bytes_per_s"] == (4.8e12, 3.35e12)
    assert "TPOT" in found.explanation("tpot", found.cases[0])
    assert "slower" in found.explanation("tpot", found.cases[0])


def test_one_impossible_case_leaves_the_others() -> None:
    found = compare([{"tp": 1}, {"tp": 3}, {"tp": 2}], device="h100-sxm", **COMMON)
    assert [bool(c.error) for c in found.cases] == [False, True, False]
    assert found.rows()[1]["error"].startswith("tp 3 does not divide the 32 attention heads")
    with pytest.raises(PlanError, match="tp 3 does not divide"):
        compare([{"tp": 3}, {"tp": 2}], device="h100-sxm", **COMMON)
    with pytest.raises(InputError, match="two cases at least"):
        compare([{"tp": 1}], device="h100-sxm", **COMMON)
    with pytest.raises(InputError, match="terms of tpot or ttft"):
        found.attribution("e2e", found.cases[2])


def test_products_and_names() -> None:
    cases = product({"tp": [1, 2], "device.power": ["400 W", "700 W"]})
    assert cases[1] == {"tp": 1, "changes": {"device.power": "700 W"}}
    names = case_names([{"model": "m", **case} for case in cases])
    assert names == ["tp=1 device.power=400 W", "tp=1 device.power=700 W", "tp=2 device.power=400 W",
                     "tp=2 device.power=700 W"]  # fmt: skip


def test_command(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "x.html"
    found = cli("compare", "llama-3.1-8b", "--on", "h100-sxm", "--vary", "precision=bfloat16,fp8", "--case", "tp=1",
                "--case", "tp=3,output=64", "--json", "--html", str(target))  # fmt: skip
    assert found.code == 0
    answer = json.loads(found.out)
    assert [bool(c["error"]) for c in answer["cases"]] == [False, True, False, True]
    page = target.read_text()
    assert "Cases that cannot be" in page
    assert page.count("data-plot=") >= 4
    shown = cli("compare", "llama-3.1-8b", "--on", "h100-sxm,l40s")
    assert "changed: device h100-sxm -> l40s" in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--vary", "tpp=1,2"), "no field 'tpp' - did you mean 'tp'"),
        (("--vary", "tp"), "'tp' is not FIELD=VALUE,VALUE"),
        (("--case", "tp"), "'tp' is not FIELD=VALUE"),
        (("--vary", "tp=1,2", "--baseline", "5"), "the baseline is one of the 2 cases"),
        ((), "a comparison needs two cases at least"),
        (("--vary", "device.memory.main.bandwidth=1TB/s,2"), "cannot be"),
    ],
)
def test_usage(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    found = cli("compare", "llama-3.1-8b", "--on", "h100-sxm", *arguments)
    assert said in found.out + found.err
    assert found.code in (0, 2, 3)


@pytest.mark.parametrize(("per", "rate", "equal"), [("watt", "per_w", "power"), ("mm2", "per_mm2", "area")])
def test_rates_for_each_watt_and_mm2(per: str, rate: str, equal: str) -> None:
    cases = [{"device": "h100-sxm"}, {"device": "l4"}, {"device": "h100-sxm", "dp": 2}]
    base, small, twice = compare(cases, per=per, model="llama-3.1-8b", batch=8, input_tokens=256).rows()
    assert base[f"tokens_per_s_at_equal_{equal}"] == base["tokens_per_s"]
    ratio = small[f"tokens_per_s_{rate}_ratio"]
    assert small[f"tokens_per_s_at_equal_{equal}_ratio"] == pytest.approx(ratio)
    assert 0.1 < ratio < 1.5
    if per == "mm2":
        assert twice["die_mm2"] == 2 * base["die_mm2"] == 2 * 814
        assert small["die_mm2"] == 294.5
    else:
        assert base["tokens_per_s_per_w"] == pytest.approx(1 / base["joules_per_token"], rel=0.2)


def test_rates_for_each_of_something_else() -> None:
    with pytest.raises(InputError, match="neither of watt, mm2"):
        compare([{"device": "l4"}, {"device": "t4"}], per="m2", model="llama-3.1-8b")
