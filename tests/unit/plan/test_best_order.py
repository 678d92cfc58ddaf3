"""Orders of kernels and the memory that they need: by hand, as published, and against all orders of small graphs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel import ops
from perfmodel.deployment.memory import ANY_DEVICE, MemoryPlan, memory_plan
from perfmodel.plan.arena import arena_bytes, buffers
from perfmodel.plan.best_order import best_order
from perfmodel.plan.liveness import liveness
from perfmodel.plan.network import NetworkPlan, kernels
from perfmodel.plan.ordering import greedy_order, order_in_file, timeline
from perfmodel.plan.tensors import KernelGraph
from perfmodel.workloads.building import Builder, Value
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network

KIB = 1024.0


def copies(sizes: list[tuple[int, tuple[int, ...]]], entry: int) -> Network:
    """Return a network of copies: (size of the result, what it reads: -1 the input, else an earlier one)."""
    b = Builder("copies", "test", (entry,))
    values: list[Value] = []
    for index, (size, read) in enumerate(sizes):
        inputs = [b.input() if i < 0 else values[i] for i in read]
        values.append(b.node(f"op{index + 1}", ops.Copy(1, size), inputs, (size,)))
    return b.build(values[-1])


def plan_of(network: Network, fusion: str = "none") -> MemoryPlan:
    return memory_plan(network, precision="int8", fusion=fusion)


def test_the_example_of_operator_reordering() -> None:
    """Liberis and Lane 2019 (arXiv 1910.05110), figure 1: 5216 bytes in the file's order, 4960 in the best."""
    graph = copies(
        [(3136, (-1,)), (1568, (0,)), (512, (1,)), (512, (0,)), (256, (2,)), (256, (3,)), (512, (4, 5))], 1568
    )
    plan = plan_of(graph)
    first = plan.timeline("in-order")
    assert first.live_bytes == (4704, 4704, 5216, 4160, 1280, 1024, 1024)
    best = plan.searched[False]
    assert (best.timeline.peak_bytes, best.exact, best.at_least_bytes) == (4960, True, 4960)
    assert max(timeline(plan.graph, [0, 3, 5, 1, 2, 4, 6]).live_bytes) == 4960  # the paper's order


def test_a_residual_block_by_hand() -> None:
    b = Builder("residual", "test", (8, 4, 4))
    x = b.input()
    y = b.act(b.conv(x, 16, name="wide"), name="wide_act")
    out = b.add(b.conv(y, 8, name="narrow"), x)
    network = b.build(out)
    alone = plan_of(network)
    # the input (128 B) waits for the sum: wide 128+256, act 128+256+256, narrow 128+256+128, add 128+128+128
    assert alone.timeline("in-order").live_bytes == (384, 640, 512, 384)
    in_place = alone.timeline("in-place")
    assert in_place.live_bytes == (384, 384, 512, 256)  # the activation over its input, the sum over one of its two
    assert [over >= 0 for over in in_place.over] == [False, True, False, True]
    fused = plan_of(network, "epilogue")
    assert fused.timeline("in-order").live_bytes == (
        384,
        512,
    )  # wide+act; narrow+add reads the input and 256, writes 128
    assert fused.weights_bytes == 8 * 16 + 16 + 16 * 8 + 8


def test_a_depthwise_convolution_in_place_needs_one_more_channel() -> None:
    b = Builder("depthwise", "test", (8, 4, 4))
    plan = plan_of(b.build(b.conv(b.input(), 8, 3, groups=8)))
    assert plan.timeline("in-order").peak_bytes == 256
    assert plan.timeline("in-place").peak_bytes == 128 + 16


def test_a_value_that_is_read_later_is_not_overwritten() -> None:
    b = Builder("kept", "test", (8, 4, 4))
    x = b.conv(b.input(), 8)
    plan = plan_of(b.build(b.add(b.act(x), x)))
    assert plan.timeline("in-place").live_bytes == (256, 256, 256)


def test_a_view_keeps_what_it_is_of() -> None:
    b = Builder("views", "test", (4, 4, 4))
    x = b.conv(b.input(), 8)
    left, right = b.split(x, (4, 4))
    y = b.conv(left, 2, name="left")
    plan = plan_of(b.build(b.concat((y, b.conv(right, 2, name="right")))))
    # conv 64+128; left reads half of 128, which stays whole: 128+32; right 128+32+32; concat 32+32+64
    assert plan.timeline("in-order").live_bytes == (192, 160, 192, 128)


@pytest.mark.parametrize(
    ("schedule", "peak"),
    [("in-order", (96 * 112 * 112 + 96 * 56 * 56)), ("in-place", (16 + 96) * 112 * 112), ("best", 1470 * KIB)],
)
def test_mobilenet_v2(schedule: str, peak: float) -> None:
    """MCUNetV2 (arXiv 2110.15352), figure 1: 1372 kB in int8, depthwise convolutions in place."""
    assert plan_of(load_network("mobilenetv2_100"), "epilogue").timeline(schedule).peak_bytes == peak  # type: ignore[arg-type]
    assert 1372 * KIB == (16 + 96) * 112 * 112


def test_the_best_order_of_a_searched_network() -> None:
    network = load_network("nasnet-mobile")
    assert isinstance(network, Network)
    plan = plan_of(network, "epilogue")
    best, first = plan.searched[False], plan.timeline("in-order")
    assert best.exact
    assert best.timeline.peak_bytes < first.peak_bytes
    assert sorted(best.timeline.order) == list(range(len(first.order)))


def test_kernels_that_are_listed_too_early_wait() -> None:
    """A chain that fuses a sum stands where its first layer does, before what else the sum reads."""
    b = Builder("early", "test", (8, 4, 4))
    x = b.input()
    first = b.conv(x, 8, name="first")
    second = b.conv(x, 8, name="second")
    out = b.add(b.act(first, name="act"), second)
    network = b.build(b.conv(out, 4, name="last"))
    plan = NetworkPlan("int8")
    schedule = kernels(network, plan, ANY_DEVICE)
    assert [kernel.name for kernel in schedule] == ["first+2", "second", "last"]
    found = memory_plan(network, precision="int8")
    assert found.timeline("in-order").order == (1, 0, 2)
    # second 128+128; first+act+add 128+128+128; last 128+64
    assert liveness(network, schedule, plan, ANY_DEVICE).live_bytes == (384, 256, 192)


def all_orders(graph: KernelGraph) -> Iterator[list[int]]:
    def extend(done: list[int]) -> Iterator[list[int]]:
        if len(done) == len(graph.kernels):
            yield list(done)
        for k in range(len(graph.kernels)):
            if k not in done and graph.before[k] <= set(done):
                yield from extend([*done, k])

    yield from extend([])


@st.composite
def networks(draw: st.DrawFn, most: int = 7) -> Network:
    """Return a small graph of copies (never in place) and activations (in place where that goes)."""
    b = Builder("random", "test", (draw(st.integers(1, 40)),))
    values = [b.input()]
    for index in range(draw(st.integers(1, most))):
        read = draw(st.lists(st.sampled_from(range(len(values))), min_size=1, max_size=3, unique=True))
        inputs = [values[i] for i in read]
        if draw(st.booleans()):
            values.append(b.act(inputs[0], name=f"act{index}"))
        else:
            size = draw(st.integers(1, 40))
            values.append(b.node(f"copy{index}", ops.Copy(1, size), inputs, (size,)))
    return b.build(*values[-draw(st.integers(1, 2)) :])


@given(networks(), st.booleans())
@settings(max_examples=150)
def test_no_order_of_a_small_graph_is_better(network: Network, in_place: bool) -> None:
    graph = plan_of(network).graph
    least = min(timeline(graph, order, in_place=in_place).peak_bytes for order in all_orders(graph))
    found = best_order(graph, in_place=in_place)
    assert found.exact
    assert found.timeline.peak_bytes == pytest.approx(least)
    assert found.at_least_bytes <= least * (1 + 1e-9)


@given(networks(14), st.booleans())
def test_what_holds_of_every_order(network: Network, in_place: bool) -> None:
    graph = plan_of(network).graph
    first = timeline(graph, order_in_file(graph), in_place=in_place)
    greedy = timeline(graph, greedy_order(graph, in_place=in_place), in_place=in_place)
    best = best_order(graph, in_place=in_place)
    assert best.at_least_bytes <= best.timeline.peak_bytes <= min(first.peak_bytes, greedy.peak_bytes)
    if not in_place:
        assert best.timeline.peak_bytes >= max(graph.footprint_bytes(k) for k in range(len(graph.kernels)))
    for found in (first, greedy, best.timeline):
        assert sorted(found.order) == list(range(len(graph.kernels)))
        for step, kernel in enumerate(found.order):
            assert graph.before[kernel] <= set(found.order[:step])
            held = sum(graph.tensors[t].size_bytes for t in found.held[step])
            assert found.live_bytes[step] <= held
            if found.over[step] < 0:
                assert found.live_bytes[step] == held
        if not in_place:
            assert arena_bytes(graph, found) >= found.peak_bytes


@given(networks(12), st.booleans())
def test_buffers_that_are_in_use_together_do_not_overlap(network: Network, in_place: bool) -> None:
    graph = plan_of(network).graph
    found = timeline(graph, order_in_file(graph), in_place=in_place)
    total = arena_bytes(graph, found)
    assert max((b.size_bytes for b in buffers(graph, found)), default=0.0) <= total
    assert total <= sum(b.size_bytes for b in buffers(graph, found))


def test_giving_up_says_how_far_it_may_be() -> None:
    """Many copies of one input that are summed two by two: more sets of kernels than one allows."""
    sizes = [(100 + 7 * i, (-1,)) for i in range(10)] + [(50 + i, (2 * i, 2 * i + 1)) for i in range(5)]
    graph = plan_of(copies([*sizes, (10, (10, 11, 12, 13, 14))], 60)).graph
    given_up = best_order(graph, most_steps=0)
    assert given_up.at_least_bytes <= best_order(graph).timeline.peak_bytes <= given_up.timeline.peak_bytes
