"""The registry and the protocol of operators."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

import pytest

from perfmodel.formats import find_format
from perfmodel.ops import OPERATORS, AttentionDecode, Linear, Operator, register


def test_a_second_operator_of_a_kind_is_refused() -> None:
    @dataclass(frozen=True)
    class Another(Operator):
        KIND: ClassVar[str] = "gemm"

    with pytest.raises(ValueError, match="operator 'gemm' is registered twice"):
        register(Another)
    assert OPERATORS["gemm"] is Linear


@pytest.mark.parametrize("kind", OPERATORS)
def test_every_number_is_a_field_with_a_range(kind: str) -> None:
    operator = OPERATORS[kind]
    fields = [f.name for f in dataclasses.fields(operator)]
    assert list(operator.DOMAIN) == fields[: len(operator.DOMAIN)], "numeric fields come first, in the order of DOMAIN"
    assert all(0 <= least <= largest for least, largest in operator.DOMAIN.values())
    assert operator.__doc__


def test_numbers_and_statics_are_all_of_it() -> None:
    op = Linear(1, 2, 3, find_format("fp8"), quantises_input=True)
    assert op.numbers() == {"m": 1, "n": 2, "k": 3}
    assert op.statics() == (Linear, find_format("fp8"), True, 2.0)
    assert {op.statics(): 1}, "statics are a key"


def test_with_other_numbers_the_statics_stay() -> None:
    op = AttentionDecode(1, 2, 4, 2, 8, window=16, dtype="fp8")
    other = op.with_numbers(kv_tokens=99)
    assert (other.numbers()["kv_tokens"], other.numbers()["window"]) == (99, 16)
    assert other.statics() == op.statics()


def test_an_operator_must_say_its_counts() -> None:
    with pytest.raises(TypeError, match="does not say its counts"):
        Operator().counts()
