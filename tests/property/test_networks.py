"""Any network on any device: the order of the answers, and what must grow with what."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.devices import list_devices, load_device
from perfmodel.devices.override import change_device
from perfmodel.serving.network import NetworkQuestion, prepare_network
from perfmodel.workloads.networks.library import load_network

NETWORKS = (
    "resnet18",
    "mobilenetv2_100",
    "vit_tiny_patch16_224",
    "densenet121",
    "squeezenet1.1",
    "swin_tiny_patch4_window7_224",
)
DEVICES = [name for name in list_devices() if not load_device(name).engines]
"""Devices of a single form; those that list engines of their own are held to account by the engines' tests."""
BATCHES = st.sampled_from([1.0, 7.0, 64.0, 1000.0])


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(NETWORKS), st.sampled_from(DEVICES), BATCHES, st.sampled_from(["", "torch", "torch-compile"]))
def test_bound_p10_expected_p90(name: str, device: str, batch: float, engine: str) -> None:
    answer = prepare_network(load_network(name), load_device(device), NetworkQuestion(engine=engine)).answer(batch)
    time = answer.latency
    assert 0 < time.bound <= time.p10 * (1 + 1e-12)
    assert time.p10 <= time.expected <= time.p90
    for row in answer.stages[0].step.operators:
        counts = row.step.operator.counts()
        assert all(float(v) >= 0 for v in (*counts.flops.values(), *counts.bytes.values()))
        assert row.expected_s >= row.bound.time_s * (1 - 1e-12)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(NETWORKS), st.sampled_from(DEVICES), BATCHES)
def test_more_bandwidth_is_never_slower(name: str, device: str, batch: float) -> None:
    before = load_device(device)
    after = change_device(before, {"memory.main.bandwidth": "*2"})
    slow, fast = (
        prepare_network(load_network(name), d, NetworkQuestion()).answer(batch).latency for d in (before, after)
    )
    assert fast.expected <= slow.expected * (1 + 1e-9)
    assert fast.bound <= slow.bound * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(NETWORKS), st.sampled_from(DEVICES))
def test_a_larger_batch_takes_longer_and_is_no_worse_a_sample(name: str, device: str) -> None:
    setup = prepare_network(load_network(name), load_device(device), NetworkQuestion())
    one, many = setup.answer(8.0), setup.answer(512.0)
    assert many.latency.expected > one.latency.expected
    assert many.latency.bound / 512 <= one.latency.bound / 8 * (1 + 1e-9)
