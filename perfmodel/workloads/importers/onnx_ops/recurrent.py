"""ONNX's recurrent layers as dense layers over all steps."""

from __future__ import annotations

from perfmodel import ops
from perfmodel.ops.conv import HALF
from perfmodel.workloads.importers.graphs.tensors import Malformed, shape_text
from perfmodel.workloads.importers.onnx_ops.call import Call, Result, lowers

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


@lowers("LSTM", "GRU", "RNN")
def recurrent(c: Call) -> Result:
    """Lower a recurrent layer: input, weights, recurrent weights, bias, lengths, first states, peepholes.

    It becomes two dense layers over all steps, the input's and the recurrence's, and its gates. Omits: that the
    recurrence reads its weights again in every step, one after the other.
    """
    x, weight, again, bias = c.x, c.need(1), c.need(2), c.get(3)
    gates = _GATES[c.op]
    if x.rank != 3 or weight.rank != 3 or again.rank != 3:
        raise Malformed("needs an input and weights of three dimensions")
    directions, width, features = weight.shape
    hidden = again.shape[2]
    if width != gates * hidden or again.shape[:2] != weight.shape[:2] or x.shape[2] != features:
        raise Malformed(
            f"has weights {shape_text(weight.shape)} and {shape_text(again.shape)} for {shape_text(x.shape)}"
        )
    batch_first = c.flag("layout")
    batch, steps = x.shape[:2] if batch_first else (x.shape[1], x.shape[0])
    rows, shape = batch * steps, (steps, directions, batch, hidden)
    if batch_first:
        shape = (batch, steps, directions, hidden)
    inside = (*shape[:-1], width)
    projected = c.write.node(
        ops.Linear(rows, directions * width, features, HALF), (x, weight), inside, weights=(weight,)
    )
    op = ops.Linear(rows * directions, width, hidden, HALF)
    states = c.write.node(op, (projected, again, bias, *c.inputs[5:8]), inside, weights=(again, bias, c.get(7)))
    y = c.write.node(
        ops.GatedActivation(rows * directions, width), (states,), shape, kind=c.op.lower()
    )  # fmt: skip
    last = (batch, directions, hidden) if batch_first else (directions, batch, hidden)
    return [y, *(c.write.view(y, last) for _ in range(1, c.outputs))]
