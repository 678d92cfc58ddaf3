"""Numbers and words at the edge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.arguments import LARGEST_COUNT, parse_axis, truth, whole
from perfmodel.errors import InputError


@pytest.mark.parametrize(
    ("given_", "found"), [(4, 4), (4.0, 4), ("4", 4), ("4.0", 4), (" 7 ", 7), ("1e3", 1000), (10**12, 10**12)]
)
def test_whole_numbers(given_: Any, found: int) -> None:
    result = whole("batch", given_)
    assert result == found
    assert type(result) is int


@pytest.mark.parametrize(
    "wrong",
    [
        0,
        -1,
        1.5,
        "four",
        "",
        None,
        [],
        float("nan"),
        float("inf"),
        "1e400",
        LARGEST_COUNT + 1,
        pytest.param(10**400, id="10**400"),
    ],
)
def test_other_numbers_are_refused_by_name(wrong: Any) -> None:
    with pytest.raises(InputError, match="batch must be"):
        whole("batch", wrong)


def test_the_least_is_the_callers() -> None:
    assert whole("window", 0, least=0) == 0
    with pytest.raises(InputError, match="tp must be at least 2"):
        whole("tp", 1, least=2)


@pytest.mark.parametrize("yes", [True, "true", "TRUE", "1", "1.0", 1, 1.0, "yes", " Yes "])
def test_true(yes: Any) -> None:
    assert truth("static", yes) is True


@pytest.mark.parametrize("no", [False, "false", "False", "0", "0.0", 0, 0.0, "no", ""])
def test_false(no: Any) -> None:
    assert truth("static", no) is False


@pytest.mark.parametrize("wrong", ["maybe", 2, None, "truee"])
def test_neither(wrong: Any) -> None:
    with pytest.raises(InputError, match="static must be true or false, not"):
        truth("static", wrong)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("5", [5]),
        ("1,2,4", [1, 2, 4]),
        (" 1, 8 ", [1, 8]),
        ("1:512:x2", [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]),
        ("1:500:x2", [1, 2, 4, 8, 16, 32, 64, 128, 256]),
        ("1:100:*10", [1, 10, 100]),
        ("128:512:128", [128, 256, 384, 512]),
        ("1:9:+2", [1, 3, 5, 7, 9]),
        ("1:9:3", [1, 4, 7]),
        ("3:3:1", [3]),
        ("7,1:4:x2", [7, 1, 2, 4]),
    ],
)
def test_axes(text: str, values: list[int]) -> None:
    assert parse_axis("batch", text) == values


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("", "batch must be a whole number"),
        ("1,,2", "batch must be a whole number"),
        ("0:4:1", "batch must be at least 1"),
        ("1:4", "is not start:stop:step"),
        ("1:2:3:4", "is not start:stop:step"),
        ("8:4:1", "ends before it starts"),
        ("1:4:x1", "batch must be at least 2"),
        ("1:4:0", "batch must be at least 1"),
        ("1:1000000000:1", "more than a million values"),
        ("a:b:c", "batch must be a whole number"),
    ],
)
def test_axes_that_cannot_be(wrong: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        parse_axis("batch", wrong)


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(1, 50))
def test_a_stepped_axis_is_pythons_range(start: int, length: int, step: int) -> None:
    assert parse_axis("n", f"{start}:{start + length}:{step}") == list(range(start, start + length + 1, step))
