"""What depends on the data, and so is reported: branches, loops, and results whose number nobody knows before."""

from __future__ import annotations

from perfmodel.workloads.importers.graphs.tensors import NotCounted
from perfmodel.workloads.importers.onnx_ops.call import Call, Result, lowers


@lowers("If")
def branch(c: Call) -> Result:
    """Report a branch whose condition is not known from shapes."""
    raise NotCounted("which branch runs depends on the data")


@lowers("Loop", "Scan", "SequenceMap")
def loop(c: Call) -> Result:
    """Report a loop."""
    raise NotCounted("its body is not followed")


@lowers("NonZero", "NonMaxSuppression", "Unique")
def found(c: Call) -> Result:
    """Report a search."""
    raise NotCounted("the number of its results depends on the data")
