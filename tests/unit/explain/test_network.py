"""The latency of a network as a formula: its bound is the estimate's, its parts are what they say."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.errors import InputError
from perfmodel.explain.network import explain_network
from perfmodel.network_api import NetworkEstimate, estimate_network


def asked(name: str = "resnet18", device: str = "rtx-4090", **options: Any) -> NetworkEstimate:
    return estimate_network(name, device, batch=16, **options)


def numbers(found: Any) -> dict[Any, float]:
    return {symbol: number for symbol, number, _, _ in found.symbols.values()}


@pytest.mark.parametrize("options", [{}, {"engine": "torch"}, {"precision": "int8"}, {"dp": 2}])
def test_the_bound_is_that_of_the_estimate(options: dict[str, Any]) -> None:
    estimate = asked(**options)
    found = explain_network(estimate.setup, ("batch", "bandwidth", "peak"), 16)
    assert float(found.bound.subs(numbers(found)).doit()) == pytest.approx(estimate.latency_s.bound, rel=1e-4)
    assert set(found.parts) >= {"compute", "memory", "traffic"}


def test_parts_are_in_the_symbols_that_were_asked_for() -> None:
    estimate = asked(engine="torch")
    found = explain_network(estimate.setup, ("batch", "launch"), 16)
    letters = {str(symbol) for symbol in found.parts["issue"].free_symbols}
    assert letters == {"t_{issue}"}
    assert {str(s) for s in found.parts["compute"].free_symbols} == {"B"}
    assert not found.parts["memory"].free_symbols
    kernels = len(estimate.answer.stages[0].step.operators)
    assert float(found.parts["issue"].subs(numbers(found))) == pytest.approx(
        kernels * found.symbols["launch"][1], rel=1e-5
    )
    assert f"max(sum of {kernels} kernels" in found.composition[0]


def test_the_expected_form_gives_the_expected_time() -> None:
    estimate = asked("test_resnet")
    found = explain_network(estimate.setup, ("batch",), 16)
    assert float(found.expected.subs(numbers(found))) == pytest.approx(estimate.latency_s.expected, rel=1e-9)


def test_traffic_and_arithmetic_are_the_sums_of_the_kernels() -> None:
    estimate = asked()
    found = explain_network(estimate.setup, ("batch", "bandwidth"), 16)
    rows = estimate.operator_rows()
    bandwidth = found.symbols["bandwidth"][1]
    assert float(found.parts["traffic"].subs(numbers(found))) == pytest.approx(
        sum(row["bytes"] for row in rows) / bandwidth, rel=1e-4
    )
    (n,) = {s for row in found.operators for s in row["flops"].free_symbols}
    flops = sum(float(row["flops"].subs(n, 16)) * row["repeat"] for row in found.operators)
    assert flops == pytest.approx(sum(row["flops"] for row in rows), rel=1e-4)


def test_a_pipeline_has_the_parts_of_each_network() -> None:
    estimate = asked("stable-diffusion-1.5", changes={"model.steps": "2"})
    found = explain_network(estimate.setup, ("batch", "bandwidth", "peak"), 16)
    assert "stable-diffusion-1.5-unet compute" in found.parts
    assert float(found.bound.subs(numbers(found)).doit()) == pytest.approx(estimate.latency_s.bound, rel=1e-4)


def test_accelerators_have_a_form_of_their_own() -> None:
    found = explain_network(asked(device="hailo-8").setup, ("batch", "launch"), 16)
    assert any("accelerator.yaml" in line for line in found.composition)


def test_unknown_symbols() -> None:
    with pytest.raises(InputError, match="did you mean 'bandwidth'"):
        explain_network(asked().setup, ("bandwith",), 16)
