"""``perfmodel network``: every command once as text, JSON and CSV, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Cli

ON = ("--on", "jetson-orin-nano")
LINK = ("--from", "jetson-nano", "--to", "rtx-4090", "--link", "100 Mbit/s,5 ms")
COMMANDS = {
    "memory": ("network", "memory", "resnet18", "--precision", "int8"),
    "blocks": ("network", "blocks", "resnet18", *ON),
    "lookup": ("network", "lookup", "mobilenetv2_050", *ON, "--kernel", "3", "--expand", "0,6"),
    "cuts": ("network", "cuts", "resnet18", *LINK),
    "exits": ("network", "exits", "resnet18", *ON, "--exit-at", "layer2=0.5", "--batch", "4"),
    "pipeline": ("network", "pipeline", "mobilenetv2_050:1,resnet18:0.3", *ON),
    "scale": ("network", "scale", "mobilenetv2_100", *ON, "--field", "width", "--values", "0.5,1.0"),
    "bits": ("network", "bits", "resnet18", *ON, "--policy", "*=int8,first-last=float16"),
    "prune": ("network", "prune", "resnet18", *ON, "--prune", "0.5"),
}
ROWS = {"memory": "steps", "blocks": "blocks", "lookup": "rows", "cuts": "cuts", "exits": "exits",
        "pipeline": "networks", "scale": "rows", "bits": "roles", "prune": "blocks"}  # fmt: skip


def answer(cli: Cli, *arguments: str) -> Any:
    found = cli(*arguments, "--json")
    assert found.code == 0, found.err
    return json.loads(found.out, parse_constant=pytest.fail)


@pytest.mark.parametrize("name", COMMANDS)
def test_text_json_and_csv(cli: Cli, name: str, tmp_path: Path) -> None:
    text = cli(*COMMANDS[name])
    assert text.code == 0, text.err
    assert len(text.out.splitlines()) >= 3
    found = answer(cli, *COMMANDS[name])
    assert found["schema"] == f"perfmodel/network-{name}/1"
    rows = found[ROWS[name]]
    file = tmp_path / "rows.csv"
    assert cli(*COMMANDS[name], "--csv", file).code == 0
    assert len(list(csv.DictReader(io.StringIO(file.read_text())))) == len(rows)
    assert cli(*COMMANDS[name], "--csv", "-").out == file.read_text()


def test_memory_lists_all_schedules(cli: Cli) -> None:
    found = answer(cli, "network", "memory", "mobilenetv2_100", "--precision", "int8", "--schedule", "in-place")
    peaks = {row["schedule"]: row["peak_bytes"] for row in found["schedules"]}
    assert found["peak_bytes"] == peaks["in-place"] == 1372 * 1024
    assert peaks["best"] <= peaks["in-order"]
    assert sum(row["bytes"] for row in found["at_peak"]) == found["peak_bytes"]
    assert max(row["live_bytes"] for row in found["steps"]) == found["peak_bytes"]
    assert {row["role"] for row in found["at_peak"]} == {"read", "written"}


def test_memory_of_a_batch_of_a_device_and_of_another_image(cli: Cli) -> None:
    one, four = (answer(cli, *COMMANDS["memory"], "--batch", n)["peak_bytes"] for n in ("1", "4"))
    assert four == 4 * one
    small = answer(cli, *COMMANDS["memory"], "--image", "112", "--on", "jetson-nano")
    assert small["peak_bytes"] < one
    assert (small["fits"]["main"], small["device"]["name"]) == (True, "jetson-nano")
    assert "fit" in cli(*COMMANDS["memory"], "--on", "jetson-nano").out


def test_blocks_are_those_of_the_estimate(cli: Cli) -> None:
    found = answer(cli, *COMMANDS["blocks"])
    whole = answer(cli, "estimate", "resnet18", *ON)
    assert found["latency_s"] == whole["latency_s"]
    assert sum(row["expected_s"] for row in found["blocks"]) == pytest.approx(whole["latency_s"]["expected"])
    assert found["intensity"]["plain"] == pytest.approx(whole["arithmetic_intensity_flops_per_byte"])


def test_cuts_name_the_best(cli: Cli) -> None:
    found = answer(cli, *COMMANDS["cuts"], "--transfer-precision", "int8")
    by_cut = {row["cut"]: row for row in found["cuts"]}
    best = by_cut[found["best_latency"]]["latency_s"]["expected"]
    assert best == min(row["latency_s"]["expected"] for row in found["cuts"])
    assert (by_cut[found["all_remote"]]["kind"], by_cut[found["all_local"]]["kind"]) == ("all remote", "all local")
    assert by_cut[0]["sent_bytes"] == 3 * 224 * 224


def test_a_grid_of_shapes(cli: Cli) -> None:
    grid = ("network", "lookup", "inverted-residual", *ON, "--in", "16,24", "--side", "28,14", "--kernel", "3,5")
    rows = answer(cli, *grid)["rows"]
    assert len(rows) == 2 * 2 * 2 * 2 * 2 * 3  # in, out, sides, strides, kernels, expansions
    assert len({(r["in_channels"], r["out_channels"], r["stride"], r["height"], r["candidate"]) for r in rows}) == len(
        rows
    )


def test_exits_of_a_network_that_has_some(cli: Cli) -> None:
    found = answer(cli, "network", "exits", "branchynet-alexnet", *ON, "--share", "0.656,0.252")
    assert [row["share"] for row in found["exits"]] == pytest.approx([0.656, 0.252, 0.092])
    assert found["speed_up"] > 1


def test_two_devices_and_a_link(cli: Cli) -> None:
    found = answer(
        cli, "network", "pipeline", "resnet18:1,resnet18:1", "--on", "rtx-4090,rtx-4090#2", "--link", "1 GB/s"
    )
    assert set(found["busy_s"]) == {"rtx-4090", "rtx-4090#2", "link"}


def test_lists_as_values_and_a_value_that_cannot_be(cli: Cli) -> None:
    arguments = ("network", "scale", "resnet50", *ON, "--field", "depths", "--values", "[1,1,1,1],[3,4,6,3],[1]")
    found = answer(cli, *arguments)
    assert [row["depths"] for row in found["rows"]] == ["[1,1,1,1]", "[3,4,6,3]"]
    assert found["rows"][1]["parameters"] == 25_557_032
    assert len(found["problems"]) == 1
    assert "left out" in cli(*arguments).err


def test_a_network_of_a_pipeline(cli: Cli) -> None:
    refused = cli("network", "memory", "sd-turbo")
    assert refused.code == 2
    assert "--stage" in refused.err
    name = refused.err.split("made of ")[1].split(",")[0]
    assert answer(cli, "network", "memory", "sd-turbo", "--stage", name)["inputs"]["model"] == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("memory", "llama-3.1-8b"), "language model"),
        (("memory", "resnet18x"), "resnet18"),
        (("memory", "resnet18", "--schedule", "inorder"), "in-order"),
        (("memory", "resnet18", "--fusion", "some"), "fusion"),
        (("memory", "resnet18", "--layers", "fc9=int8"), "fc9"),
        (("memory", "resnet18", "--set", "device.power=1W"), "model.FIELD"),
        (("memory", "resnet18", "--batch", "0"), "--batch"),
        (("blocks", "resnet18", "--on", "rtx-4099"), "rtx-4090"),
        (("blocks", "resnet18", *ON, "--json", "--csv", "-"), "standard output"),
        (("lookup", "inverted-residual", *ON), "--in"),
        (("lookup", "inverted-residual", *ON, "--in", "8", "--side", "8", "--stride", "3"), "--stride"),
        (("lookup", "mobilenetv2_100", *ON, "--in", "8"), "grid"),
        (("lookup", "mobilenetv2_100", *ON, "--kernel", "2"), "odd"),
        (("lookup", "alexnet", *ON), "no blocks"),
        (("cuts", "resnet18", "--from", "jetson-nano", "--to", "rtx-4090", "--link", "100"), "unit"),
        (("cuts", "resnet18", *LINK, "--transfer-precision", "int7"), "int7"),
        (("cuts", "sd-turbo", *LINK), "--stage"),
        (("exits", "resnet18", *ON), "--exit-at"),
        (("exits", "resnet18", *ON, "--share", "0.5"), "no exits"),
        (("exits", "resnet18", *ON, "--exit-at", "layer2"), "BLOCK=SHARE"),
        (("exits", "resnet18", *ON, "--exit-at", "layer2=0.7,layer3=0.7"), "more than 1"),
        (("exits", "branchynet-alexnet", *ON, "--share", "0.5,0.1,0.1,0.1"), "2 exits"),
        (("pipeline", "resnet18:0", *ON), "more than 0"),
        (("pipeline", "resnet18:1,alexnet:1", "--on", "jetson-nano,rtx-4090"), "--link"),
        (("pipeline", "resnet18:1,alexnet:1", "--on", "a,b,c"), "one for each"),
        (("scale", "resnet18", *ON, "--field", "widht", "--values", "1"), "widht"),
        (("scale", "resnet18", *ON, "--field", "depths", "--values", "[1,2"), "--values"),
        (("bits", "resnet18", *ON, "--policy", "convs=int8"), "conv"),
        (("prune", "resnet18", *ON, "--prune", "1.5"), "between 0 and 1"),
        (("prune", "resnet18", *ON, "--prune", "stage=0.5"), "no block"),
    ],
)
def test_errors(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    found = cli("network", *arguments)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: ")
    assert message in found.err
