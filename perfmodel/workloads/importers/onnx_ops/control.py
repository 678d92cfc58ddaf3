"""What depends on the data, and so is reported: branches, loops, and results whose number nobody knows before."""

from __future__ import annotations

from perfmodel.workloads.importers.graphs.tensors import Malformed, NotCounted
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


@lowers("STFT")
def spectrum(c: Call) -> Result:
    """Report Fourier transforms of frames: signal, step, window, length."""
    x, step, window = c.x, (c.numbers(1) or [1])[0], c.get(2)
    length = (c.numbers(3) or [0])[0] or (window.elements if window is not None else 0)
    if x.rank < 2 or step < 1 or not 0 < length <= x.shape[1]:
        raise Malformed(f"takes frames of {length} every {step} of {x.shape[1] if x.rank > 1 else 0} samples")
    bins = length // 2 + 1 if c.flag("onesided", default=True) else length
    raise NotCounted("Fourier transforms are not lowered", (x.shape[0], (x.shape[1] - length) // step + 1, bins, 2))
