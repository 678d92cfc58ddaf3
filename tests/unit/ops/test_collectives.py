"""What one rank sends, by hand."""

from __future__ import annotations

import pytest

from perfmodel.counts import read, vector, write
from perfmodel.ops import AllGather, AllReduce, AllToAll, Collective, ReduceScatter, SendRecv

KINDS: list[type[Collective]] = [AllReduce, AllGather, ReduceScatter, AllToAll, SendRecv]


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.KIND)
def test_one_rank_moves_nothing(kind: type[Collective]) -> None:
    counts = kind(1, 4096).counts()
    assert counts.total_bytes("link") == 0
    assert counts.total_flops() == 0


@pytest.mark.parametrize(
    ("kind", "ranks", "sent"),
    [
        (AllReduce, 2, 1024),  # 2*(1/2)*1024
        (AllReduce, 8, 1792),  # 2*(7/8)*1024
        (AllGather, 4, 768),  # (3/4)*1024
        (ReduceScatter, 4, 768),
        (AllToAll, 8, 896),  # (7/8)*1024
        (SendRecv, 2, 1024),
    ],
)
def test_a_rank_sends(kind: type[Collective], ranks: int, sent: float) -> None:
    counts = kind(ranks, 1024).counts()
    assert counts.bytes == {read("collective", "link"): sent, write("collective", "link"): sent}
    assert counts.total_bytes() == 0, "nothing is counted as main memory"


def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather() -> None:
    whole = AllReduce(6, 3000).sent_bytes()
    assert whole == pytest.approx(ReduceScatter(6, 3000).sent_bytes() + AllGather(6, 3000).sent_bytes())


def test_an_all_reduce_adds() -> None:
    # 512 16-bit elements on 4 ranks: each adds 3 others' parts of its quarter, 128 elements: 384
    assert AllReduce(4, 1024).counts().flops == {vector("reduce"): 384}
    assert AllGather(4, 1024).counts().flops == {}
