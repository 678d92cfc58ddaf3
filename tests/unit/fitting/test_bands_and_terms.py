"""Bands of devices without measurements, and refits without a term, on made-up rows whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from perfmodel.fitting.ablation import ablation_table, shrunken_ratio, without
from perfmodel.fitting.bands import bands_of_rows, has_sibling, sibling_bands
from perfmodel.fitting.common import Shrunken

SPECIFICATION = {"launch": (1.0, [(("device",), 0.5)]), "rate": (1.0, [])}


def made_up(rows: int = 240) -> pd.DataFrame:
    size = np.geomspace(1, 1000, rows)
    device = np.array(["a", "b", "c"])[np.arange(rows) % 3]
    launch = np.where(device == "a", 8.0, 4.0)
    return pd.DataFrame(
        {"device": device, "architecture": np.where(device == "c", "y", "x"), "size": size, "time": launch + size / 5}
    )


class Rows:
    def __init__(self, frame: pd.DataFrame) -> None:
        self.size, self.measured = frame["size"].to_numpy(), frame["time"].to_numpy()

    def seconds(self, c: Any) -> Any:
        return c["launch"] + self.size / c["rate"]


def test_a_term_that_matters_costs_when_left_out_and_one_that_does_not_is_free() -> None:
    frame = made_up()
    held = np.arange(len(frame)) % 4 == 0
    specification = {**SPECIFICATION, "nothing": (1e-9, [])}
    levels = Shrunken(frame, specification)
    known = frame[~held].reset_index(drop=True)
    rows = Rows(known)
    theta = levels.fit(rows.seconds, rows.measured, levels.index(known), iterations=30)
    ratio = shrunken_ratio(frame, held, levels, theta, Rows)
    terms = {"launch": {"launch": 1e-9}, "nothing": {"nothing": 1e-12}}
    table = ablation_table(frame, held, ratio, terms, "device")
    assert table.loc["(whole form)", "held out"] < 3
    assert table.loc["without launch", "held out"] > 20
    assert table.loc["without nothing", "held out"] == pytest.approx(table.loc["(whole form)", "held out"], abs=0.2)


def test_without_keeps_a_coefficient_at_its_neutral_value_for_everyone() -> None:
    fewer = without(SPECIFICATION, {"launch": 0.5})
    assert fewer["launch"] == (0.5, [])
    assert fewer["rate"] == SPECIFICATION["rate"]
    assert [p[0] for p in Shrunken(made_up(), fewer).parameters] == ["launch", "rate"]


def test_a_device_with_a_measured_relative_gets_the_relatives_band() -> None:
    frame = made_up()
    sibling = has_sibling(frame, ())
    assert set(frame[sibling]["device"]) == {"a", "b"}
    # a errs to one side, b to the other: a band that holds both is as wide below as above
    left_out = np.where(frame["device"] == "a", 1.2, np.where(frame["device"] == "b", 1 / 1.2, 2.0))
    held = np.zeros(len(frame), dtype=bool)
    held[::2] = True
    rules = sibling_bands(frame, held, np.ones(len(frame)), left_out, [], sibling)
    low, high = bands_of_rows(rules, frame, "false")
    assert high == pytest.approx(np.full(len(frame), 1.2))
    assert low == pytest.approx(1 / high)
    stranger = frame.assign(architecture="z")
    assert bands_of_rows(rules, stranger, "false")[1] == pytest.approx(np.full(len(frame), 2.0))
    low, high = bands_of_rows(rules, frame, "true")
    assert (low == 1).all()
    assert (high == 1).all()


def test_every_device_has_the_same_say_in_a_band() -> None:
    frame = pd.DataFrame({"device": ["many"] * 900 + ["few"] * 100, "architecture": "x"})
    left_out = np.where(frame["device"] == "few", 3.0, 1.01)
    held = np.zeros(1000, dtype=bool)
    rules = sibling_bands(frame, held, left_out, left_out, [], has_sibling(frame, ()))
    assert bands_of_rows(rules, frame, "false")[1][0] == pytest.approx(3.0)
