"""SelecSLS networks: short and long range skip connections by concatenation."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("selecsls")
def selecsls(
    name: str,
    stages: Sequence[Sequence[Sequence[int]]],
    head: Sequence[Sequence[int]],
    *,
    stem: int = 32,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a SelecSLS network: ``stages`` of blocks of (middle, out) channels, and a head of convolutions.

    ``head`` has (channels, kernel, stride) of each. A stage's first block halves the image, and all later blocks of the
    stage read its result too. Source: Mehta et al. 2019 (arXiv 1907.00837), figure 3; timm models/selecsls.py.
    """
    b = Builder(name, "selecsls", (3, image, image))
    x = b.conv_bn(b.input(), stem, 3, 2, name="stem")
    for stage, blocks in enumerate(stages):
        skip: Value | None = None
        for index, (middle, out) in enumerate(blocks):
            with b.block(f"stage{stage + 1}.{index}"):
                x = _block(b, x, skip, middle, out)
                skip = skip or x
    for index, (channels, kernel, stride) in enumerate(head):
        x = b.conv_bn(x, channels, kernel, stride, name=f"head{index}")
    return b.build(b.linear(b.global_pool(x), classes, name="fc"))


def _block(b: Builder, x: Value, skip: Value | None, middle: int, out: int) -> Value:
    one = b.conv_bn(x, middle, 3, 1 if skip else 2, name="conv1")
    two = b.conv_bn(b.conv_bn(one, middle, 1, name="conv2"), middle // 2, 3, name="conv3")
    three = b.conv_bn(b.conv_bn(two, middle, 1, name="conv4"), middle // 2, 3, name="conv5")
    return b.conv_bn(b.concat((one, two, three, *((skip,) if skip else ()))), out, 1, name="conv6")
