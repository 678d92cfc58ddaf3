"""Residual networks against torchvision's modules: parameters exact, flops equal, at odd image sizes too."""

from __future__ import annotations

import pytest

from perfmodel.workloads.networks.library import load_network
from tests.vision_oracle import torchvision_count

pytestmark = pytest.mark.slow

NAMES = {
    "resnet18": "resnet18", "resnet50": "resnet50", "resnext50-32x4d": "resnext50_32x4d",
    "wide-resnet50-2": "wide_resnet50_2",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("image", [224, 193])
def test_counts(name: str, image: int) -> None:
    oracle = torchvision_count(NAMES[name], image)
    network = load_network(name, image=image)
    assert network.parameters == oracle.parameters
    assert network.matmul_flops == oracle.flops
