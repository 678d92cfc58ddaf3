"""Integer programs against all their answers, and their silence."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

from perfmodel.programs import Row, minimised

COST = [3.0, 5.0, 4.0]
ROWS = [Row({0: 2.0, 1: 3.0, 2: 1.0}, 7.0, math.inf), Row({0: 1.0, 2: 1.0}, -math.inf, 3.0)]


def test_the_least_of_all_that_keep_the_rows() -> None:
    def kept(x: tuple[int, ...]) -> bool:
        return all(row.least <= sum(f * x[j] for j, f in row.factors.items()) <= row.most for row in ROWS)

    def price(x: tuple[int, ...]) -> float:
        return sum(c * n for c, n in zip(COST, x, strict=True))

    best = min(filter(kept, itertools.product(range(5), repeat=3)), key=price)
    found = minimised(COST, ROWS, upper=[4.0] * 3, whole=3)
    assert found is not None
    assert [round(x) for x in found] == list(best)


def test_a_part_may_be_no_whole_number() -> None:
    found = minimised([1.0, 1.0], [Row({0: 1.0, 1: 1.0}, 1.5, math.inf)], upper=[1.0, math.inf], whole=1)
    assert found is not None
    assert sum(found) == 1.5
    assert found[0] in (0.0, 1.0)


def test_nothing_keeps_the_rows() -> None:
    assert minimised([1.0], [Row({0: 1.0}, 2.0, math.inf)], upper=[1.0], whole=1) is None


def test_standard_output_is_left_alone() -> None:
    program = (
        "import os; from perfmodel.programs import Row, minimised, _silent_stdout\n"
        "print('before')\n"
        "with _silent_stdout(): os.write(1, b'from compiled code')\n"
        "minimised([1.0], [Row({0: 1.0}, 1.0, 1.0)], upper=[1.0], whole=1); print('after')"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "before\nafter\n"
