"""Routing closed forms against exact cases and a Monte Carlo of the same loads."""

from __future__ import annotations

import numpy as np
import pytest

from perfmodel.ops.routing import Routing, distinct_experts, most_loaded_rank, parse_routing, rank_load


def _draw(rng: np.random.Generator, tokens: int, topk: int, experts: int, ep: int, alpha: float) -> np.ndarray:
    """One draw of whole expert loads from the power law; the rows of the busiest rank's experts."""
    low, high = (1.0, 0.8 * tokens) if tokens * topk > experts else (0.01, 2.0)
    power = 1 - alpha
    x = (low**power + (high**power - low**power) * rng.random(experts)) ** (1 / power)
    counts = np.minimum(np.round(x / x.sum() * tokens * topk), tokens).reshape(ep, -1)
    missing = int(tokens * topk - counts.sum())
    while missing:  # round robin over ranks: the emptiest expert gains a row, or the fullest loses one
        for rank in counts:
            if missing > 0:
                rank[np.argmin(rank)] += 1
            elif missing < 0 and rank.max() > 0:
                rank[np.argmax(rank)] -= 1
            missing -= int(np.sign(missing))
    return counts[np.argmax(counts.sum(axis=1))]


@pytest.mark.parametrize("alpha", [1.01, 1.2])
@pytest.mark.parametrize(
    ("tokens", "topk", "experts", "ep"),
    [(4, 8, 256, 1), (64, 8, 256, 1), (1024, 2, 8, 1), (4096, 8, 128, 1), (256, 8, 256, 8), (8192, 8, 256, 32)],
)
def test_power_law_is_close_to_monte_carlo(tokens: int, topk: int, experts: int, ep: int, alpha: float) -> None:
    rng = np.random.default_rng(7)
    draws = [_draw(rng, tokens, topk, experts, ep, alpha) for _ in range(60)]
    assignments, touched = most_loaded_rank(tokens, topk, experts, ep, Routing("power_law", alpha))
    assert assignments == pytest.approx(np.mean([d.sum() for d in draws]), rel=0.13)
    assert touched == pytest.approx(np.mean([(d > 0).sum() for d in draws]), rel=0.13)


@pytest.mark.parametrize(("tokens", "ep"), [(16, 1), (128, 4), (2048, 8)])
def test_uniform_is_close_to_monte_carlo(tokens: int, ep: int) -> None:
    rng = np.random.default_rng(3)
    experts, topk = 64, 4
    loads, touched = [], []
    for _ in range(60):
        chosen = np.argsort(rng.random((tokens, experts)), axis=1)[:, :topk]
        counts = np.bincount(chosen.ravel(), minlength=experts).reshape(ep, -1)
        busiest = counts[np.argmax(counts.sum(axis=1))]
        loads.append(busiest.sum())
        touched.append((busiest > 0).sum())
    found = most_loaded_rank(tokens, topk, experts, ep, Routing())
    assert found[0] == pytest.approx(np.mean(loads), rel=0.05)
    assert found[1] == pytest.approx(np.mean(touched), rel=0.05)


def test_one_mixtral_token_touches_two_of_eight_and_a_batch_of_64_nearly_all() -> None:
    assert distinct_experts(1, 2, 8) == pytest.approx(2.0)
    for text in ("uniform", "balanced", "power_law_1.2"):
        assert most_loaded_rank(1, 2, 8, 1, parse_routing(text)) == pytest.approx((2.0, 2.0), rel=0.02)
    assert distinct_experts(64, 2, 8) > 7.99


@pytest.mark.parametrize("text", ["uniform", "balanced", "power_law_1.01", "power_law_1.0", "power_law_1.2"])
@pytest.mark.parametrize("tokens", [1, 3, 64, 5000])
def test_one_rank_has_everything_and_more_ranks_have_at_least_their_share(text: str, tokens: int) -> None:
    routing = parse_routing(text)
    assert most_loaded_rank(tokens, 8, 256, 1, routing)[0] == pytest.approx(tokens * 8)
    for ep in (2, 16, 256):
        load = rank_load(tokens, 8, 256, ep, routing)
        assert load.assignments >= tokens * 8 / ep * (1 - 1e-9)
        assert load.assignments <= tokens * min(8, 256 / ep) * (1 + 1e-9)
        assert 0 < load.touched <= load.local * (1 + 1e-9)
        assert sum(count for count, _ in load.groups) == pytest.approx(load.touched)


@pytest.mark.parametrize("text", ["uniform", "balanced", "power_law_1.2"])
def test_arrays_give_what_floats_give(text: str) -> None:
    routing = parse_routing(text)
    tokens, ep = np.array([1.0, 7.0, 64.0, 4096.0]), np.array([1.0, 4.0, 32.0, 128.0])
    together = rank_load(tokens, 8.0, 128.0, ep, routing)
    for i in range(4):
        alone = rank_load(float(tokens[i]), 8.0, 128.0, float(ep[i]), routing)
        assert together.assignments[i] == pytest.approx(alone.assignments, rel=1e-12)
        assert together.touched[i] == pytest.approx(alone.touched, rel=1e-12)
