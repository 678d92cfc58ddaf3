"""What the search through each option found, kept on disk until the whole search is done: who asks again goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from perfmodel.cluster import Mapper, PartStore, keep_all, spread
from perfmodel.cluster.parts import Made
from perfmodel.errors import PlanError
from perfmodel.plan.parallelism import Plan
from perfmodel.search.choose import Row
from perfmodel.search.options import Found, Option
from perfmodel.search.pools import Pools
from perfmodel.serving.scenario import Pool

Search = Callable[[Option], Found]


@dataclass(frozen=True)
class _Making:
    """What a worker does with an option: the part that is kept of it."""

    search: Search

    def __call__(self, option: Option) -> Made:
        return Made(json.dumps(packed(self.search(option))).encode())


@contextmanager
def keeping(out: str, question: Mapping[str, Any], scheduler: str) -> Iterator[Mapper]:
    """Yield what maps a search over options, on the workers of a scheduler (empty: here).

    With ``out`` what each option found is kept in ``out.parts`` as soon as it is there, until all is done; ``question``
    (plain values) tells such parts from those of another search.
    """
    with spread(scheduler) as mapper:
        if not out or out == "-":
            yield mapper
            return
        store = PartStore(f"{Path(out).expanduser()}.parts", question, "json")

        def over(search: Search, options: Sequence[Option]) -> Iterator[tuple[int, Found]]:
            keep_all(store, _Making(search), options, mapper, [1] * len(options))
            for place in range(len(options)):
                yield place, unpacked(json.loads(store.path(place).read_text(encoding="utf-8")))

        try:
            yield over
        except PlanError:  # all was searched, and nothing found
            store.remove()
            raise
        store.remove()


def packed(found: Found) -> dict[str, Any]:
    """Return what was found as plain values; numbers keep every bit."""
    rows = [{**row, "pools": asdict(row["pools"])} if "pools" in row else row for row in found.rows]
    return {**vars(found), "rows": rows}


def unpacked(kept: Mapping[str, Any]) -> Found:
    """Return what :func:`packed` was given."""
    found = Found(**kept)
    return replace(found, rows=[_row(row) for row in found.rows])


def _row(row: Row) -> Row:
    if "pools" not in row:
        return row
    pools: dict[str, Any] = dict(row["pools"])
    for name in _POOLS:
        pools[name] = Pool(pools[name]["workers"], Plan(**pools[name]["plan"]))
    return {**row, "pools": Pools(**pools)}


_POOLS = ("prefill", "decode")
