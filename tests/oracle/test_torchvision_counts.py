"""torchvision's own counts of every weight that it ships: parameters exact, multiply-accumulates as printed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import built, find_variant, load_network

TABLE = Path(__file__).parents[3] / "shared" / "reference" / "torchvision_models.csv"
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines())) if TABLE.is_file() else []
NOT_COUNTED = {
    "Raft_Large": "optical flow with a recurrent update", "Raft_Small": "optical flow with a recurrent update",
}  # fmt: skip
"""Networks of the table that the library does not have."""
PROPOSALS = ("FasterRCNN_MobileNet_V3", "KeypointRCNN", "MaskRCNN_ResNet50_FPN_Weights")
"""Detectors whose heads ran on as many regions as one picture gave; ours on the 1000 (or 150) that are kept at most."""

pytestmark = pytest.mark.skipif(not ROWS, reason="no reference data beside this checkout")


def name_of(row: dict[str, str]) -> str:
    return row["weights_enum"].removesuffix("_QuantizedWeights").removesuffix("_Weights")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['weights_enum']}-{row['weights']}")
def test_counts(row: dict[str, str]) -> None:
    name = name_of(row)
    if name in NOT_COUNTED:
        pytest.skip(NOT_COUNTED[name])
    variant = find_variant(name)
    assert variant is not None, f"no network {name}"
    size = row["crop_size"]
    network = (
        built(variant, {"image": int(size)})
        if size and int(size) > 0 and _sized(name, int(size))
        else load_network(name)
    )
    assert isinstance(network, Network)
    if row["num_params"] and not network.covers:
        assert network.parameters == float(row["num_params"])
    if row["gflops_ops"] and not network.covers and not row["weights_enum"].startswith(PROPOSALS):
        macs, printed = float(network.matmul_flops) / 2e9, float(row["gflops_ops"])
        digits = len(row["gflops_ops"].partition(".")[2])
        assert abs(macs - printed) <= max(0.01 * printed, 0.5 * 10**-digits)


def _sized(name: str, size: int) -> bool:
    """Say whether a row's crop is the image that was counted and not the network's own."""
    network = load_network(name)
    return isinstance(network, Network) and network.inputs[0][-1] != size
