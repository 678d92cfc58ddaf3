"""Early exit: which layers are skipped, and by how many."""

from __future__ import annotations

import pytest

from perfmodel.errors import InputError
from perfmodel.plan.layout import step_operators
from perfmodel.plan.memory import weights_bytes_per_device
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import choose_precisions
from perfmodel.plan.step_shape import StepShape
from perfmodel.workloads.exits import with_exit
from perfmodel.workloads.library import load_model

LLAMA = load_model("llama-3.1-8b")
PEAKS = frozenset({"bfloat16"})


def test_layers_behind_the_exit_run_for_those_that_stay() -> None:
    model = with_exit(LLAMA, 12, 0.4)
    assert [(g.count, g.share, g.exits) for g in model.layers] == [(11, 1.0, False), (1, 1.0, True), (20, 0.6, False)]
    precisions = choose_precisions(model, PEAKS)
    runs: dict[str, float] = {}
    for step in step_operators(model, Plan(), precisions, StepShape(decodes=1, decode_context=100)):
        runs[step.name] = runs.get(step.name, 0.0) + step.repeat
    assert runs["qkv_proj"] == pytest.approx(12 + 20 * 0.6)
    assert runs["exit_head"] == 1.0


def test_weights_stay_and_prompts_run_all() -> None:
    model = with_exit(LLAMA, 12, 0.4)
    precisions = choose_precisions(LLAMA, PEAKS)
    assert weights_bytes_per_device(model, Plan(), precisions) == weights_bytes_per_device(LLAMA, Plan(), precisions)
    shape = StepShape(prefills=1, new_tokens=100, prefill_context=100)
    steps = [s for s in step_operators(model, Plan(), precisions, shape) if s.name == "qkv_proj"]
    assert sum(s.repeat for s in steps) == 32
    assert {s.operator.m for s in steps} == {100}


def test_kinds_of_layers_are_cut_in_proportion() -> None:
    model = load_model("gemma-3-27b")
    leaving = with_exit(model, 31, 0.5)
    assert leaving.layer_count == model.layer_count
    early = sum(g.count for g in leaving.layers if g.share == 1.0)
    assert abs(early - 31) <= 1


@pytest.mark.parametrize(("layer", "share"), [(0, 0.5), (32, 0.5), (12, 1.5)])
def test_what_cannot_be(layer: int, share: float) -> None:
    with pytest.raises(InputError, match=r"exit lies|between 0 and 1"):
        with_exit(LLAMA, layer, share)
