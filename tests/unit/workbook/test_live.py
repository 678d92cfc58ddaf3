from __future__ import annotations

import io
import re
import zipfile
from dataclasses import replace

import pytest

from perfmodel.workbook.book import live_workbook, model_of
from tests.unit.workbook.cases import (
    CONVOLUTIONS,
    DECODE,
    EDGE,
    EXPERTS,
    PIPELINE,
    SERVED,
    SHARDED,
    STAGES,
    Case,
    kernel_sheets,
    worst_difference,
)
from tests.unit.workbook.recalculated import Recalculated

pytest.importorskip("xlsxwriter")
pytest.importorskip("openpyxl")


def _parts(data: bytes) -> dict[str, str]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


@pytest.mark.parametrize("case", [SERVED, EXPERTS, STAGES, DECODE], ids=lambda case: f"{case.model} on {case.device}")
def test_formulas_with_changed_inputs_are_python(case: Case) -> None:
    data = live_workbook(case.asked())
    assert len(data) < 1_000_000
    found = Recalculated(data, case.cells())
    names = [name for name in ("summary", "prefill", "decode", "sweep") if name in found.book.sheetnames]
    assert worst_difference({name: found.rows(name) for name in names}, case) < 1e-9
    formulas = [cell.value for sheet in found.book for row in sheet.iter_rows() for cell in row
                if isinstance(cell.value, str) and cell.value.startswith("=")]  # fmt: skip
    assert len(formulas) > 1000
    assert max(map(len, formulas)) < 1000


@pytest.mark.parametrize("case", [CONVOLUTIONS, EDGE], ids=lambda case: f"{case.model} on {case.device}")
def test_a_networks_formulas_with_changed_inputs_are_python(case: Case) -> None:
    case = replace(case, model="resnet18")  # LibreOffice does the larger ones
    found = Recalculated(live_workbook(case.asked()), case.cells())
    names = ["summary", *kernel_sheets(found.book.sheetnames), "sweep"]
    assert worst_difference({name: found.rows(name) for name in names}, case) < 1e-9
    formulas = [cell.value for row in found.book["kernels"].iter_rows() for cell in row
                if isinstance(cell.value, str) and cell.value.startswith("=")]  # fmt: skip
    assert len(formulas) > 100


def test_each_network_of_a_pipeline_has_a_sheet() -> None:
    asked = PIPELINE.asked()
    model = model_of(asked)
    assert len(kernel_sheets(phase.name for phase in model.phases)) == len(asked.report()["stages"]) > 1
    assert {"batch", "memory_main_bandwidth", "power_limit"} <= set(model.inputs)
    assert len({phase.name for phase in model.phases}) == len(model.phases)
    assert all(len(phase.name) <= 31 for phase in model.phases)


def test_cached_values_are_those_of_the_question() -> None:
    import openpyxl

    asked = SERVED.asked()
    book = openpyxl.load_workbook(io.BytesIO(live_workbook(asked)), data_only=True)
    told = {row[0].value: row[2].value for row in book["summary"].iter_rows(min_row=4) if row[0].value}
    report = asked.report()
    assert told["tpot_s"] == pytest.approx(report["tpot_s"]["expected"], rel=1e-12)
    assert told["memory.kv_bytes"] == report["memory"]["kv_bytes"]
    assert told["fits"] is True
    sixteen = next(row for row in book["sweep"].iter_rows(min_row=4) if row[0].value == 16)
    at_sixteen = replace(SERVED, request={}, changes={}).answered(batch=16)
    assert sixteen[1].value == pytest.approx(at_sixteen["ttft_s"]["expected"], rel=1e-12)


def test_every_input_is_named_has_a_meaning_and_a_source() -> None:
    import openpyxl

    book = openpyxl.load_workbook(io.BytesIO(live_workbook(SHARDED.asked())))
    formulas = " ".join(
        cell.value for sheet in book for row in sheet.iter_rows() for cell in row
        if isinstance(cell.value, str) and cell.value.startswith("=")
    )  # fmt: skip
    used = set(re.findall(r"[a-z]\w+", formulas))
    for name, defined in book.defined_names.items():
        row = int(defined.attr_text.rpartition("$")[2])
        words = [cell.value for cell in book["inputs"][row]]
        assert words[0] == name
        assert name in used
        assert all(words[2:5]), name
    assert {"batch", "memory_main_bandwidth", "links_scale_up_bandwidth", "usd_per_device_hour"} <= set(
        book.defined_names
    )


def test_two_workbooks_are_the_same_bytes() -> None:
    assert live_workbook(DECODE.asked()) == live_workbook(DECODE.asked())


def test_a_hostile_name_stays_a_text() -> None:
    asked = DECODE.asked()
    model = replace(asked.model, name="=cmd|' /C calc'!A0")
    setup = replace(asked.setup, decode=replace(asked.setup.decode, model=model))
    parts = _parts(live_workbook(replace(asked, setup=setup)))
    assert "cmd" in parts["xl/sharedStrings.xml"]
    sheets = [text for name, text in parts.items() if name.startswith("xl/worksheets/")]
    assert not any("cmd" in text for text in sheets)
    assert 'quotePrefix="1"' in parts["xl/styles.xml"]
