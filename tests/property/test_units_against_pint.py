"""The closed unit table against pint: random numbers, prefixes and units must agree."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfmodel.units import format_quantity, parse_quantity

pint = pytest.importorskip("pint")

DECIMAL = ["", "k", "M", "G", "T", "P", "E"]
BINARY = ["Ki", "Mi", "Gi", "Ti", "Pi"]
SMALL = ["", "m", "u", "n", "p", "f"]
FAMILIES: list[tuple[str, list[str], str, str]] = [
    ("bytes", DECIMAL + BINARY, "B", "byte"),
    ("bytes", DECIMAL + BINARY, "bit", "byte"),
    ("bytes_per_s", DECIMAL + BINARY, "B/s", "byte/s"),
    ("bytes_per_s", DECIMAL + BINARY, "bit/s", "byte/s"),
    ("flops_per_s", DECIMAL, "FLOP/s", "FLOP/s"),
    ("flops_per_s", DECIMAL, "OP/s", "FLOP/s"),
    ("hertz", ["", "k", "M", "G"], "Hz", "1/s"),
    ("seconds", SMALL, "s", "s"),
    ("watts", ["", "u", "m", "k", "M"], "W", "W"),
    ("joules", [*SMALL, "k", "M"], "J", "J"),
    ("joules", ["", "k", "M"], "Wh", "J"),
    ("joules_per_flop", SMALL, "J/FLOP", "J/FLOP"),
    ("joules_per_byte", SMALL, "J/bit", "J/byte"),
    ("metres", ["", "m", "u", "n"], "m", "m"),
]


@pytest.fixture(scope="module")
def registry() -> Any:
    made = pint.UnitRegistry()
    made.define("FLOP = [operation]")
    made.define("OP = FLOP")
    return made


@settings(max_examples=300, deadline=None)
@given(
    family=st.sampled_from(FAMILIES),
    prefix_index=st.integers(0, 20),
    number=st.decimals(min_value="0.001", max_value="99999", places=3),
)
def test_the_table_agrees_with_pint(
    registry: Any, family: tuple[str, list[str], str, str], prefix_index: int, number: Any
) -> None:
    dimension, prefixes, unit, base = family
    text = f"{number} {prefixes[prefix_index % len(prefixes)]}{unit}"
    expected = registry.Quantity(text).to(base).magnitude
    assert parse_quantity(text, dimension) == pytest.approx(float(expected), rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(family=st.sampled_from(FAMILIES), value=st.floats(min_value=1e-9, max_value=1e19))
def test_a_shown_quantity_reads_back_to_three_digits(family: tuple[str, list[str], str, str], value: float) -> None:
    dimension = family[0]
    assert parse_quantity(format_quantity(value, dimension), dimension) == pytest.approx(value, rel=5.1e-3)
