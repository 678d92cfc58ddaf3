"""Bands, splits by device and refits without a term, on made-up rows whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from perfmodel.fitting.bands import QuantileBands, SiblingBands, bands_of_rows, has_sibling, judged_bands
from perfmodel.fitting.classes import CLASSES, class_fit
from perfmodel.fitting.generations import add_generation, rename_rule
from perfmodel.fitting.judging import ablation, judge, leave_devices_out, mean_over_devices, refit
from perfmodel.fitting.levels import LevelFit
from perfmodel.fitting.overview import Table, coefficient_row, error_rows, markdown, plain


def made_up(rows: int = 240) -> pd.DataFrame:
    size = np.geomspace(1, 1000, rows)
    device = np.array(["h100-sxm", "a100-sxm-80gb", "l40s"])[np.arange(rows) % 3]
    launch = np.where(device == "h100-sxm", 8.0, 4.0)
    return pd.DataFrame({
        "device": device, "architecture": np.where(device == "l40s", "y", "x"), "size": size, "timing": "kernel",
        "sort": "one", "latency_us": 1e6 * (launch + size / 5), "sibling": device != "l40s",
    })  # fmt: skip


class Rows:
    def __init__(self, frame: pd.DataFrame) -> None:
        self.size, self.measured = frame["size"].to_numpy(), frame["latency_us"].to_numpy() * 1e-6

    def seconds(self, c: Any) -> Any:
        return c["launch"] + self.size / c["rate"]

    def roofline_s(self) -> Any:
        return self.size / 5


JOB = LevelFit(
    operator="made_up", form="line/1", data=("made up",), shape=("size",),
    specification={"launch": (1.0, [(("device",), 0.5)]), "rate": (1.0, []), "nothing": (1e-9, [])}, rows_of=Rows,
    prepare=lambda frame: frame, expand=lambda keys, values: [dict(zip(keys, values, strict=True))],
    by_reason=[{"when": {"kind": "tpu"}, "scale": {"rate": 2}, "note": "said"}], group="sort", table_by=("device",),
    bands=SiblingBands(), terms={"launch": {"launch": 1e-9}, "nothing": {"nothing": 1e-12}}, iterations=30,
)  # fmt: skip


def test_a_term_that_matters_costs_when_left_out_and_one_that_does_not_is_free() -> None:
    table = ablation(JOB, made_up(), factors=True)
    assert table.loc["whole form", "held out"] < 3
    assert table.loc["without launch", "held out"] > 20
    assert table.loc["without nothing", "held out"] == pytest.approx(table.loc["whole form", "held out"], abs=0.2)
    assert table.loc["without factors by device", "fit"] > 2 * table.loc["whole form", "fit"]


def test_without_a_term_its_coefficient_stays_at_the_neutral_value_for_everyone() -> None:
    fewer = JOB.without_term({"launch": 0.5})
    assert fewer.specification["launch"] == (0.5, [])
    found = fewer.fit(made_up(), JOB.fit(made_up()))
    assert found.rules()[0]["set"]["launch"] == pytest.approx(0.5)
    assert all("launch" not in rule.get("scale", {}) for rule in found.rules())


def test_the_file_of_a_fit_tells_each_device_left_out_and_what_its_bands_hold(
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = judge(JOB, made_up())
    assert "made_up, left_out_device" in capsys.readouterr().out
    errors = content["errors"]
    assert set(errors["left_out_by_device"]["one"]) == {"h100-sxm", "a100-sxm-80gb", "l40s"}
    assert errors["fit"]["one"]["mape"] < 2 < errors["left_out_by_device"]["one"]["h100-sxm"]["mape"]
    assert {"held_out_shapes", "left_out_device"} <= set(errors["bands"])
    assert content["rules"][-1]["note"] == "said"
    assert refit(JOB, made_up())["rules"] == content["rules"]
    (row, _) = error_rows("made_up", content)
    assert row["left out, datacentre devices"].endswith(", 2")
    assert row["left out, other devices"].endswith(", 1")
    counted = coefficient_row("made_up", content)
    assert counted["shared"] == "3"
    assert "by device" in counted["by"]


def test_left_out_devices_are_predicted_without_their_rows() -> None:
    frame = made_up()
    seen: list[str] = []

    def unseen(own: Any) -> Any:
        seen.append(str(frame[own]["device"].iloc[0]))
        return JOB.fit(frame[~own].reset_index(drop=True))

    ratio = leave_devices_out(frame, unseen)
    assert seen == sorted(frame["device"].unique())
    small = (frame["device"] == "h100-sxm") & (frame["size"] < 3)
    assert ratio[small.to_numpy()].max() < 0.8  # its launch takes twice as long as that of the others


def test_each_device_has_the_same_say_in_the_mean() -> None:
    frame = pd.DataFrame({"device": ["many"] * 9 + ["few"]})
    assert mean_over_devices(frame, np.array([1.1] * 9 + [1.5])) == pytest.approx(30)


def test_a_device_with_a_measured_relative_gets_the_relatives_band() -> None:
    frame = made_up()
    bands = SiblingBands()
    assert set(frame[bands.sibling(frame)]["device"]) == {"h100-sxm", "a100-sxm-80gb"}
    # one errs to one side, one to the other: a band that holds both is as wide below as above
    off = {"h100-sxm": 1.2, "a100-sxm-80gb": 1 / 1.2, "l40s": 2.0}
    left_out = frame["device"].map(off).to_numpy()
    held = np.zeros(len(frame), dtype=bool)
    held[::2] = True
    rules = bands.rules(frame, held, np.ones(len(frame)), left_out)
    low, high = bands_of_rows(rules, frame, "false")
    assert high == pytest.approx(np.full(len(frame), 1.2))
    assert low == pytest.approx(1 / high)
    stranger = frame.assign(architecture="z")
    assert bands_of_rows(rules, stranger, "false")[1] == pytest.approx(np.full(len(frame), 2.0))
    low, high = bands_of_rows(rules, frame, "true")
    assert (low == 1).all()
    assert (high == 1).all()


def test_every_device_has_the_same_say_in_a_band() -> None:
    frame = pd.DataFrame({"device": ["many"] * 900 + ["few"] * 100, "architecture": "x", "sibling": True})
    left_out = np.where(frame["device"] == "few", 3.0, 1.01)
    held = np.zeros(1000, dtype=bool)
    rules = SiblingBands().rules(frame, held, left_out, left_out)
    assert bands_of_rows(rules, frame, "false")[1][0] == pytest.approx(3.0)


def test_quantiles_are_drawn_further_out_for_devices_that_were_not_measured() -> None:
    frame = made_up(3000).assign(backend="a")
    spread = np.exp(np.random.default_rng(0).normal(0, 0.2, len(frame)))
    every = np.ones(len(frame), dtype=bool)
    bands = QuantileBands((("backend",), ("backend", "device")), families=("x",), tail=0.05)
    frame = frame.assign(sibling=bands.sibling(frame))
    rules = bands.rules(frame, every, spread, spread)
    assert {tuple(rule["when"]) for rule in rules if rule["when"]["measured"] == "false"} == {
        ("measured",), ("measured", "backend"), ("measured", "architecture"), ("measured", "architecture", "backend"),
    }  # fmt: skip
    wide, narrow = (bands_of_rows(rules, frame, measured)[1] for measured in ("false", "true"))
    assert wide.min() > narrow.max()
    rows = judged_bands(bands, frame, every, spread, spread, np.arange(len(frame)) % 2 == 0)
    held = rows.groupby("of")["inside"].mean()
    assert held["held_out_shapes"] == pytest.approx(0.8, abs=0.03)
    assert held["left_out_with_sibling"] == pytest.approx(0.9, abs=0.03)


def test_a_sibling_is_of_the_same_architecture_and_measured_alike() -> None:
    frame = made_up().assign(backend=lambda f: f["device"])
    assert has_sibling(frame, ()).sum() == 160
    assert not has_sibling(frame, ("backend",)).any()


def test_architectures_without_kernels_of_their_own_share_a_generation() -> None:
    frame = add_generation(pd.DataFrame({"architecture": ["hopper", "blackwell", "ada", "ampere", "cdna3"]}))
    assert frame["generation"].tolist() == ["hopper", "blackwell", "general", "general", "general"]
    assert frame["kernels"].tolist() == ["dedicated"] * 2 + ["general"] * 3


def test_groups_of_a_rule_are_written_as_architectures() -> None:
    def renamed(**when: Any) -> Any:
        return rename_rule({"when": when, "scale": {"a": 2}})["when"]

    assert renamed(generation="hopper", backend="b") == {"backend": "b", "architecture": "hopper"}
    assert renamed(kernels="dedicated") == {"architecture": ["hopper", "blackwell"]}
    assert renamed(architecture="ada") == {"architecture": ["ada", "blackwell-workstation"]}
    assert renamed(architecture="ada", device="l40s") == {"architecture": "ada", "device": "l40s"}
    assert rename_rule({"set": {"a": 1}}) == {"set": {"a": 1}}


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_can_be_tried_without_its_terms_and_levels(name: str) -> None:
    job = class_fit(name)
    assert job.operator == name
    assert job.terms
    for neutral in job.terms.values():
        job.without_term(neutral)
    columns = sorted(set(job.levels()))
    assert columns[0] not in job.without_level(columns[0]).levels()
    assert job.thinned(4.0) != job


def test_tables_are_aligned_and_in_markdown() -> None:
    table = Table("Title", ({"a": "long text", "b": "1"}, {"a": "x", "c": "2"}))
    assert plain(table).splitlines()[1:] == ["a          b  c", "long text  1", "x             2"]
    head = ["| a | b | c |", "| --- | --- | --- |"]
    assert markdown(table).splitlines()[2:] == [*head, "| long text | 1 |  |", "| x |  | 2 |"]
