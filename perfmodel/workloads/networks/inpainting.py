"""Networks that fill holes of images: LaMa with dilated convolutions, AOT-GAN."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel import ops
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("lama")
def lama(
    name: str,
    *,
    width: int = 64,
    downs: int = 3,
    blocks: int = 9,
    dilations: Sequence[int] = (1, 2, 4, 8),
    image: int | Sequence[int] = 512,
) -> Network:
    """Return LaMa's generator with dilated instead of Fourier convolutions: down, residual ``blocks``, up.

    Each of a block's two convolutions gives a share of the channels to each of ``dilations``. The input has the mask as
    a fourth channel. Source: Suvorov et al. 2021 (arXiv 2109.07161), section 3 and table 2 (dilated convolutions);
    advimman/lama saicinpainting/training/modules/multidilated_conv.py and pix2pixhd.py.
    """
    b = Builder(name, "lama", (4, *sides(image)))
    x = b.conv_bn(b.input(), width, 7, name="in")
    for index in range(downs):
        x = b.conv_bn(x, int(x.channels) * 2, 3, 2, name=f"down{index}")
    for index in range(blocks):
        with b.block(f"blocks.{index}"):
            y = b.act(b.batch_norm(_dilated(b, x, dilations, "conv1")))
            x = b.add(b.batch_norm(_dilated(b, y, dilations, "conv2")), x)
    for index in range(downs):
        with b.block(f"up{index}"):
            x = b.conv_transpose(x, int(x.channels) // 2, 3, 2, 1, output_padding=1)
            x = b.act(b.batch_norm(x))
    with b.block("out"):
        return b.build(b.act(b.conv(x, 3, 7), "sigmoid"))


def _dilated(b: Builder, x: Value, dilations: Sequence[int], name: str) -> Value:
    share = int(x.channels) // len(dilations)
    parts = [b.conv(x, share, 3, dilation=rate, bias=False, name=f"{name}_{rate}") for rate in dilations]
    return b.concat(parts, name=f"{name}_concat")


@family("aot-gan")
def aot_gan(
    name: str,
    *,
    width: int = 64,
    blocks: int = 8,
    dilations: Sequence[int] = (1, 2, 4, 8),
    image: int | Sequence[int] = 512,
) -> Network:
    """Return AOT-GAN's generator: blocks of four dilated branches, their fusion, and a gate on the residual.

    Source: Zeng et al. 2021 (arXiv 2104.01431), figure 3; researchmm/AOT-GAN-for-Inpainting src/model/aotgan.py.
    """
    b = Builder(name, "aot-gan", (4, *sides(image)))
    x = b.act(b.conv(b.input(), width, 7, name="in"))
    for index in range(2):
        x = b.act(b.conv(x, int(x.channels) * 2, 4, 2, 1, name=f"down{index}"))
    for index in range(blocks):
        with b.block(f"blocks.{index}"):
            x = _block(b, x, dilations)
    for index in range(2):
        with b.block(f"up{index}"):
            x = b.resize(x, [2 * int(n) for n in x.shape[1:]])
            x = b.act(b.conv(x, int(x.channels) // 2, 3))
    with b.block("out"):
        return b.build(b.act(b.conv(x, 3, 3), "tanh"))


def _block(b: Builder, x: Value, dilations: Sequence[int]) -> Value:
    channels = int(x.channels)
    share = channels // len(dilations)
    parts = [b.act(b.conv(x, share, 3, dilation=rate, name=f"branch{rate}")) for rate in dilations]
    fused = b.conv(b.concat(parts), channels, 3, name="fuse")
    gate = b.conv(x, channels, 3, name="gate")
    gate = b.node("gate_norm", ops.GroupNorm(channels, int(x.shape[1] * x.shape[2])), (gate,), gate.shape)
    gate = b.act(gate, "sigmoid", name="gate_act")
    return b.add(b.multiply(x, gate, name="kept"), b.multiply(fused, gate, name="new"))
