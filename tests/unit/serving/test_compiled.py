"""A second question of the same kind comes from a kernel and is the same answer."""

from __future__ import annotations

from typing import Any

import pytest

from perfmodel.devices import load_device
from perfmodel.plan import Plan
from perfmodel.serving.compiled import CompiledAnswers
from perfmodel.serving.scenario import Pool, Question, Setup, prepare
from perfmodel.workloads.library import load_model

POOLS = {"mode": "disagg", "prefill_pool": Pool(1, Plan(tp=2)), "decode_pool": Pool(2, Plan())}


def _setup(model: str, **question: Any) -> Setup:
    return prepare(load_model(model), load_device("h100-sxm"), Question(**question))


@pytest.mark.parametrize(
    ("model", "question"),
    [
        ("llama-3.1-8b", {}),
        ("llama-3.1-8b", {"static": True, "plan": Plan(tp=2)}),
        ("llama-3.1-8b", {"phase": "prefill"}),
        ("llama-3.1-8b", {"phase": "decode"}),
        ("llama-3.1-8b", {"engine": "vllm", **POOLS}),
        ("gpt-oss-20b", {"engine": "sglang"}),
    ],
)
def test_compiled_answers_are_the_plain_ones(model: str, question: dict[str, Any]) -> None:
    setup = _setup(model, **question)
    answers = CompiledAnswers(setup)
    assert answers.answer(1.0, 100.0, 10.0).phases.prefill or answers.setup.question.phase == "decode"
    for numbers in ((1.0, 100.0, 10.0), (48.0, 3000.0, 1.0), (3000.0, 129.0, 300.0)):
        plain, found = setup.answer(*numbers), answers.answer(*numbers)
        assert found.phases.prefill is None, "it came from a kernel"
        for name in ("ttft", "tpot", "e2e"):
            a, b = getattr(plain.phases, name), getattr(found.phases, name)
            assert (a is None) == (b is None)
            if a is not None:
                values = [a.bound, a.expected, a.p10, a.p90]
                assert [b.bound, b.expected, b.p10, b.p90] == pytest.approx(values, rel=1e-9)
        for name in ("requests_per_s", "output_tokens_per_s", "running", "waiting"):
            assert getattr(found.phases, name) == pytest.approx(getattr(plain.phases, name))
        assert found.memory.used_bytes == pytest.approx(plain.memory.used_bytes)
        assert (found.most_running, found.fits, found.devices) == (plain.most_running, bool(plain.fits), plain.devices)
        assert answers.bounds(*numbers) == pytest.approx(setup.bounds(*numbers))
