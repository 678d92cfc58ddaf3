"""The shapes of every operator against the onnx package's own cases of each, with their expected results."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfmodel.errors import PerfmodelError
from perfmodel.workloads.importers.onnx_file import read_onnx
from perfmodel.workloads.importers.onnx_inputs import read_inputs
from perfmodel.workloads.importers.onnx_run import Run

onnx = pytest.importorskip("onnx")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

REFUSED = ("has a dimension of 0", "is sequence, not a tensor", "is optional, not a tensor")


def cases() -> list[Any]:
    """Return the cases, with every input but the first as a stored tensor."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = collect_testcases(None)
    for case in found:
        values = zip(case.model.graph.input, case.data_sets[0][0], strict=False)
        for place, (value, array) in enumerate(values):
            if place and isinstance(array, np.ndarray) and array.dtype != object:
                case.model.graph.initializer.append(onnx.numpy_helper.from_array(array, value.name))
    return found


def test_shapes_of_results(tmp_path: Path) -> None:
    path, wrong, compared = tmp_path / "case.onnx", [], 0
    for case in cases():
        path.write_bytes(case.model.SerializeToString())
        try:
            file = read_onnx(path)
            run = Run(file, read_inputs(file, {}), 1)
            run.drawn()
        except PerfmodelError as error:
            if not any(reason in str(error) for reason in REFUSED):
                wrong.append((case.name, str(error)))
            continue
        for value, expected in zip(case.model.graph.output, case.data_sets[0][1], strict=True):
            shape = run.shapes.get(value.name)
            if shape is None or not isinstance(expected, (np.ndarray, np.generic, float, int)):
                continue
            compared += 1
            if shape != np.shape(expected):
                wrong.append((case.name, value.name, shape, np.shape(expected)))
    assert not wrong
    assert compared > 1500
