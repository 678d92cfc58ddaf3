"""``perfmodel simulate`` with what replicas have beside their devices, as a newcomer runs it."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Cli

ONE = ("simulate", "llama-3.1-8b", "--on", "h100-sxm", "--rate", "4", "--requests", "40", "--output", "32")


def answer(cli: Cli, *words: str) -> dict[str, object]:
    found = cli(*ONE, *words, "--json")
    assert found.code == 0, found.err
    return json.loads(found.out)


def test_documents_are_found_and_said(cli: Cli) -> None:
    words = ("--documents", "3", "--shared-prefix", "0.5", "--host", "64GB")
    report = answer(cli, *words)
    assert report["inputs"]["documents"] == 3
    assert report["inputs"]["tiers"][0]["capacity_bytes"] == 64e9
    found = report["prefix_cache"]
    assert found["hit_rate"] > 0.5
    assert found["break_even_bytes_per_s"] > 1e9
    text = cli(*ONE, *words)
    assert "find theirs" in text.out
    assert "GB/s" in text.out


def test_adapters_are_fetched_and_said(cli: Cli) -> None:
    found = answer(cli, "--adapters", "50", "--lora-rank", "8", "--lora-targets", "all")["adapters"]
    assert 0 < found["fetched"] < found["asked"]
    assert "adapters of" in cli(*ONE, "--adapters", "50").out


@pytest.mark.parametrize(
    "words",
    [
        ("--draft", "llama-3.2-1b", "--draft-tokens", "3", "--acceptance", "0.8"),
        ("--block", "8", "--passes", "3"),
        ("--exit", "10=0.7"),
    ],
    ids=lambda words: words[0],
)
def test_ways_to_decode_make_tokens_come_sooner(cli: Cli, words: tuple[str, ...]) -> None:
    alone = ("--in-flight", "1", "--rate", "")
    assert answer(cli, *words, *alone)["tpot_s"]["mean"] < 0.9 * answer(cli, *alone)["tpot_s"]["mean"]


def test_shared_cores_spare_decodes_the_stalls(cli: Cli) -> None:
    long = ("--input", "6000", "--rate", "3")
    shared, first = (answer(cli, "--policy", name, *long)["tbt_s"]["p90"] for name in ("shared", "prompts_first"))
    assert shared < 0.5 * first


def test_swaps_are_said(cli: Cli) -> None:
    full = ("--set", "device.memory.main.capacity=21GB", "--rate", "50", "--output", "300")
    assert "swapped to the host" in cli(*ONE, *full, "--preempt", "swap").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--preempt", "swop"), "swap"),
        (("--policy", "shared", "--prefill-share", "0"), "above 0"),
        (("--draft", "llama-3.2-1b"), "draft_tokens"),
        (("--block", "4", "--passes", "9"), "1 to 4"),
        (("--exit", "40=0.5"), "exit"),
        (("--flash", "2TB"), "SIZE@RATE"),
        (("--adapters", "5", "--lora-targets", "atention"), "attention"),
        (("--link", "fast", "--preempt", "swap"), "32GB/s"),
    ],
)
def test_what_is_wrong_is_said(cli: Cli, words: tuple[str, ...], says: str) -> None:
    found = cli(*ONE, *words)
    assert found.code == 2, found.err
    assert says in found.err
    assert "Traceback" not in found.err
