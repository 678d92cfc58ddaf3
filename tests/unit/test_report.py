"""The object of an estimate: what the command line prints."""

from __future__ import annotations

import perfmodel as pm


def test_a_model_without_a_growing_cache_has_no_longest_context() -> None:
    memory = pm.estimate("falcon-mamba-7b", "h100-sxm").report()["memory"]
    assert memory["longest_context_tokens"] is None
    assert memory["largest_batch"] > 0


def test_the_longest_context_of_what_does_not_fit_is_nothing() -> None:
    memory = pm.estimate("llama-3.1-70b", "l4").report()["memory"]
    assert memory["longest_context_tokens"] == 0
