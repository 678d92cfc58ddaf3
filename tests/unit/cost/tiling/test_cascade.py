"""Passes of Einsum cascades: those that are known of attention and of norms, and their cost by hand."""

from __future__ import annotations

import pytest

from perfmodel.cost.tiling.cascade import CASCADES, Passes, parse_cascade, passes_over
from perfmodel.errors import InputError

SIZES = {"m": 1000, "p": 64, "e": 32, "f": 16, "d": 4096}


def _of(name: str, rank: str, tile: int = 1) -> Passes:
    return passes_over(parse_cascade(CASCADES[name]), rank, SIZES, tile)


@pytest.mark.parametrize(
    ("name", "rank", "passes"),
    [
        ("attention-3-pass", "m", 3), ("attention-2-pass", "m", 2), ("attention-1-pass", "m", 1),
        ("layernorm", "d", 3), ("layernorm-moments", "d", 2), ("rmsnorm", "d", 2),
        ("attention-3-pass", "e", 1),  # what reads the scores lacks e
    ],
)  # fmt: skip
def test_passes(name: str, rank: str, passes: int) -> None:
    assert _of(name, rank).passes == passes


def test_what_softmax_holds_between_its_passes() -> None:
    found = _of("attention-3-pass", "m", tile=4)
    assert [(f.name, f.made_in_pass, f.passes) for f in found.fibers] == [("QK", 1, (1, 2)), ("SN", 2, (2, 3))]
    assert found.buffer_words == 4 * 1000  # a score gives its place to its exponential
    assert found.refetched_words == 2 * (2 * 1000 * 64)  # each written and read once
    assert _of("attention-1-pass", "m").buffer_words == 0


def test_an_input_that_is_read_again() -> None:
    found = _of("rmsnorm", "d")
    assert found.fibers[0].is_input
    assert (found.buffer_words, found.refetched_words) == (4096, 4096 * 64)


def test_own_cascades() -> None:
    text = """
        # the mean of squares of what is left of the mean
        A[p] = mean(X[d,p])
        B[p] = mean((X[d,p] - A[p]) * (X[d,p] - A[p]))
    """
    assert passes_over(parse_cascade(text), "d", SIZES).passes == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A[p] mean(X[d,p])", "line 1 of the cascade is not"),
        ("\nA[p] = 3", "line 2 of the cascade is not"),
        ("# nothing", "the cascade has no line"),
    ],
)
def test_texts_that_are_none(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_cascade(text)


def test_ranks_that_are_not_there() -> None:
    cascade = parse_cascade(CASCADES["rmsnorm"])
    with pytest.raises(InputError, match="no rank 'q'"):
        passes_over(cascade, "q", SIZES)
    with pytest.raises(InputError, match="no extent is given for rank p: write p=1024"):
        passes_over(cascade, "d", {"d": 8})
