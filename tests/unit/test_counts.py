"""The algebra of typed counts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from perfmodel.counts import Bytes, Counts, Flops, read, tensor, vector, write

A = Counts({tensor("fp8"): 10.0, vector("softmax"): 3.0}, {read("weight"): 5.0, write("activation"): 2.0})
B = Counts({tensor("fp8"): 1.0, tensor("bfloat16"): 4.0}, {read("weight"): 7.0, write("collective", "link"): 9.0})

_flop_keys = st.sampled_from([tensor("fp8"), tensor("bfloat16"), tensor("fp8", "attention"), vector("softmax")])
_byte_keys = st.sampled_from([read("weight"), read("kv"), write("activation"), write("collective", "link")])
_values = st.integers(0, 1000).map(float)
_counts = st.builds(Counts, st.dictionaries(_flop_keys, _values), st.dictionaries(_byte_keys, _values))


def test_keys_by_name() -> None:
    assert tensor("fp8") == Flops("tensor", "fp8", "matmul")
    assert vector("softmax") == Flops("vector", "float32", "softmax")
    assert read("kv") == Bytes("main", "kv", "read")
    assert write("collective", "link") == Bytes("link", "collective", "write")


def test_a_sum_adds_equal_keys_and_keeps_the_others() -> None:
    both = A + B
    assert both.flops == {tensor("fp8"): 11.0, vector("softmax"): 3.0, tensor("bfloat16"): 4.0}
    assert both.bytes == {read("weight"): 12.0, write("activation"): 2.0, write("collective", "link"): 9.0}
    assert A.flops[tensor("fp8")] == 10.0, "adding changes neither side"


def test_a_multiple_scales_everything() -> None:
    assert (A * 3).flops == {tensor("fp8"): 30.0, vector("softmax"): 9.0}
    assert (3 * A).bytes == {read("weight"): 15.0, write("activation"): 6.0}


def test_filters_keep_what_matches_and_drop_the_other_side() -> None:
    both = A + B
    assert both.filter_flops(engine="tensor").flops == {tensor("fp8"): 11.0, tensor("bfloat16"): 4.0}
    assert both.filter_flops(engine="tensor", dtype="fp8").total_flops() == 11.0
    assert both.filter_flops(engine="tensor").bytes == {}
    assert both.filter_bytes(role="weight").bytes == {read("weight"): 12.0}
    assert both.filter_bytes(direction="write").flops == {}
    assert both.filter_bytes(tier="moon").bytes == {}


def test_groups_and_totals_by_hand() -> None:
    both = A + B
    assert both.group_flops("engine") == {"tensor": 15.0, "vector": 3.0}
    assert both.group_flops("dtype") == {"fp8": 11.0, "float32": 3.0, "bfloat16": 4.0}
    assert both.group_bytes("tier") == {"main": 14.0, "link": 9.0}
    assert both.group_bytes("direction") == {"read": 12.0, "write": 11.0}
    assert both.total_flops() == 18.0
    assert both.total_bytes() == 14.0  # main memory only
    assert both.total_bytes("link") == 9.0


def test_nothing_is_neutral() -> None:
    assert A + Counts() == A
    assert Counts().total_flops() == 0.0
    assert Counts().total_bytes() == 0.0


def test_values_may_be_arrays() -> None:
    grid = Counts({tensor("fp8"): np.array([1.0, 2.0])}) * 2 + Counts({tensor("fp8"): 1.0})
    assert list(grid.total_flops()) == [3.0, 5.0]


@given(_counts, _counts, _counts, st.integers(0, 9))
def test_sums_commute_associate_and_distribute(a: Counts, b: Counts, c: Counts, k: int) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert (a + b) * k == a * k + b * k


@given(_counts, st.sampled_from(["engine", "dtype", "op"]), st.sampled_from(["tier", "role", "direction"]))
def test_groups_add_up_to_the_totals(a: Counts, flops_by: str, bytes_by: str) -> None:
    assert sum(a.group_flops(flops_by).values()) == a.total_flops()
    assert sum(a.group_bytes(bytes_by).values()) == sum(a.bytes.values())
    for name, value in a.group_bytes(bytes_by).items():
        assert sum(a.filter_bytes(**{bytes_by: name}).bytes.values()) == value
