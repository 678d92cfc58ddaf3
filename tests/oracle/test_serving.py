"""Measured serving runs of shapes that the fit has not seen, where the shared folder is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from perfmodel.fitting.common import shape_split
from perfmodel.fitting.serving import features, fit, ratios

DATA = Path(__file__).resolve().parents[3] / "shared"
RUNS = DATA / "measured" / "e2e" / "serving.csv.gz"


@pytest.mark.skipif(not RUNS.exists(), reason="the measured serving runs are not there")
def test_shapes_held_out_keep_the_goals() -> None:
    frame = pd.read_csv(RUNS, low_memory=False)
    frame, f = features(frame.sample(300, random_state=0).reset_index(drop=True), DATA / "hf_configs")
    held = shape_split(frame, ["config", "input_tokens", "output_tokens", "batch"])
    ttft, tpot = 100 * np.abs(ratios(frame, f, fit(frame, f, ~held))[:, held] - 1)
    assert ttft.mean() < 35
    assert np.median(ttft) < 25
    assert tpot.mean() < 16
    assert np.median(tpot) < 11
