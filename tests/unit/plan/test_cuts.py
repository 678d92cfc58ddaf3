"""What crosses a cut: by hand, and of random graphs against the definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perfmodel import ops
from perfmodel.deployment.memory import ANY_DEVICE
from perfmodel.plan.cuts import crossing, cuts, prefixes
from perfmodel.plan.network import NetworkPlan, kernels
from perfmodel.workloads.building import Builder
from perfmodel.workloads.network import Network
from perfmodel.workloads.networks.library import load_network


def schedule(network: Network, fusion: str = "epilogue", *, folds: bool = True):  # type: ignore[no-untyped-def]
    return kernels(network, NetworkPlan("float16", fusion=fusion, folds_norms=folds), ANY_DEVICE)


def residual() -> Network:
    b = Builder("residual", "test", (8, 4, 4))
    x = b.conv(b.input(), 16, name="stem")
    y = b.batch_norm(b.conv(x, 4, name="narrow"))
    y = b.conv(y, 16, name="wide")
    return b.build(b.linear(b.global_pool(b.add(y, x)), 10, name="head"))


def test_a_skip_connection_crosses_too() -> None:
    network = residual()
    first = schedule(network)
    assert [kernel.name for kernel in first] == ["stem", "narrow", "wide+1", "pool", "head"]
    found = cuts(network, first, first)
    assert [(cut.head, cut.tail_from) for cut in found] == [(i, i) for i in range(6)]
    names = [[network.nodes[c.value].name if c.value >= 0 else "input" for c in cut.crossing] for cut in found]
    assert names == [["input"], ["stem"], ["stem", "bn"], ["add"], ["pool"], []]
    elements = [sum(c.elements for c in cut.crossing) for cut in found]
    assert elements == [128, 256, 256 + 64, 256, 16, 0]


def test_cuts_split_no_kernel_of_either_machine() -> None:
    network = residual()
    fused, apart = schedule(network, "block"), schedule(network, "none", folds=False)
    assert len(apart) > len(fused)
    both = cuts(network, fused, apart)
    assert {cut.head for cut in both} == set(range(len(fused) + 1))
    for cut in both:
        assert prefixes(network, fused)[cut.head] == prefixes(network, apart)[cut.tail_from]


def test_of_a_split_only_the_parts_that_are_read_cross() -> None:
    b = Builder("parts", "test", (4, 4, 4))
    x = b.conv(b.input(), 12, name="stem")
    left, middle, right = b.split(x, (4, 4, 4))
    del right
    network = b.build(b.conv(b.concat((left, middle)), 4, name="end"))
    stem = cuts(network, schedule(network), schedule(network))[1]
    assert [c.elements for c in stem.crossing] == [2 * 64]


@st.composite
def graphs(draw: st.DrawFn) -> Network:
    b = Builder("random", "test", (draw(st.integers(1, 40)),))
    values = [b.input()]
    for index in range(draw(st.integers(1, 12))):
        read = draw(st.lists(st.sampled_from(range(len(values))), min_size=1, max_size=3, unique=True))
        size = draw(st.integers(1, 40))
        values.append(b.node(f"copy{index}", ops.Copy(1, size), [values[i] for i in read], (size,)))
    return b.build(values[-1])


@given(graphs(), st.data())
def test_what_crosses_is_what_was_made_before_and_is_read_behind(network: Network, data: st.DataObject) -> None:
    head = data.draw(st.integers(0, len(network.nodes)))
    found = {c.value for c in crossing(network, (1 << head) - 1)}
    assert found == {v for node in network.nodes[head:] for v in node.inputs if v < head}


def test_every_cut_of_a_real_network_keeps_all_kernels() -> None:
    network = load_network("mobilenetv3_small_100")
    assert isinstance(network, Network)
    first = schedule(network)
    found = cuts(network, first, first)
    assert len(found) == len(first) + 1
    assert all(cut.crossing for cut in found[:-1])
