"""Several networks for one request: sums by hand, and which part decides the throughput."""

from __future__ import annotations

import pytest

from perfmodel.deployment.cascade import Cascade, Member, parse_cascade
from perfmodel.deployment.split import Link
from perfmodel.devices import Device, load_device
from perfmodel.errors import InputError
from perfmodel.network_api import NetworkEstimate, estimate_network

NANO, GPU = load_device("jetson-nano"), load_device("rtx-4090")


def alone(name: str, device: Device, batch: int = 1) -> NetworkEstimate:
    return estimate_network(name, device, batch=batch)


def member(name: str, device: Device, runs: float) -> Member:
    return Member(alone(name, device).setup, runs)


def test_a_cascade_on_one_device_by_hand() -> None:
    found = Cascade((member("mobilenetv2_050", NANO, 1.0), member("resnet18", NANO, 0.3)))
    a, b = alone("mobilenetv2_050", NANO), alone("resnet18", NANO)
    summary = found.summary()
    mean = float(a.latency_s.expected) + 0.3 * float(b.latency_s.expected)
    assert summary["latency_s"]["expected"] == pytest.approx(mean)
    assert summary["latency_all_s"]["expected"] == pytest.approx(float(a.latency_s.expected + b.latency_s.expected))
    assert summary["requests_per_s"] == pytest.approx(1 / mean)
    assert summary["joules_per_request"] == pytest.approx(a.joules_per_sample + 0.3 * b.joules_per_sample)  # type: ignore[operator]
    (place,) = summary["devices"]
    assert place["weights_bytes"] == pytest.approx(float(a.memory.weights_bytes + b.memory.weights_bytes))
    assert place["activation_bytes"] == pytest.approx(
        max(float(a.memory.activation_bytes), float(b.memory.activation_bytes))
    )
    assert place["fits"]


def test_crops_run_together_or_one_by_one() -> None:
    members = (member("mobilenetv2_050", GPU, 1.0), member("resnet18", GPU, 5.0))
    together, single = Cascade(members, batch=2), Cascade(members, batch=2, one_by_one=True)
    assert together.passes == [(2.0, 1.0), (10.0, 1.0)]
    assert single.passes == [(1.0, 2.0), (1.0, 10.0)]
    ten = float(alone("resnet18", GPU, 10).latency_s.expected)
    assert together.rows()[1]["busy_s"] == pytest.approx(ten)
    assert single.rows()[1]["busy_s"] == pytest.approx(10 * float(alone("resnet18", GPU).latency_s.expected))
    assert together.summary()["requests_per_s"] > single.summary()["requests_per_s"]


def test_of_several_devices_the_slowest_decides() -> None:
    members = (member("mobilenetv2_050", NANO, 1.0), member("resnet18", GPU, 0.5))
    fast = Cascade(members, link=Link(1e9)).summary()
    times = fast["busy_s"]
    assert fast["bottleneck"] == "jetson-nano"
    assert fast["requests_per_s"] == pytest.approx(1 / times["jetson-nano"])
    slow = Cascade(members, link=Link(1e6)).summary()
    sent = 0.5 * 3 * 224 * 224 * 2.0
    assert slow["bottleneck"] == "link"
    assert slow["busy_s"]["link"] == pytest.approx(sent / 1e6)
    assert slow["requests_per_s"] == pytest.approx(1e6 / sent)
    small = Cascade(members, link=Link(1e6), handover_bytes=1e3).summary()
    assert small["busy_s"]["link"] == pytest.approx(0.5 * 1e3 / 1e6)


def test_two_devices_of_a_kind_are_two() -> None:
    members = (member("resnet18", GPU, 1.0), Member(alone("resnet18", GPU).setup, 1.0, "rtx-4090#2"))
    found = Cascade(members, link=Link(1e12)).summary()
    one = Cascade((members[0], members[0])).summary()
    assert list(found["busy_s"]) == ["rtx-4090", "rtx-4090#2", "link"]
    assert found["requests_per_s"] == pytest.approx(2 * one["requests_per_s"])
    assert one["devices"][0]["weights_bytes"] == found["devices"][0]["weights_bytes"]  # the same weights twice are once


def test_networks_on_one_device_share_what_its_chip_keeps() -> None:
    device = load_device("hailo-8")
    one = Member(estimate_network("mobilenetv2_050", device, precision="int8").setup, 1.0)
    big = Member(estimate_network("resnet50", device, precision="int8").setup, 1e-9)
    alone_s, beside_s = (Cascade(m).rows()[0]["pass_s"]["expected"] for m in ((one,), (one, big)))
    assert beside_s >= alone_s


def test_words() -> None:
    assert parse_cascade("a:1, b:0.3,c") == [("a", 1.0), ("b", 0.3), ("c", 1.0)]
    for text in ("", ":3", "a:x", "a:-1"):
        with pytest.raises(InputError):
            parse_cascade(text)
    with pytest.raises(InputError, match="more than 0"):
        Cascade((member("resnet18", GPU, 0.0),))
    with pytest.raises(InputError, match="--link"):
        Cascade((member("resnet18", GPU, 1.0), member("resnet18", NANO, 1.0)))
