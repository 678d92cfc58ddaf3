"""PyTorch modules through torch.export, records and back: parameters and flops are those of the module itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError
from perfmodel.workloads.importers.torch_records import export_records, load_records
from tests.vision_oracle import torch, torchvision_count

models = pytest.importorskip("torchvision.models")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

NAMES = ("resnet18", "mobilenet_v3_small", "vit_b_16", "swin_t", "shufflenet_v2_x1_0", "deeplabv3_mobilenet_v3_large")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch", [1, 2])
def test_counts(name: str, batch: int, tmp_path: Path) -> None:
    options = {"weights": None, "weights_backbone": None, "aux_loss": True} if "deeplab" in name else {}
    with torch.device("meta"):
        module = models.get_model(name, **options).eval()
    path = tmp_path / f"{name}.json"
    export_records(module, (torch.empty(batch, 3, 224, 224, device="meta"),), path)
    network = load_records(path)
    oracle = torchvision_count(name, 224, **options)
    assert network.name == name
    assert network.unsupported == ()
    assert network.inputs == ((3, 224, 224),)
    assert network.parameters == oracle.parameters
    assert network.matmul_flops == oracle.flops
    assert network.nodes[network.outputs[0]].shape[0] in (1000, 21)


def test_a_module_that_cannot_be_followed() -> None:
    class Branching(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.sum() > 0 else x

    with pytest.raises(InputError, match="cannot follow Branching"):
        export_records(Branching(), (torch.ones(2, 3),))
