"""Language models beyond a device's memory: limits, order of the answers, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.api import estimate
from perfmodel.cost.offload import Tier
from perfmodel.deployment.offload import Caching, Offloaded, offload
from perfmodel.errors import InputError, PlanError

HOST = Tier("host", 256e9, float("inf"), 1e-5)


def _ask(
    model: str, device: str = "rtx-4090", batch: int = 1, tiers: tuple[Tier, ...] = (HOST,), **more: Any
) -> Offloaded:
    asked = estimate(model, device, batch=batch, input_tokens=512, output_tokens=64, static=True)
    return offload(asked.setup, float(batch), 512.0, 64.0, tiers, 32e9, **more)


def test_a_model_that_fits_is_as_fast_as_without() -> None:
    found = _ask("llama-3.1-8b")
    plain = estimate("llama-3.1-8b", "rtx-4090", batch=1, input_tokens=512, output_tokens=64, static=True)
    assert found.decode.time.expected == pytest.approx(plain.step_s.expected)
    assert found.decode.bottleneck == "device"
    assert found.tokens_per_s == pytest.approx(plain.tokens_per_s, rel=0.01)


def test_weights_beyond_stream_over_the_link() -> None:
    found = _ask("llama-3.1-70b")
    beyond = sum(row[1] for part, row in zip(found.placement.parts, found.placement.stored_bytes, strict=True)
                 if part.step_bytes)  # fmt: skip
    assert found.decode.time.expected == pytest.approx(beyond / (0.8 * 32e9), rel=0.01)
    assert found.decode.time.bound == pytest.approx(beyond / 32e9, rel=0.01)
    assert found.decode.bottleneck == "link"
    t = found.decode.time
    assert t.bound <= t.p10 <= t.expected <= t.p90


def test_a_batch_shares_what_is_streamed() -> None:
    assert _ask("llama-3.1-70b", batch=8).tokens_per_s > 6 * _ask("llama-3.1-70b").tokens_per_s


def test_experts_wait_for_what_is_missing() -> None:
    rates = [_ask("mixtral-8x7b", caching=Caching(hits=h)).tokens_per_s for h in (0.0, 0.5, 1.0)]
    assert rates[0] < rates[1] < rates[2]
    slow, fast = (_ask("mixtral-8x7b", caching=Caching(predicted=p)) for p in (0.0, 1.0))
    assert slow.decode.time.expected > fast.decode.time.expected
    assert slow.decode.bottleneck == "misses"
    skewed = _ask("mixtral-8x7b", caching=Caching(exponent=1.0))
    assert skewed.decode.hit_rate > slow.decode.hit_rate


def test_the_cache_may_be_kept_first() -> None:
    weights, kv = (_ask("llama-3.1-70b", batch=64, kept_first=k).placement for k in ("weights", "kv"))
    names = [[part.name for part in p.parts] for p in (weights, kv)]
    assert names[0][:2] == ["weights", "KV cache"]
    assert names[1][:2] == ["KV cache", "weights"]
    assert kv.stored_bytes[0][1] == 0.0


def test_what_cannot_be() -> None:
    with pytest.raises(PlanError, match="GB have no room in device, host"):
        _ask("llama-3.1-405b")
    with pytest.raises(InputError, match="kept first must be weights or kv"):
        _ask("llama-3.1-8b", kept_first="experts")
