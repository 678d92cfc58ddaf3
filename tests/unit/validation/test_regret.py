"""What a choice loses, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfmodel.errors import InputError
from perfmodel.validation.regret import Run, choices, output_rate, read_runs, regret_table

GROUP = ("m", "d", "fp8", "1024", "256")


def test_the_rate_by_hand() -> None:
    assert output_rate(10, 101, 1000.0, 10.0, 4) == pytest.approx(10 * 101 / 2.0 / 4)


def test_a_choice_loses_what_the_best_gave_more() -> None:
    # predicted: the second is best within 30 ms; measured: the third would have been
    runs = [Run(10.0, 100.0, 10.0, 100.0), Run(20.0, 150.0, 21.0, 190.0), Run(25.0, 200.0, 40.0, 300.0)]
    found = choices({GROUP: runs}, (30.0,), margin=0.1)
    assert [(one.regret, one.kept, one.candidates) for one in found] == [(0.25, True, 3)]


def test_a_missed_limit_is_a_whole_regret() -> None:
    runs = [Run(10.0, 100.0, 10.0, 100.0), Run(11.0, 90.0, 10.0, 80.0), Run(35.0, 500.0, 26.0, 500.0)]
    assert choices({GROUP: runs}, (30.0,))[0].regret == 1.0
    assert choices({GROUP: runs}, (30.0,), margin=0.2)[0].regret == 0.0
    assert regret_table(choices({GROUP: runs}, (30.0,)))[-1]["missed_percent"] == 100.0


def test_groups_that_leave_no_choice_do_not_count() -> None:
    assert choices({GROUP: [Run(10.0, 100.0, 10.0, 100.0)]}, (30.0,)) == []


def test_a_table_of_runs(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    head = "model,device,precision,input_tokens,output_tokens,batch,mode,tp,measured_ttft_ms,measured_tpot_ms\n"
    question = "llama-3.1-8b,h100-sxm,bfloat16,1000,100,8,agg"
    rows = [f"{question},1,90,8", f"{question},2,60,6", f"{question},3,60,6"]
    path.write_text(head + "\n".join(rows) + "\n")
    runs, reasons = read_runs(path)
    assert [len(members) for members in runs.values()] == [2]
    assert sum(reasons.values()) == 1
    path.write_text("model,device\nllama-3.1-8b,h100-sxm\n")
    with pytest.raises(InputError, match="measured_ttft_ms"):
        read_runs(path)
