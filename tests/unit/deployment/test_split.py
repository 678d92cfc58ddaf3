"""Split computing: the ends of the list of cuts are the two devices alone, and every row is the sum of its parts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.deployment.split import Link, Split, best, parse_link
from perfmodel.errors import InputError
from perfmodel.network_api import NetworkEstimate, estimate_network
from perfmodel.workloads.building import Builder
from perfmodel.workloads.networks.library import load_network

MODELS = {name: load_network(name) for name in ("alexnet", "resnet18", "mobilenetv2_050", "densenet121")}
links = st.builds(Link, st.floats(1e5, 1e10), st.floats(0.0, 0.1), st.floats(0.0, 1e-6))


def estimates(model: str, precision: str = "", batch: int = 1) -> tuple[NetworkEstimate, NetworkEstimate]:
    network = MODELS[model]
    first = estimate_network(network, "jetson-nano", batch=batch, precision=precision)
    return first, estimate_network(network, "rtx-4090", batch=batch)


@given(st.sampled_from(sorted(MODELS)), st.integers(1, 8), links, st.booleans())
@settings(max_examples=25)
def test_the_first_cut_is_all_remote_and_the_last_all_local(model: str, batch: int, link: Link, replies: bool) -> None:
    edge, cloud = estimates(model, batch=batch)
    rows = Split(edge.setup, cloud.setup, link, batch, replies=replies).rows()
    remote, local = rows[0], rows[-1]
    size = 2.0 * batch * float(MODELS[model].elements_of(-1))  # type: ignore[union-attr]
    back = 2.0 * batch * 1000 if replies else 0.0
    assert (remote["kind"], local["kind"]) == ("all remote", "all local")
    assert (remote["sent_bytes"], remote["returned_bytes"]) == (size, back)
    sending = link.seconds(size) + link.seconds(back)
    assert remote["latency_s"]["expected"] == pytest.approx(float(cloud.latency_s.expected) + sending)
    assert remote["latency_s"]["bound"] == pytest.approx(float(cloud.latency_s.bound) + sending)
    assert remote["head_memory_bytes"] == 0
    for name in ("expected", "bound", "p10", "p90"):
        assert local["latency_s"][name] == pytest.approx(float(getattr(edge.latency_s, name)))
    assert (local["sent_bytes"], local["returned_bytes"], local["tail_s"]["expected"]) == (0, 0, 0)
    assert local["edge_joules"] == pytest.approx(edge.joules_per_sample * batch)  # type: ignore[operator]
    assert local["head_memory_bytes"] == pytest.approx(float(edge.memory.weights_bytes + edge.memory.activation_bytes))


@given(st.sampled_from(["resnet18", "mobilenetv2_050"]), links)
@settings(max_examples=10)
def test_each_row_is_the_sum_of_its_parts(model: str, link: Link) -> None:
    edge, cloud = estimates(model)
    rows = Split(edge.setup, cloud.setup, link).rows()
    assert len(rows) == len(edge.setup.schedules[0]) + 1
    for before, row in zip([None, *rows], rows, strict=False):
        parts = row["head_s"]["expected"] + row["transfer_s"] + row["tail_s"]["expected"] + row["return_s"]
        assert row["latency_s"]["expected"] == pytest.approx(parts)
        assert row["transfer_s"] == pytest.approx(link.seconds(row["sent_bytes"]))
        assert row["sent_bytes"] == pytest.approx(sum(c["bytes"] for c in row["crossing"]))
        times = row["latency_s"]
        assert times["bound"] <= times["p10"] <= times["expected"] <= times["p90"]
        joules = row["edge_compute_joules"] + row["edge_waiting_joules"] + row["edge_link_joules"]
        assert row["edge_joules"] == pytest.approx(joules)
        if before is not None:
            assert row["head_s"]["expected"] >= before["head_s"]["expected"]
            assert row["tail_s"]["expected"] <= before["tail_s"]["expected"]
            assert row["head_memory_bytes"] >= before["head_memory_bytes"]


def test_what_is_sent_has_the_format_that_was_asked_for() -> None:
    edge, cloud = estimates("resnet18")
    link = Link(1e6)
    plain, narrow = (Split(edge.setup, cloud.setup, link, transfer=form).rows() for form in ("", "int8"))
    for a, b in zip(plain, narrow, strict=True):
        assert b["sent_bytes"] == a["sent_bytes"] / 2
    whole = Split(edge.setup, cloud.setup, link, transfer="int8", input_bytes=40e3).rows()
    assert (whole[0]["sent_bytes"], whole[1]["sent_bytes"]) == (40e3, narrow[1]["sent_bytes"])


def test_a_slow_link_keeps_everything_here_and_a_fast_one_sends_it_away() -> None:
    edge, cloud = estimates("resnet18")
    slow, fast = (Split(edge.setup, cloud.setup, Link(rate)).rows() for rate in (1e3, 1e13))
    assert best(slow, "latency_s")["kind"] == "all local"  # type: ignore[index]
    assert best(fast, "latency_s")["kind"] == "all remote"  # type: ignore[index]
    assert best(slow, "edge_joules")["kind"] == "all local"  # type: ignore[index]


def test_a_narrow_middle_is_the_best_cut() -> None:
    b = Builder("bottleneck", "test", (3, 64, 64))
    x = b.conv(b.input(), 1, 3, 16, 1, name="narrow")
    for index in range(6):
        x = b.conv(x, 2048, 3, name=f"heavy{index}")
    network = b.build(b.linear(b.global_pool(x), 10))
    edge, cloud = (estimate_network(network, device).setup for device in ("jetson-nano", "h100-sxm"))
    rows = Split(edge, cloud, Link(1e5)).rows()
    fastest = best(rows, "latency_s")
    assert fastest is not None
    assert (fastest["kind"], fastest["after"]) == ("split", "narrow")


def test_machines_may_fuse_differently() -> None:
    network = MODELS["resnet18"]
    edge, cloud = estimate_network(network, "jetson-nano"), estimate_network(network, "rtx-4090", engine="torch")
    rows = Split(edge.setup, cloud.setup, Link(1e6)).rows()
    assert len(rows) == len(edge.setup.schedules[0]) + 1
    assert rows[0]["tail_s"]["expected"] == pytest.approx(float(cloud.latency_s.expected))


@pytest.mark.parametrize("model", ["resnet18", "mobilenetv2_050"])
def test_a_chip_keeps_the_weights_of_its_own_part(model: str) -> None:
    edge = estimate_network(MODELS[model], "hailo-8", precision="int8")
    cloud = estimate_network(MODELS[model], "hailo-8", precision="int8")
    rows = Split(edge.setup, cloud.setup, Link(1e6)).rows()
    whole = float(edge.latency_s.expected)
    assert rows[-1]["latency_s"]["expected"] == pytest.approx(whole)
    assert rows[0]["tail_s"]["expected"] == pytest.approx(whole)
    start = rows[1]["head_s"]["expected"] + rows[1]["tail_s"]["expected"] - whole
    for row in rows[1:-1]:  # each part has fewer weights than the whole, and starts once
        assert row["head_s"]["expected"] + row["tail_s"]["expected"] <= whole + max(start, 0.0) + 2e-4


def test_links_as_words() -> None:
    assert parse_link("100 Mbit/s") == Link(12.5e6)
    assert parse_link("1 GB/s, 5 ms", 1e-9) == Link(1e9, 5e-3, 1e-9)
    assert Link(1e6, 0.5).seconds(0) == 0
    with pytest.raises(InputError, match="unit"):
        parse_link("100")


def test_a_cut_is_of_one_network() -> None:
    edge, _ = estimates("resnet18")
    other = estimate_network(MODELS["alexnet"], "rtx-4090")
    with pytest.raises(InputError, match="single network"):
        Split(edge.setup, other.setup, Link(1e6))
    with pytest.raises(InputError, match="precision"):
        Split(edge.setup, edge.setup, Link(1e6), transfer="int7")
