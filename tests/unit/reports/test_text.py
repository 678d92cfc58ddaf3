from __future__ import annotations

import pytest

from perfmodel.reports.text import listed, percent, plain, seconds, size


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5e-5, "15.0 µs"), (0.011, "11.0 ms"), (0.1, "100 ms"), (2.15, "2.15 s"), (1234.0, "1230 s"), (None, "-")],
)
def test_seconds(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_unknown_is_a_dash() -> None:
    assert [size(None), plain(float("nan")), percent("x"), seconds(float("inf"))] == ["-"] * 4


def test_numbers() -> None:
    assert [size(80e9), plain(131072), plain(0.25), plain(True)] == ["80 GB", "131,072", "0.25", "-"]
    assert [percent(share) for share in (0.0, 0.0004, 0.004, 0.0996, 0.5)] == ["0 %", "<0.1 %", "0.4 %", "10 %", "50 %"]


def test_lists() -> None:
    assert [listed([]), listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
