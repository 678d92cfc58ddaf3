"""Units by hand: what is read, what is refused and why, and what is shown."""

from __future__ import annotations

import math

import pytest

from perfmodel.errors import InputError
from perfmodel.units import DIMENSIONS, check_quantity, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("3.35 TB/s", "bytes_per_s", 3.35e12),
        ("3.35TB/s", "bytes_per_s", 3.35e12),
        ("80 GB", "bytes", 80e9),
        ("80 GiB", "bytes", 85899345920.0),
        ("1 kB", "bytes", 1000.0),
        ("1 KiB", "bytes", 1024.0),
        ("400 Gbit/s", "bytes_per_s", 50e9),
        ("8 Mibit", "bytes", 1048576.0),
        ("989.4 TFLOP/s", "flops_per_s", 989.4e12),
        ("1979 TOP/s", "flops_per_s", 1979e12),
        ("2 GFLOP", "flops", 2e9),
        ("1830 MHz", "hertz", 1.83e9),
        ("12.4 ms", "seconds", 0.0124),
        ("3 us", "seconds", 3e-6),
        ("3 µs", "seconds", 3e-6),
        ("2 h", "seconds", 7200.0),
        ("700 W", "watts", 700.0),
        ("1 kWh", "joules", 3.6e6),
        ("1.54 pJ/FLOP", "joules_per_flop", 1.54e-12),
        ("141 pJ/B", "joules_per_byte", 141e-12),
        ("4 pJ/bit", "joules_per_byte", 32e-12),
        ("2.5 USD/h", "usd_per_hour", 2.5),
        ("1999 USD", "usd", 1999.0),
        ("4 nm", "metres", 4e-9),
        ("814 mm2", "square_metres", 814e-6),
        ("132", "count", 132.0),
        ("1e9 B", "bytes", 1e9),
        ("1.5e-3 s", "seconds", 1.5e-3),
        ("0 W", "watts", 0.0),
    ],
)
def test_a_quantity_is_read_to_si(text: str, dimension: str, value: float) -> None:
    assert parse_quantity(text, dimension) == pytest.approx(value, rel=1e-15)


def test_decimal_prefixes_give_the_nearest_float() -> None:
    assert parse_quantity("3.35 TB/s", "bytes_per_s") == 3350000000000.0
    assert parse_quantity("0.1 us", "seconds") == 1e-7


@pytest.mark.parametrize(
    ("text", "dimension", "reason"),
    [
        ("989 TFLOPS", "flops_per_s", "write TFLOP/s"),
        ("1979 TOPS", "flops_per_s", "write TOP/s"),
        ("3.35 TBps", "bytes_per_s", "write TB/s or Tbit/s"),
        ("400 Gbps", "bytes_per_s", "write GB/s or Gbit/s"),
        ("400 Gb/s", "bytes_per_s", "write Gbit/s or GB/s"),
        ("80 Gb", "bytes", "may be bits or bytes"),
        ("5 KB", "bytes", "write kB (1000 B) or KiB (1024 B)"),
        ("700", "watts", "has no unit"),
        ("80 GB/s", "bytes", "is in B/s, expected B"),
        ("1978.9 TB/s", "flops_per_s", "is in B/s, expected FLOP/s"),
        ("80 GB", "count", "expected a bare number"),
        ("80 gb/s", "bytes_per_s", "did you mean 'GB/s'"),
        ("3 sec", "seconds", "write s or h"),
        ("2 $/h", "usd_per_hour", "write USD"),
        ("-3 GB", "bytes", "is negative"),
        ("1e400 GB", "bytes", "not a finite number"),
        ("nan GB", "bytes", "is not a number"),
        ("inf W", "watts", "is not a number"),
        ("0 GB", "bytes", "is zero"),
        ("fast", "bytes_per_s", "is not a number"),
        ("", "bytes", "is not a number"),
        ("1 mHz", "hertz", "unknown unit"),
    ],
)
def test_what_is_ambiguous_or_wrong_is_refused_with_the_mend(text: str, dimension: str, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_quantity(text, dimension)
    assert reason in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 0.0])
def test_a_float_that_cannot_be_a_capacity_is_refused(value: float) -> None:
    with pytest.raises(InputError):
        check_quantity(value, "bytes")


def test_an_unknown_dimension_names_the_nearest() -> None:
    with pytest.raises(InputError, match="bytes_per_s"):
        parse_quantity("1 B", "byte_per_s")


@pytest.mark.parametrize(
    ("value", "dimension", "text"),
    [
        (3.35e12, "bytes_per_s", "3.35 TB/s"),
        (0.0124, "seconds", "12.4 ms"),
        (67.1e9, "bytes", "67.1 GB"),
        (999.9e9, "bytes", "1 TB"),
        (999.4e9, "bytes", "999 GB"),
        (989.4e12, "flops_per_s", "989 TFLOP/s"),
        (1.83e9, "hertz", "1.83 GHz"),
        (700.0, "watts", "700 W"),
        (1.54e-12, "joules_per_flop", "1.54 pJ/FLOP"),
        (2.5e3, "joules", "2.5 kJ"),
        (3e-6, "seconds", "3 us"),
        (2e12, "hertz", "2000 GHz"),
        (814e-6, "square_metres", "0.000814 m2"),
        (4e-9, "metres", "4 nm"),
        (12.3, "bytes", "12.3 B"),
        (0.0, "seconds", "0 s"),
        (math.inf, "seconds", "inf s"),
        (6912, "count", "6,912"),
        (2.5, "usd_per_hour", "2.5 USD/h"),
    ],
)
def test_a_quantity_is_shown_with_three_digits(value: float, dimension: str, text: str) -> None:
    assert format_quantity(value, dimension) == text


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_what_is_shown_can_be_read_again(dimension: str) -> None:
    for value in (1.0, 12.5, 250.0):
        assert parse_quantity(format_quantity(value, dimension), dimension) == pytest.approx(value, rel=1e-12)
