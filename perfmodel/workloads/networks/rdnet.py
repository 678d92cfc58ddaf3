"""RDNet: densely connected stages of blocks in the manner of ConvNeXt."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.channel_attention import channel_attention
from perfmodel.workloads.networks.normed import normalise
from perfmodel.workloads.networks.registry import family


@family("rdnet")
def rdnet(
    name: str,
    stem: int,
    growth: Sequence[int],
    *,
    halving: Sequence[int] = (1, 2, 6),
    depth: int = 3,
    excited_from: int = 2,
    expansion: float = 4.0,
    kept: float = 0.5,
    image: int = 224,
    classes: int = 1000,
) -> Network:
    """Return an RDNet: stages of ``depth`` blocks, each of which adds ``growth`` channels to all before it.

    Between stages ``kept`` of the channels stay; the stages ``halving`` begin at half the resolution. ``expansion``:
    of a block's inner width over all channels so far. ``excited_from``: the stage from which blocks have effective
    squeeze-excite. Source: Kim et al. 2024 (arXiv 2403.19588), section 3 and table 11; timm models/rdnet.py.
    """
    b = Builder(name, "rdnet", (3, image, image))
    with b.scope("stem"):
        x = normalise(b, b.conv(b.input(), stem, 4, 4, 0), "layer", "")
    for stage, grown in enumerate(growth):
        if stage:
            with b.scope(f"dense_stages.{stage}.transition"):
                step = 2 if stage in halving else 1
                channels = int(int(x.channels) * kept / 8) * 8
                x = b.conv(normalise(b, x, "layer", ""), channels, step, step, 0)
        features = [x]
        for index in range(depth):
            with b.block(f"dense_stages.{stage}.{index}"):
                features.append(_block(b, features, grown, expansion, stage >= excited_from))
        x = b.concat(features, name=f"dense_stages.{stage}.concat")
    x = b.flatten(normalise(b, b.global_pool(x, keep=True), "layer", "", name="head.norm"))
    return b.build(b.linear(x, classes, name="head.fc"))


def _block(b: Builder, features: Sequence[Value], grown: int, expansion: float, excited: bool) -> Value:
    x = b.concat(features) if len(features) > 1 else features[0]
    y = b.conv(x, x.channels, 7, groups=x.channels, name="depthwise")
    y = b.conv(normalise(b, y, "layer", ""), int(int(x.channels) * expansion / 8) * 8, name="fc1")
    y = b.conv(b.act(y, "gelu"), grown, name="fc2")
    return b.scale(channel_attention(b, y, "ese" if excited else ""), parameters=grown, name="gamma")
