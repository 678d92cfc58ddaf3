"""Classic convolutional networks against torchvision's and timm's modules and the ONNX zoo's files.

Parameters are exact and flops equal, at odd image sizes and with other fields too.
"""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import pytest

from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network
from tests.vision_oracle import Counted, count, timm_count, torch, torchvision_count

pytestmark = pytest.mark.slow

TORCHVISION = {
    "alexnet": "alexnet", "vgg11": "vgg11", "vgg11-bn": "vgg11_bn", "vgg13": "vgg13", "vgg13-bn": "vgg13_bn",
    "vgg16": "vgg16", "vgg16-bn": "vgg16_bn", "vgg19": "vgg19", "vgg19-bn": "vgg19_bn",
    "squeezenet1.0": "squeezenet1_0", "squeezenet1.1": "squeezenet1_1", "densenet121": "densenet121",
    "densenet161": "densenet161", "densenet169": "densenet169", "densenet201": "densenet201",
    "shufflenet-v2-x0.5": "shufflenet_v2_x0_5", "shufflenet-v2-x1.0": "shufflenet_v2_x1_0",
    "shufflenet-v2-x1.5": "shufflenet_v2_x1_5", "shufflenet-v2-x2.0": "shufflenet_v2_x2_0", "googlenet": "googlenet",
    "inception-v3": "inception_v3",
}  # fmt: skip
OPTIONS: dict[str, dict[str, Any]] = {
    "googlenet": {"aux_logits": False, "init_weights": False}, "inception-v3": {"init_weights": False},
}  # fmt: skip
TIMM = (
    "vgg11", "vgg16_bn", "densenet121", "densenet264d", "densenetblur121d", "inception_v4", "inception_resnet_v2",
    "legacy_xception", "xception41", "xception65", "xception71", "xception41p", "xception65p",
    "dpn48b", "dpn68", "dpn68b", "dpn92", "dpn98", "dpn131", "dpn107",
    "selecsls42", "selecsls42b", "selecsls60", "selecsls60b", "selecsls84",
    "vovnet39a", "vovnet57a", "ese_vovnet19b_slim_dw", "ese_vovnet19b_dw", "ese_vovnet19b_slim", "ese_vovnet39b",
    "ese_vovnet57b", "ese_vovnet99b", "eca_vovnet39b", "ese_vovnet39b_evos",
    "dla34", "dla46_c", "dla46x_c", "dla60x_c", "dla60", "dla60x", "dla60_res2net", "dla60_res2next", "dla102",
    "dla102x", "dla102x2", "dla169",
    "hrnet_w18_small", "hrnet_w18_small_v2", "hrnet_w18", "hrnet_w30", "hrnet_w32", "hrnet_w40", "hrnet_w44",
    "hrnet_w48", "hrnet_w64", "hrnet_w18_ssld", "hrnet_w48_ssld",
    "cspresnet50", "cspresnet50d", "cspresnet50w", "cspresnext50", "cspdarknet53", "darknet17", "darknet21",
    "sedarknet21", "darknet53", "darknetaa53", "cs3darknet_s", "cs3darknet_m", "cs3darknet_l", "cs3darknet_x",
    "cs3darknet_focus_s", "cs3darknet_focus_m", "cs3darknet_focus_l", "cs3darknet_focus_x", "cs3sedarknet_l",
    "cs3sedarknet_x", "cs3sedarknet_xdw", "cs3edgenet_x", "cs3se_edgenet_x", "nasnetalarge", "pnasnet5large",
)  # fmt: skip
"""timm's names; each is ours or an alias of ours."""
OTHER_SIZES = {
    "densenetblur121d": 197, "inception_v4": 313, "inception_resnet_v2": 283, "legacy_xception": 261, "xception71": 263,
    "xception41p": 255, "dpn68b": 219, "selecsls60": 211, "ese_vovnet19b_dw": 241, "eca_vovnet39b": 193, "dla60": 288,
    "dla60_res2net": 192, "hrnet_w18_small_v2": 288, "cspresnext50": 227, "cspdarknet53": 237, "darknetaa53": 251,
    "cs3darknet_focus_m": 214, "cs3sedarknet_xdw": 209, "nasnetalarge": 299, "pnasnet5large": 305,
}  # fmt: skip
ONNX = {
    "alexnet-onnx": "bvlc_alexnet", "zfnet512": "zfnet512", "vgg19": "vgg19", "squeezenet1.1": "squeezenet",
    "inception-v1-onnx": "inception_v1", "bn-inception": "inception_v2", "shufflenet-onnx": "shufflenet",
    "densenet121": "densenet121", "resnet50": "resnet50",
}  # fmt: skip


def assert_equal(network: Any, oracle: Counted) -> None:
    assert isinstance(network, Network)
    assert network.parameters == oracle.parameters
    assert network.matmul_flops == oracle.flops


@pytest.mark.parametrize("name", TORCHVISION)
@pytest.mark.parametrize("odd", [False, True])
def test_torchvision(name: str, odd: bool) -> None:
    image = (299 if name == "inception-v3" else 224) - (31 if odd else 0)
    oracle = torchvision_count(TORCHVISION[name], image, **OPTIONS.get(name, {}))
    assert_equal(load_network(name, image=image) if odd else load_network(name), oracle)


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    assert_equal(load_network(name), timm_count(name))


@pytest.mark.parametrize("name", OTHER_SIZES)
def test_timm_at_another_size(name: str) -> None:
    image = OTHER_SIZES[name]
    assert_equal(load_network(name, image=image), timm_count(name, image))


def test_timm_leaves_the_auxiliary_head_out() -> None:
    assert_equal(load_network("tf_inception_v3"), timm_count("inception_v3"))


OTHER_FIELDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "densenet121": (
        {"depths": [2, 3, 5], "growth": 24, "bottleneck": 2, "deep_stem": True, "classes": 17},
        {"growth_rate": 24, "block_config": (2, 3, 5), "bn_size": 2, "stem_type": "deep", "num_classes": 17},
    ),
    "dpn92": (
        {"depths": [2, 1, 3, 2], "increments": [8, 24, 40, 56], "inner": 64, "groups": 16, "stem": 32},
        {"k_sec": (2, 1, 3, 2), "inc_sec": (8, 24, 40, 56), "k_r": 64, "groups": 16, "num_init_features": 32},
    ),
    "dla60": (
        {"levels": [2, 2, 2, 1, 3, 2], "channels": [8, 24, 64, 96, 160, 256], "groups": 4, "group_width": 24},
        {"levels": (2, 2, 2, 1, 3, 2), "channels": (8, 24, 64, 96, 160, 256), "cardinality": 4, "base_width": 24},
    ),
    "nasnetalarge": ({"width": 44, "stem": 32}, {"num_features": 1056, "stem_size": 32}),
    "vovnet39a": (
        {"depths": [2, 1, 3, 1], "layers": 3, "stem": [24, 40, 56], "middle": [40, 48, 56, 64], "residual": True,
         "widths": [96, 128, 160, 224], "attention": "eca", "classes": 11},
        {"block_per_stage": [2, 1, 3, 1], "layer_per_block": 3, "stem_chs": [24, 40, 56], "residual": True,
         "stage_conv_chs": [40, 48, 56, 64], "stage_out_chs": [96, 128, 160, 224], "attn": "eca", "num_classes": 11},
    ),
}  # fmt: skip
"""Fields of a network of ours and options of timm's of that name."""


@pytest.mark.parametrize("name", OTHER_FIELDS)
def test_timm_with_other_fields(name: str) -> None:
    fields, options = OTHER_FIELDS[name]
    timm = pytest.importorskip("timm")
    with torch.device("meta"):
        module = timm.create_model(name, **options)
    assert_equal(load_network(name, image=160, **fields), count(module, (1, 3, 160, 160)))


def test_cspnet_with_other_fields() -> None:
    cspnet = pytest.importorskip("timm.models.cspnet")
    stem = cspnet.CspStemCfg(out_chs=(24, 40), stride=4)
    stages = cspnet.CspStagesCfg(
        depth=(1, 2, 1, 3), out_chs=(96, 160, 224, 320), groups=(1, 2, 1, 4), expand_ratio=2.0, bottle_ratio=0.5,
        stride=(1, 2), attn_layer="se", down_growth=True,
    )  # fmt: skip
    with torch.device("meta"):
        module = cspnet.CspNet(cspnet.CspModelCfg(stem=stem, stages=stages))
    network = load_network(
        "cspresnet50", depths=[1, 2, 1, 3], channels=[96, 160, 224, 320], stem=[24, 40], stem_kernel=3, stem_pool=False,
        groups=[1, 2, 1, 4], squeeze=0.0625, grow_first=True, cross_linear=False, image=160,
    )  # fmt: skip
    assert_equal(network, count(module, (1, 3, 160, 160)))


def test_hrnet_with_other_fields() -> None:
    hrnet = pytest.importorskip("timm.models.hrnet")

    def stage(number: int, modules: int, blocks: int, channels: tuple[int, ...]) -> dict[str, Any]:
        kind = "BASIC" if number > 1 else "BOTTLENECK"
        return {
            "num_modules": modules, "num_branches": number, "block_type": kind, "num_blocks": (blocks,) * number,
            "num_channels": channels, "fuse_method": "SUM",
        }  # fmt: skip

    stages = {
        "stem_width": 48, "stage1": stage(1, 1, 3, (40,)), "stage2": stage(2, 2, 1, (20, 40)),
        "stage3": stage(3, 1, 1, (20, 40, 80)), "stage4": stage(4, 2, 1, (20, 40, 80, 160)),
    }  # fmt: skip
    with torch.device("meta"):
        module = hrnet.HighResolutionNet(stages)
    network = load_network(
        "hrnet_w18", width=20, modules=[2, 1, 2], blocks=1, first_blocks=3, first_width=40, stem=48, image=160
    )  # fmt: skip
    assert_equal(network, count(module, (1, 3, 160, 160)))


def onnx_count(name: str) -> Counted:
    """Return what a light model of the ONNX zoo counts: from the shapes of its convolutions and dense layers.

    Of a batch norm its scale and bias count, not its running mean and variance. After each of Caffe's batch norms (of
    scale 1 and bias 0) stand a multiplication and an addition that hold what was learned: that counts once.
    """
    onnx = pytest.importorskip("onnx")
    from onnx.backend import test as shipped
    from onnx.shape_inference import infer_shapes

    path = Path(next(iter(shipped.__path__))) / "data" / "light" / f"light_{name}.onnx"
    graph = infer_shapes(onnx.load(path)).graph
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    values = (*graph.value_info, *graph.input, *graph.output)
    shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
    parameters = flops = 0
    for node in graph.node:
        if node.op_type == "ConstantOfShape":
            shapes[node.output[0]] = tuple(int(n) for n in constants[node.input[0]])
        elif node.op_type in {"Conv", "Gemm"}:
            weight = shapes[node.input[1]]
            parameters += sum(prod(shapes[i]) for i in node.input[1:])
            positions = prod(shapes[node.output[0]][2:])
            flops += 2 * positions * prod(weight)
        elif node.op_type == "BatchNormalization":
            parameters += sum(prod(shapes[i]) for i in node.input[1:3])
    return Counted(parameters, flops)


@pytest.mark.parametrize("name", ONNX)
def test_onnx_zoo(name: str) -> None:
    assert_equal(load_network(name), onnx_count(ONNX[name]))
