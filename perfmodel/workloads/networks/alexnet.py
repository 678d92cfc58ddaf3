"""Plain networks of 2012 and 2013: AlexNet and ZFNet."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("alexnet")
def alexnet(
    name: str,
    channels: Sequence[int],
    *,
    kernels: Sequence[int] = (11, 5, 3, 3, 3),
    strides: Sequence[int] = (4, 1, 1, 1, 1),
    paddings: Sequence[int] = (2, 2, 1, 1, 1),
    groups: Sequence[int] = (1, 1, 1, 1, 1),
    pools: Sequence[int] = (3, 3, 0, 0, 3),
    ceil: Sequence[bool] = (False, False, False, False, False),
    responses: int = 0,
    final: int = 0,
    hidden: Sequence[int] = (4096, 4096),
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return a stack of convolutions with biases and a classifier of dense layers.

    Each list has an entry a convolution; ``pools`` is the side of the pooling of stride 2 after it (0: none) and
    ``ceil`` whether its last window may hang over the edge. The first ``responses`` convolutions are followed by local
    response normalisation, which is counted like an activation. ``final`` is the side that an adaptive pooling leaves
    (0: none). Source: Krizhevsky et al. 2012, section 3.5; its single tower (arXiv 1404.5997); Zeiler and Fergus 2013
    (arXiv 1311.2901), figure 3; torchvision models/alexnet.py; Caffe's bvlc_alexnet.
    """
    b = Builder(name, "alexnet", (3, image, image))
    x = b.input()
    for index, out in enumerate(channels):
        with b.block(f"conv{index + 1}"):
            x = b.conv(x, out, kernels[index], strides[index], paddings[index], groups=groups[index])
            x = b.act(x)
            if index < responses:
                x = b.act(x, "lrn", name="norm")
            if pools[index]:
                x = b.max_pool(x, pools[index], 2, ceil=ceil[index])
    if final and x.shape[1:] != (final, final):
        x = b.adaptive_pool(x, final, name="avgpool")
    with b.block("classifier"):
        x = b.flatten(x)
        for index, width in enumerate(hidden):
            x = b.act(b.linear(x, width, name=f"fc{index + 6}"), name=f"fc{index + 6}_act")
        return b.build(b.linear(x, classes, name=f"fc{len(hidden) + 6}"))
