"""Strict YAML: the traps of YAML 1.1, and what is refused, with positions."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from perfmodel.errors import SpecError
from perfmodel.specs.yaml_strict import Node, load_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e9", 1e9),
        ("1.0e9", 1e9),
        ("1e-6", 1e-6),
        ("2:4", "2:4"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("010", 10),
        ("0o10", 8),
        ("0x10", 16),
        ("1_000", "1_000"),
        ("2022-10", "2022-10"),
        ("2022-10-01", "2022-10-01"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ('"132"', "132"),
        ("'true'", "true"),
        ("-1", -1),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("3.35 TB/s", "3.35 TB/s"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    found = parse_yaml(f"key: {text}").plain()["key"]
    assert found == value
    assert type(found) is type(value)


def test_positions_of_keys_and_values_are_kept() -> None:
    node = parse_yaml("a: 1\nb:\n  - {c: 2}\n")
    inner = ((node.mapping or {})["b"].items or [])[0]
    c = (inner.mapping or {})["c"]
    assert (c.key_line, c.key_column, c.line, c.column) == (3, 6, 3, 9)


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate key 'a' (first on line 1)"),
        ("a: {b: 1, b: 2}\n", 1, 11, "duplicate key 'b'"),
        ("a: &x 1\nb: *x\n", 1, 4, "anchor '&x'"),
        ("a: !!str 1\n", 1, 4, "tag"),
        ("a: !python/object:os.system {}\n", 1, 4, "tag"),
        ("? [1, 2]\n: 3\n", 1, 3, "a key must be a name"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: [1, 2\n", 2, 1, "is not YAML"),
        ("a: 1\n\tb: 2\n", 2, 1, "is not YAML"),
        ("", 1, 1, "is empty"),
        ("# only a comment\n", 1, 1, "is empty"),
    ],
)
def test_what_is_not_strict_is_refused_where_it_stands(text: str, line: int, column: int, reason: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_yaml(text, "x.yaml")
    assert reason in str(caught.value)
    assert str(caught.value).startswith(f"x.yaml:{line}:{column}: ")


def test_deep_nesting_is_refused_rather_than_recursed() -> None:
    with pytest.raises(SpecError, match="nested deeper"):
        parse_yaml("[" * 200 + "]" * 200)


def test_a_missing_or_binary_file_is_a_spec_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load_yaml(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(SpecError, match="not UTF-8"):
        load_yaml(tmp_path / "binary.yaml")


def test_a_byte_order_mark_and_crlf_are_harmless(tmp_path: Path) -> None:
    (tmp_path / "windows.yaml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: two\r\n")
    assert load_yaml(tmp_path / "windows.yaml").plain() == {"a": 1, "b": "two"}


def test_nodes_of_plain_values_give_them_back() -> None:
    plain = {"a": [1, "x", None], "b": {"c": 2.5}}
    assert Node.of(plain).plain() == plain
