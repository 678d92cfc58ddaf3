"""VGG networks: stacks of 3x3 convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("vgg")
def vgg(
    name: str,
    depths: Sequence[int],
    *,
    widths: Sequence[int] = (64, 128, 256, 512, 512),
    norm: bool = False,
    hidden: Sequence[int] = (4096, 4096),
    ceil: Sequence[int] = (),
    image: int | Sequence[int] = 224,
    classes: int = 1000,
) -> Network:
    """Return stages of ``depths`` 3x3 convolutions of ``widths``, each stage halved by a pooling, and dense layers.

    ``norm`` puts a batch norm after each convolution (which keeps its bias). Images of another size are pooled to 7x7
    before the dense layers of ``hidden`` widths. The last windows of the poolings of stages ``ceil`` hang over the
    edge. Source: Simonyan and Zisserman 2014 (arXiv 1409.1556), table 1;
    torchvision models/vgg.py.
    """
    b = Builder(name, "vgg", (3, *sides(image)))
    x = b.input()
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        with b.block(f"stage{stage + 1}"):
            for index in range(depth):
                x = b.conv(x, width, 3, name=f"conv{index + 1}")
                x = b.batch_norm(x, name=f"bn{index + 1}") if norm else x
                x = b.act(x, name=f"act{index + 1}")
            x = b.max_pool(x, 2, ceil=stage + 1 in ceil)
    if x.shape[1:] != (7, 7):
        x = b.adaptive_pool(x, 7, name="avgpool")
    with b.block("classifier"):
        x = b.flatten(x)
        for index, features in enumerate(hidden):
            x = b.act(b.linear(x, features, name=f"fc{index + 6}"), name=f"fc{index + 6}_act")
        return b.build(b.linear(x, classes, name=f"fc{len(hidden) + 6}"))
