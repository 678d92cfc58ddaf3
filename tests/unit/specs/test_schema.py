"""Table-driven validation: every fault at once, each where it stands."""

from __future__ import annotations

import pytest

from perfmodel.devices.schema import DEVICE_RULE, SCHEMA
from perfmodel.errors import SpecError
from perfmodel.specs.schema import Block, Quantity, Whole, read_spec
from perfmodel.specs.yaml_strict import parse_yaml

SIX_FAULTS = """\
schema: device/1
name: bad
vendor: nvidia
kind: gpu
architecture: hoper
released: 2022
chip: {cores: 132, clock: 1830 MHz, source: s}
peaks:
  source: s
  tensor:
    fp8: 1978.9 TB/s
    bfloat16: {dnse: 989 TFLOP/s}
memory:
  - {name: HBM3, role: main, capacity: 80, bandwith: 3.35 TB/s, source: s}
power: 700 W
sources:
  s: {title: datasheet, verified: true}
"""

EXPECTED = [
    "bad.yaml:5:15: architecture: must not be 'hoper' - did you mean 'hopper'?",
    "bad.yaml:11:10: peaks.tensor.fp8: '1978.9 TB/s' is in B/s, expected FLOP/s",
    "bad.yaml:12:16: peaks.tensor.bfloat16.dnse: unknown key 'dnse' - did you mean 'dense'?",
    "bad.yaml:14:40: memory[0].capacity: '80' has no unit, expected one such as '80 GB'",
    "bad.yaml:14:44: memory[0].bandwith: unknown key 'bandwith' - did you mean 'bandwidth'?",
    "bad.yaml:15:8: power: has no source: add 'source: <id>' to it or to a block around it",
]


def test_all_faults_of_a_file_are_reported_at_once_in_order() -> None:
    with pytest.raises(SpecError) as caught:
        read_spec(DEVICE_RULE, parse_yaml(SIX_FAULTS), "bad.yaml", SCHEMA)
    lines = str(caught.value).splitlines()
    assert [line for line in lines if line in EXPECTED] == EXPECTED
    assert len(caught.value.faults) == len(lines)
    assert (caught.value.file, caught.value.line, caught.value.field) == ("bad.yaml", 5, "architecture")


def test_a_missing_key_is_named_where_its_block_starts() -> None:
    with pytest.raises(SpecError) as caught:
        read_spec(DEVICE_RULE, parse_yaml(SIX_FAULTS.replace("cores: 132, ", "")), "bad.yaml", SCHEMA)
    assert "bad.yaml:7:7: chip.cores: missing required key 'cores'" in str(caught.value)


def test_a_file_of_another_version_is_refused_at_once() -> None:
    with pytest.raises(SpecError, match="reads 'device/1'"):
        read_spec(DEVICE_RULE, parse_yaml("schema: device/9\nnew: 1\n"), "x.yaml", SCHEMA)


def test_a_file_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(SpecError, match="must be a mapping"):
        read_spec(DEVICE_RULE, parse_yaml("- a\n"), "x.yaml", SCHEMA)


RULE = Block({"power": Quantity("watts"), "cores": Whole()}, {"sources": Block({}, {"a": Block({}), "b": Block({})})})


def read(text: str) -> tuple[dict[str, object], dict[str, str]]:
    return read_spec(RULE, parse_yaml(text + "\nsources: {a: {}, b: {}}\n"), "x.yaml", "any")


def test_a_number_takes_the_innermost_source() -> None:
    values, sources = read("source: a\npower: {value: 7 W, source: b, note: why}\ncores: 3")
    assert (values["power"], values["cores"]) == (7.0, 3)
    assert sources == {"power": "b", "cores": "a"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("source: c\npower: 7 W\ncores: 3", "'c' is not an id under 'sources'"),
        ("source: a\npower: -7 W\ncores: 3", "is negative"),
        ("source: a\npower: .nan\ncores: 3", "is not a number"),
        ("source: a\npower: [7 W]\ncores: 3", "must be a quantity with a unit, not a list"),
        ("source: a\npower: 7 W\ncores: 2.5", "must be a whole number"),
        ("source: a\npower: 7 W\ncores: 0", "must be at least 1"),
        ("source: a\npower: 7 W\ncores: .inf", "must be a whole number"),
        ("source: a\npower: 7 W\ncores: true", "must be a whole number"),
        ("source: a\npower: {value: 7 W, sauce: b}\ncores: 3", "did you mean 'source'"),
    ],
)
def test_numbers_that_cannot_be_are_refused(text: str, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(text)
    assert reason in str(caught.value)
