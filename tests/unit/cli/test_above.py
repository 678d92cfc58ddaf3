"""The commands above replicas, as a newcomer runs them: routing, moves, workflows, cascades, plans at a percentile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Cli

DEPLOYED = ("llama-3.1-8b", "--on", "h100-sxm")
SIMULATE = ("simulate", *DEPLOYED, "--dp", "2", "--rate", "6", "--requests", "60", "--output", "30")
WORKFLOW = ("workflow", "run", "tool-agent", *DEPLOYED, "--rate", "0.5", "--runs", "20")
CASCADE = ("cascade", "llama-3.2-1b", *DEPLOYED, "--escalate", "0.2", "--rate", "10")
PLAN = ("plan", *DEPLOYED, "--gpus", "2", "--rate", "4", "--output", "20", "--tpot", "40ms", "--mode", "agg")


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        ((*SIMULATE, "--balance", "two_choices"), "simulate"),
        ((*SIMULATE, "--migrate", "--urgent", "0.2", "--headroom", "5000"), "simulate"),
        (WORKFLOW, "workflow"),
        (CASCADE, "cascade"),
        ((*PLAN, "--percentile", "p90"), "plan"),
        (("workflow", "list"), "workflows"),
    ],
    ids=["balance", "migrate", "workflow", "cascade", "percentile", "list"],
)
def test_text_and_json(cli: Cli, arguments: tuple[str, ...], schema: str) -> None:
    text = cli(*arguments)
    assert text.code == 0, text.err
    assert text.out.strip()
    found = cli(*arguments, "--json")
    assert found.code == 0
    assert json.loads(found.out)["schema"] == f"perfmodel/{schema}/1"


def test_what_is_said_of_moves_and_classes(cli: Cli) -> None:
    found = cli(*SIMULATE, "--migrate", "--urgent", "0.3").out
    assert "moved to another replica" in found
    assert "urgent: " in found
    answer = json.loads(cli(*SIMULATE, "--migrate", "--urgent", "0.3", "--json").out)
    assert answer["balance"] == "steps"
    assert set(answer["priorities"]) == {"urgent", "others"}


def test_roles_are_deployed(cli: Cli) -> None:
    others = ("--deploy", "embedder=bert-base,on=l4", "--deploy", "reranker=xlm-roberta-large,on=l4,dp=2")
    found = cli("workflow", "run", "rag-models", *DEPLOYED, "--rate", "1", "--runs", "10", *others, "--json")
    assert found.code == 0, found.err
    roles = json.loads(found.out)["roles"]
    assert roles["reranker"]["devices"] == 2
    assert roles["embedder"]["tpot_s"] is None


def test_rows_of_runs_and_of_escalations(cli: Cli, tmp_path: Path) -> None:
    for arguments, rows in ((WORKFLOW, 20), (CASCADE, 21)):
        target = tmp_path / "rows.csv"
        assert cli(*arguments, "--csv", target).code == 0
        assert len(target.read_text(encoding="utf-8").splitlines()) == rows + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*SIMULATE, "--balance", "prefx"), "did you mean 'prefix'"),
        ((*SIMULATE, "--migrate-link", "5GB/s"), "without migrate"),
        (("workflow", "run", "tool-agnt", *DEPLOYED, "--rate", "1"), "tool-agent"),
        (("workflow", "run", "cascade", *DEPLOYED, "--rate", "1"), "--deploy small=MODEL"),
        ((*WORKFLOW, "--deploy", "small"), "ROLE=MODEL"),
        ((*WORKFLOW, "--deploy", "small=llama-3.2-1b,tq=2"), "tq=2"),
        ((*CASCADE, "--share", "1.5"), "between 0 and 1"),
        ((*PLAN, "--percentile", "p95"), "p50, p90, p99"),
        ((*PLAN, "--spread", "1"), "give --percentile"),
    ],
)
def test_errors(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    found = cli(*arguments)
    assert (found.code, found.out) == (2, "")
    assert message in found.err


def test_no_plan_is_exit_code_3(cli: Cli, tmp_path: Path) -> None:
    """In closed form one device does; of requests that arrive at random too few keep the limit."""
    asked = ("plan", *DEPLOYED, "--gpus", "1", "--rate", "6", "--output", "20", "--tpot", "7ms", "--mode", "agg")
    assert cli(*asked, "--margin", "0").code == 0
    target = tmp_path / "plan.html"
    found = cli(*asked, "--margin", "0", "--percentile", "p99", "--html", target)
    assert found.code == 3
    assert "arrive at random" in found.out
    assert "keep all" in target.read_text(encoding="utf-8")
