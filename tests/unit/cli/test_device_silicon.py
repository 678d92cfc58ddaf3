"""``device area`` and ``device energy`` as commands."""

from __future__ import annotations

import json

import pytest

from perfmodel.cli import run


@pytest.mark.parametrize("command", ["area", "energy"])
def test_objects_and_tables(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["device", command, "h100-sxm", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["device"] == "h100-sxm"
    if command == "area":
        parts = ("matrix_mm2", "vector_mm2", "sram_mm2", "interface_mm2")
        assert sum(found[name] for name in parts) == pytest.approx(found["modelled_mm2"])
        assert found["modelled_mm2_p10"] < found["modelled_mm2"] < found["modelled_mm2_p90"]
    else:
        assert found["pj_per_flop"]["fp8"] == pytest.approx(found["pj_per_flop"]["bfloat16"] / 2, rel=1e-3)
        assert found["pj_per_flop_arithmetic"]["bfloat16"] < found["pj_per_flop"]["bfloat16"]
    assert run(["device", command, "h100-sxm"]) == 0
    assert "h100-sxm" in capsys.readouterr().out


def test_what_a_file_must_state(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["device", "energy", "hbm2-pim"]) == 2
    assert "add 'power'" in capsys.readouterr().err
    assert run(["device", "area", "upmem"]) == 2
    assert "add chip.process" in capsys.readouterr().err
