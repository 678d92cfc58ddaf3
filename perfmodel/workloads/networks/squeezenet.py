"""SqueezeNet: fire modules."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("squeezenet")
def squeezenet(
    name: str,
    squeeze: Sequence[int],
    *,
    pools: Sequence[int] = (0, 2, 4),
    stem: int = 64,
    stem_kernel: int = 3,
    expand: float = 4.0,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a stem, a fire module for each width in ``squeeze``, a 1x1 convolution to ``classes``, and its mean.

    A fire module squeezes by 1x1 and expands to ``expand`` times that width by 1x1 and as much by 3x3. ``pools`` are
    the modules (from 0) that a pooling of stride 2 precedes. Source: Iandola et al. 2016 (arXiv 1602.07360), table 1;
    version 1.1 of its authors' repository; torchvision models/squeezenet.py.
    """
    b = Builder(name, "squeezenet", (3, image, image))
    with b.block("stem"):
        x = b.act(b.conv(b.input(), stem, stem_kernel, 2, 0, name="conv1"), name="conv1_act")
    for index, width in enumerate(squeeze):
        with b.block(f"fire{index + 2}"):
            if index in pools:
                x = b.max_pool(x, 3, 2, ceil=True)
            x = _fire(b, x, width, round(width * expand))
    with b.block("classifier"):
        x = b.act(b.conv(x, classes, 1, name="conv10"), name="conv10_act")
        return b.build(b.global_pool(x))


def _fire(b: Builder, x: Value, squeeze: int, expand: int) -> Value:
    x = b.act(b.conv(x, squeeze, 1, name="squeeze"), name="squeeze_act")
    one = b.act(b.conv(x, expand, 1, name="expand1x1"), name="expand1x1_act")
    three = b.act(b.conv(x, expand, 3, name="expand3x3"), name="expand3x3_act")
    return b.concat((one, three))
