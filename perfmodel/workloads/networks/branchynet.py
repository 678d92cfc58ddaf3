"""BranchyNets: LeNet, AlexNet and ResNet-110 for small images, with branches where samples may leave early."""

from __future__ import annotations

from collections.abc import Callable

from perfmodel.errors import InputError
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.registry import family


@family("branchynet")
def branchynet(
    name: str, trunk: str, *, depth: int = 18, branches: bool = True, image: int = 32, classes: int = 10
) -> Network:
    """Return a ``trunk`` (lenet, alexnet or resnet) with its branches, each with an exit.

    ``depth`` is the number of residual blocks a stage of resnet; without ``branches`` only the trunk is left. Poolings
    round up, as in Chainer; local response normalisation is counted like an activation. Source: Teerapittayanon et
    al. 2016 (arXiv 1709.01686), section IV; kunglab/branchynet networks/*.py.
    """
    builders: dict[str, Callable[[Builder, _Exits, int], Value]] = {
        "lenet": _lenet, "alexnet": _alexnet, "resnet": lambda b, e, n: _resnet(b, e, n, depth),
    }  # fmt: skip
    if trunk not in builders:
        raise InputError(f"{name}: trunk '{trunk}' is none of {', '.join(builders)}")
    b = Builder(name, "branchynet", (1 if trunk == "lenet" else 3, image, image))
    return b.build(builders[trunk](b, _Exits(b, there=branches), classes))


class _Exits:
    """The branches of a network, if they are ``there``."""

    def __init__(self, b: Builder, *, there: bool) -> None:
        self.b, self.there, self.count = b, there, 0

    def add(self, x: Value, branch: Callable[[Value], Value]) -> None:
        """Add a branch behind a value."""
        if self.there:
            self.count += 1
            with self.b.block(f"exit{self.count}"):
                self.b.exit(f"exit{self.count}", branch(x))


def _lenet(b: Builder, exits: _Exits, classes: int) -> Value:
    def pooled(x: Value) -> Value:
        return b.act(b.max_pool(x, 2, ceil=True))

    def branch(x: Value) -> Value:
        y = b.conv(pooled(x), 10, 3, name="conv")
        return b.linear(b.flatten(pooled(y)), classes, name="classifier")

    with b.block("conv1"):
        x = b.conv(b.input(), 5, 5, padding=3)
    exits.add(x, branch)
    for number, width in ((2, 10), (3, 20)):
        with b.block(f"conv{number}"):
            x = b.conv(pooled(x), width, 5, padding=3)
    with b.block("classifier"):
        return b.linear(b.linear(b.flatten(pooled(x)), 84, name="fc1"), classes, name="fc2")


def _normed(b: Builder, x: Value, *, pool: bool = True) -> Value:
    """Add relu, pooling and local response normalisation."""
    x = b.act(x)
    return b.act(b.max_pool(x, 3, 2, ceil=True) if pool else x, "lrn", name="norm")


def _alexnet(b: Builder, exits: _Exits, classes: int) -> Value:
    def branch(convs: int) -> Callable[[Value], Value]:
        def add(x: Value) -> Value:
            y = _normed(b, x)
            for _ in range(convs):
                y = b.act(b.conv(y, 32, 3))
            return b.linear(b.flatten(b.max_pool(y, 3, 2, ceil=True)), classes, name="classifier")

        return add

    with b.block("conv1"):
        x = _normed(b, b.conv(b.input(), 32, 5))
    with b.block("conv2"):
        x = b.conv(x, 64, 5)
    exits.add(x, branch(2))
    with b.block("conv3"):
        x = b.conv(_normed(b, x), 96, 3)
    exits.add(x, branch(1))
    with b.block("conv4"):
        x = b.conv(b.act(x), 96, 3)
    with b.block("conv5"):
        x = b.max_pool(b.act(b.conv(b.act(x), 64, 3), name="act2"), 3, 2, ceil=True)
    with b.block("classifier"):
        x = b.act(b.linear(b.flatten(x), 256, name="fc1"), name="fc1_act")
        x = b.act(b.linear(x, 128, name="fc2"), name="fc2_act")
        return b.linear(x, classes, name="fc3")


def _resnet(b: Builder, exits: _Exits, classes: int, depth: int) -> Value:
    def first(x: Value) -> Value:
        y = _normed(b, x, pool=False)
        for width in (32, 32):
            y = b.act(b.conv(y, width, 3))
        y = b.flatten(b.max_pool(y, 3, 2, ceil=True))
        return b.linear(b.linear(y, y.width // 2, name="fc1"), classes, name="fc2")

    with b.block("conv1"):
        x = b.act(b.batch_norm(b.conv(b.input(), 16, 3, padding=0)))
    x = _residual(b, x, 16, 1, "layer1.0")
    exits.add(x, first)
    for index in range(depth):
        x = _residual(b, x, 16, 1, f"layer1.{index + 1}")
    exits.add(x, lambda y: b.linear(b.flatten(_residual(b, y, 16, 1, "residual")), classes, name="classifier"))
    for stage, width in ((2, 32), (3, 64)):
        for index in range(depth):
            x = _residual(b, x, width, 1 if index else 2, f"layer{stage}.{index}")
    with b.block("classifier"):
        return b.linear(b.flatten(b.avg_pool(x, 6, 1, ceil=True)), classes, name="fc")


def _residual(b: Builder, x: Value, width: int, stride: int, name: str) -> Value:
    """Add two 3x3 convolutions with a shortcut that takes each ``stride``-th position and pads channels with zeros."""
    with b.block(name):
        y = b.act(b.batch_norm(b.conv(x, width, 3, stride, name="conv1"), name="bn1"), name="act1")
        y = b.batch_norm(b.conv(y, width, 3, name="conv2"), name="bn2")
        short = x if x.shape == y.shape else b.copy(x, y.shape, name="shortcut")
        return b.act(b.add(y, short))
