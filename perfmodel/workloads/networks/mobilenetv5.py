"""MobileNetV5: MobileNetV4's blocks at a large size, the last two stages joined (Gemma 3n's vision encoder)."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_blocks import Style, conv, norm_act, universal
from perfmodel.workloads.networks.mobile_stages import Item, parse_stage, unroll
from perfmodel.workloads.networks.mobilenet import add_stages
from perfmodel.workloads.networks.registry import family


@family("mobilenetv5")
def mobilenetv5(
    name: str,
    stages: Sequence[str],
    *,
    width: float = 1.0,
    stem: int = 64,
    features: int = 2048,
    grid: int = 16,
    padding: str = "",
    image: int = 768,
    classes: int = 0,
) -> Network:
    """Return a MobileNetV5: ``stages`` in the notation of ``mobile_stages``, norms by root mean square.

    The results of the last two stages are joined, mixed to ``features`` and pooled to ``grid`` positions a side; with
    ``classes``, their mean is classified. Source: timm 1.0 models/mobilenetv5.py (Gemma 3n, no paper).
    """
    b = Builder(name, "mobilenetv5", (3, image, image))
    style = Style("gelu", "rms", padding, layer_scale=True)
    x = conv(b, style, b.input(), stem, (3,), 2, bias=True, name="conv_stem")
    x = norm_act(b, style, x, "gelu", name="conv_stem_norm")
    ends: list[Value] = []
    add_stages(b, style, x, [unroll(parse_stage(stage), 1.0, "ceil") for stage in stages], width=width, ends=ends)
    with b.block("msfa"):
        x = _joined(b, ends[-2:], features, grid)
    if not classes:
        return b.build(x)
    return b.build(b.linear(b.global_pool(x), classes, name="classifier"))


def _joined(b: Builder, values: Sequence[Value], features: int, grid: int) -> Value:
    """Add a mixture of several stages at the resolution of the first, pooled to a grid."""
    side = int(values[0].shape[-1])
    same = [values[0], *(b.resize(v, side, "nearest", name=f"resize{i}") for i, v in enumerate(values[1:], 1))]
    style = Style("gelu", "rms")
    item = Item("ui", kernels=(), expand=2.0, skip=False)
    with b.scope("ffn"):
        x = universal(b, style, b.concat(same), item, features)
    if side != grid:
        x = b.resize(x, grid) if side % grid else b.avg_pool(x, side // grid)
    return norm_act(b, style, x, "", name="norm")
