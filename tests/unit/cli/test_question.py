"""From words to the arguments of an estimate."""

from __future__ import annotations

import pytest

from perfmodel.cli.groups import Arithmetic, Pools
from perfmodel.cli.question import pools
from perfmodel.errors import InputError
from perfmodel.plan.parallelism import Plan
from perfmodel.serving.scenario import Pool


def test_empty_words_are_not_stated() -> None:
    found = Arithmetic().arguments() | Pools().arguments()
    assert (found["precision"], found["moe_precision"], found["kv_precision"], found["mode"]) == (
        None,
        None,
        None,
        "agg",
    )
    assert Arithmetic(kv="fp8").arguments()["kv_precision"] == "fp8"


def test_no_pool_words_no_pools() -> None:
    assert pools("", {"prefill_workers": "", "decode_tp": ""}) == {}


def test_a_pool_implies_disagg_and_counts_default_to_one() -> None:
    found = pools("", {"prefill_workers": "2", "prefill_tp": "4", "decode_ep": "8", "decode_moe_tp": ""})
    assert found == {
        "mode": "disagg",
        "prefill_pool": Pool(2, Plan(tp=4)),
        "decode_pool": Pool(1, Plan(ep=8)),
    }


def test_a_stated_moe_tp_is_kept() -> None:
    assert pools("disagg", {"decode_moe_tp": "1"})["decode_pool"].plan.moe_tp == 1


def test_pools_need_their_mode() -> None:
    with pytest.raises(InputError, match="--decode-tp needs --mode disagg"):
        pools("agg", {"decode_tp": "2"})


@pytest.mark.parametrize("word", ["0", "two", "1.5"])
def test_bad_counts_name_the_option(word: str) -> None:
    with pytest.raises(InputError, match="--prefill-workers"):
        pools("", {"prefill_workers": word})
