"""Spot measurements: rows in, a device's factors out, and what they bring to rows that were not fitted."""

from __future__ import annotations

import csv
import itertools
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from perfmodel.calibration import forget_calibrations
from perfmodel.calibration.overlay import read_overlay
from perfmodel.errors import InputError
from perfmodel.fitting.spot_file import write_spots
from perfmodel.fitting.spot_fit import fit_spots, parameters_of
from perfmodel.fitting.spot_report import DeviceReport, calibrate
from perfmodel.fitting.spot_rows import read_spots
from perfmodel.fitting.spots import averaged, judged, picked, table
from perfmodel.tables import run_kernels

DEVICE = "rtx-4090"
SHAPES = list(itertools.product((1, 16, 128, 1024, 4096), ((4096, 4096), (14336, 4096), (1024, 8192), (4096, 14336))))


def rows(slow: float = 1.5, noise: float = 0.0, count: int | None = None, **more: str) -> list[dict[str, str]]:
    """Return kernels as a device would take that is ``slow`` times slower than predicted, with ln-normal noise."""
    table = [{"op": "gemm", "device": DEVICE, "dtype": "bfloat16", "m": str(m), "n": str(n), "k": str(k)} | more
             for m, (n, k) in SHAPES]  # fmt: skip
    spots = read_spots([row | {"latency_us": "1"} for row in table], DEVICE)
    source = random.Random(7)
    group = spots.groups[0]
    for place, time in zip(group.places, group.expected_s({}), strict=True):
        table[place - 1]["latency_us"] = f"{1e6 * time * slow * 2.718281828 ** source.gauss(0, noise):.6g}"
    source.shuffle(table)
    return table[:count]


def write(path: Path, table: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return path


def test_twelve_rows_take_most_of_a_slow_device_s_error_away() -> None:
    table = rows(slow=1.5, noise=0.05)
    part = calibrate(table[:12], DEVICE).classes[0]
    assert part.before.mape_percent > 28
    assert part.held_out is not None
    assert part.held_out.mape_percent < part.before.mape_percent / 2
    assert part.method == "5 folds of the shapes"
    rest = read_spots(table[12:], DEVICE)
    fit = fit_spots(read_spots(table[:12], DEVICE).groups)
    assert abs(fit.ratios(rest.groups) - 1).mean() < abs(fit_spots((), 0).ratios(rest.groups) - 1).mean() / 2


def test_what_is_right_already_stays() -> None:
    part = calibrate(rows(slow=1.0, noise=0.1, count=12), DEVICE).classes[0]
    assert part.held_out is not None
    assert part.held_out.mape_percent <= part.before.mape_percent
    assert all(0.8 < factor < 1.25 for rule in part.rules for factor in rule["scale"].values())


@pytest.mark.parametrize("place", [0, 5, 11])
def test_one_row_moves_little_and_in_the_right_direction(place: int) -> None:
    table = rows(slow=1.5)
    part = calibrate(table[place : place + 1], DEVICE).classes[0]
    assert part.held_out is None
    assert part.method == "none: one shape"
    rest = read_spots(table, DEVICE)
    fit = fit_spots(read_spots(table[place : place + 1], DEVICE).groups, 0.25)
    assert abs(fit.ratios(rest.groups) - 1).mean() <= abs(fit_spots((), 0).ratios(rest.groups) - 1).mean()


def test_many_rows_hold_shapes_out() -> None:
    table = [r for dtype in ("bfloat16", "fp8", "int8_wo") for r in rows(slow=1.3, dtype=dtype)]
    part = calibrate(table, DEVICE).classes[0]
    assert part.method == "30 % of the shapes"
    tested = {(row["dtype"], row["shape"]) for row in part.figures if row["held_out_us"]}
    assert 0.2 < len(tested) / part.rows < 0.4
    assert len({shape for _, shape in tested}) * 3 == len(tested)  # a held-out shape is held out in every dtype


def test_a_band_narrows_with_rows() -> None:
    few, many = (calibrate(rows(slow=1.3, noise=0.05, count=n), DEVICE).classes[0].band for n in (3, 20))
    assert many.p90 / many.p10 < few.p90 / few.p10
    assert many.p10 < 1 < many.p90


def test_bad_rows_have_reasons_and_the_others_stay() -> None:
    good = rows(count=6)
    bad: list[dict[str, str]] = [
        {**good[0], "latency_us": ""}, {**good[0], "latency_us": "-3"}, {**good[0], "latency_us": "fast"},
        {**good[0], "op": "gem"}, {**good[0], "m": "0"}, {**good[0], "device": "h100-sxm"},
        {**good[0], "device": "no-such"}, {**good[0], "dtype": "float5"},
    ]  # fmt: skip
    report = calibrate([*bad, *good, {**good[0], "device": "NVIDIA GeForce RTX 4090"}], DEVICE)
    assert report.rows == 7
    assert [row for row, _ in report.refused] == list(range(1, 9))
    said = " | ".join(reason for _, reason in report.refused)
    for text in ("no measured time", "-3 microseconds", "'fast' is not a number", "mean 'gemm'", "column m",
                 "of h100-sxm, not of rtx-4090", "no device 'no-such'", "float5"):  # fmt: skip
        assert text in said


def test_what_was_timed_by_the_wall_says_nothing_of_graphs() -> None:
    groups = read_spots(rows(count=4, timing="wall"), DEVICE).groups
    launch = [p for p in parameters_of(groups) if p.name == "launch_us"]
    assert [(p.level.column, p.level.values) for p in launch] == [("timing", ("wall",))]
    assert parameters_of(groups, 0.5)[0].width < parameters_of(groups)[0].width


def test_the_command_and_that_kernels_and_estimate_use_its_file(
    cli: Any, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write(tmp_path / "spots.csv", rows(slow=1.4, noise=0.02, count=12))
    specs = tmp_path / "specs"
    specs.mkdir()
    before = cli("estimate", "llama-3.1-8b", "--on", DEVICE, "--json")
    monkeypatch.setenv("PERFMODEL_SPECS", str(specs))
    found = cli("calibrate", table, "--device", DEVICE, "--html", tmp_path / "page.html", "--json")
    assert found.code == 0, found.err
    answer = json.loads(found.out)
    assert answer["schema"] == "perfmodel/calibrate/1"
    part = answer["classes"][0]
    assert (part["class"], part["rows"], len(part["figures"])) == ("gemm", 12, 12)
    assert part["fit"]["mape_percent"] < 0.3 * part["before"]["mape_percent"]
    page = (tmp_path / "page.html").read_text().replace("\u00a0", " ")
    assert "calibrated on 12 measured kernels" in page
    assert "Residuals by size" in page
    assert "https://" not in page.split("<script>")[0]
    assert "export" not in found.err  # PERFMODEL_SPECS finds it
    run_kernels(str(table), str(tmp_path / "answers.csv"))
    with (tmp_path / "answers.csv").open() as lines:
        ratios = [float(r["latency_us"]) / float(r["measured_latency_us"]) for r in csv.DictReader(lines)]
    assert sum(abs(r - 1) for r in ratios) / len(ratios) == pytest.approx(part["fit"]["mape_percent"] / 100, abs=2e-3)
    # another process: in this one the device's machine has its coefficients already
    program = f"from perfmodel.cli import run; run('estimate llama-3.1-8b --on {DEVICE} --json'.split())"
    after = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert json.loads(after.stdout)["tpot_s"]["expected"] > json.loads(before.out)["tpot_s"]["expected"]


def test_a_user_s_own_device(cli: Any, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (root / "hardware_specs/gpu/rtx-4090.yaml").read_text()
    own = tmp_path / "my-gpu.yaml"
    own.write_text(text.replace("name: rtx-4090", "name: my-gpu").split("aliases:")[0] + _without_aliases(text))
    table = rows(slow=1.4, count=8)
    for row in table:
        del row["device"]
    monkeypatch.chdir(tmp_path)
    found = cli("calibrate", write(tmp_path / "spots.csv", table), "--device", own)
    assert found.code == 0, found.err
    assert "my-gpu" in found.out
    assert "export PERFMODEL_SPECS=" in found.err
    assert read_overlay(tmp_path / "perfmodel_specs/calibration/my-gpu.calibration.yaml")["device"] == "my-gpu"


def _without_aliases(text: str) -> str:
    """Return what follows the aliases of a device file."""
    lines = text.split("aliases:", 1)[1].splitlines(keepends=True)[1:] if "aliases:" in text else []
    while lines and lines[0].startswith((" ", "-")):
        lines.pop(0)
    return "".join(lines)


def test_a_later_class_joins_the_file(cli: Any, tmp_path: Path) -> None:
    out = tmp_path / "mine.yaml"
    assert cli("calibrate", write(tmp_path / "a.csv", rows(count=4)), "--device", DEVICE, "--out", out).code == 0
    add = [{"op": "add", "dtype": "float16", "rows": str(r), "cols": "4096", "latency_us": str(r / 40 + 3)}
           for r in (1, 512, 4096)]  # fmt: skip
    found = cli("calibrate", write(tmp_path / "b.csv", add), "--device", DEVICE, "--out", out)
    assert "kept from before: gemm" in found.err
    assert set(read_overlay(out)["classes"]) == {"gemm", "elementwise"}
    other = cli("calibrate", write(tmp_path / "c.csv", add), "--device", "l4", "--out", out)
    assert other.code == 2
    assert "is the calibration of rtx-4090" in other.err


def test_nothing_usable_writes_nothing(cli: Any, tmp_path: Path) -> None:
    found = cli("calibrate", write(tmp_path / "a.csv", [{"op": "gemm", "m": "1"}]), "--device", DEVICE,
                "--out", tmp_path / "x.yaml")  # fmt: skip
    assert found.code == 2
    assert "no row of" in found.err
    assert not (tmp_path / "x.yaml").exists()
    with pytest.raises(InputError, match="could be used"):
        write_spots(tmp_path / "x.yaml", DeviceReport(DEVICE, (), ()), "a.csv")


def test_a_calibration_starts_anew_each_time(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier run wrote for the device is not what the next one starts from: factors would multiply."""
    monkeypatch.setenv("PERFMODEL_SPECS", str(tmp_path))
    table = write(tmp_path / "spots.csv", rows(slow=1.4, count=12))
    first, second = (json.loads(cli("calibrate", table, "--device", DEVICE, "--json").out) for _ in range(2))
    assert first["classes"] == second["classes"]


def test_spots_are_spread_and_judged_on_the_rest() -> None:
    spots = read_spots(rows(slow=1.5, noise=0.05) + rows(slow=1.5, noise=0.05, dtype="fp8"), DEVICE)
    chosen = picked(spots.groups, 8)
    assert len(chosen) == 8
    assert chosen == picked(spots.groups, 8) != picked(spots.groups, 8, "another draw")
    sizes = sorted(float(spots.groups[g].bound_s()[i]) for g, i in chosen)
    assert sizes[-1] / sizes[0] > 100
    draw = list(judged(spots, 5))
    other = [replace(draw[0], after=(2 * draw[0].after[0], 1.0))]
    found = averaged([draw, other])
    assert [(one.name, one.rows, one.spots) for one in found] == [("gemm", 40, 5)]
    assert draw[0].gone > 40
    assert found[0].after[0] == pytest.approx(1.5 * draw[0].after[0])
    assert "| rtx-4090 | gemm | 40 |" in table(found)


@pytest.fixture(autouse=True)
def fresh() -> Any:
    """Forget calibrations of folders that a test made."""
    forget_calibrations()
    yield
    forget_calibrations()
