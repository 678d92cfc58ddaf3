"""Networks of a few thousand parameters for microcontrollers: a small ResNet, DS-CNN, a dense autoencoder."""

from __future__ import annotations

from collections.abc import Sequence

from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.mobile_layers import conv_norm
from perfmodel.workloads.networks.registry import family
from perfmodel.workloads.networks.vit_tokens import sides


@family("cifar-resnet")
def cifar_resnet(
    name: str,
    *,
    widths: Sequence[int] = (16, 32, 64),
    depth: int = 1,
    bias: bool = True,
    shortcut_norm: bool = False,
    image: int | Sequence[int] = 32,
    classes: int = 10,
) -> Network:
    """Return a residual network of small images: stages of ``depth`` basic blocks of ``widths``, without pooling.

    ``bias``: convolutions have biases as well as norms; ``shortcut_norm``: projections are normed too. Source: He et
    al. 2015 (arXiv 1512.03385), section 4.2; mlcommons/tiny benchmark/training/image_classification/keras_model.py.
    """
    b = Builder(name, "cifar-resnet", (3, *sides(image)))
    x = conv_norm(b, b.input(), widths[0], 3, bias=bias, act="relu", name="stem")
    for stage, width in enumerate(widths, 1):
        for index in range(depth):
            stride = 2 if stage > 1 and index == 0 else 1
            with b.block(f"stage{stage}.{index}"):
                y = conv_norm(b, x, width, 3, stride, bias=bias, act="relu", name="conv1")
                y = conv_norm(b, y, width, 3, bias=bias, name="conv2")
                if stride > 1 or x.channels != width:
                    x = _shortcut(b, x, width, stride, bias, shortcut_norm)
                x = b.act(b.add(x, y))
    with b.block("head"):
        return b.build(b.softmax(b.linear(b.global_pool(x), classes)))


def _shortcut(b: Builder, x: Value, width: int, stride: int, bias: bool, norm: bool) -> Value:
    if norm:
        return conv_norm(b, x, width, 1, stride, bias=bias, name="downsample")
    return b.conv(x, width, 1, stride, bias=bias, name="downsample")


@family("ds-cnn")
def ds_cnn(
    name: str,
    *,
    width: int = 64,
    depth: int = 4,
    kernel: Sequence[int] = (10, 4),
    stride: Sequence[int] = (2, 2),
    image: Sequence[int] = (49, 10),
    classes: int = 12,
) -> Network:
    """Return DS-CNN for keywords: a convolution over ``image`` (times and features), then ``depth`` separable ones.

    Source: Zhang et al. 2017 (arXiv 1711.07128), section 3.5; mlcommons/tiny benchmark/training/keyword_spotting/
    keras_model.py (size of MLPerf Tiny).
    """
    b = Builder(name, "ds-cnn", (1, *image))
    with b.block("stem"):
        x = b.conv(b.input(), width, kernel, stride, "same")
        x = b.act(b.batch_norm(x))
    for index in range(depth):
        with b.block(f"layer{index + 1}"):
            x = conv_norm(b, x, width, 3, groups=width, act="relu", name="depthwise")
            x = conv_norm(b, x, width, act="relu", name="pointwise")
    with b.block("head"):
        return b.build(b.softmax(b.linear(b.global_pool(x), classes)), sample="second of sound")


@family("dense-autoencoder")
def dense_autoencoder(
    name: str, *, inputs: int = 640, widths: Sequence[int] = (128, 128, 128, 128, 8, 128, 128, 128, 128)
) -> Network:  # fmt: skip
    """Return an autoencoder of dense layers of ``widths`` with norms, and one back to ``inputs``.

    Source: mlcommons/tiny benchmark/training/anomaly_detection/keras_model.py (MLPerf Tiny).
    """
    b = Builder(name, "dense-autoencoder", (inputs,))
    x = b.input()
    for index, width in enumerate(widths):
        with b.block(f"layer{index}"):
            x = b.act(b.batch_norm(b.linear(x, width)))
    with b.block("out"):
        return b.build(b.linear(x, inputs), sample="window of sound")
