"""An ONNX file as a network of one sample."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perfmodel.errors import SpecError
from perfmodel.workloads.importers.graphs.attention_pattern import with_attention
from perfmodel.workloads.importers.graphs.batch import Drawn, nothing_known, per_sample
from perfmodel.workloads.importers.graphs.tensors import plain_name
from perfmodel.workloads.importers.onnx_file import read_onnx
from perfmodel.workloads.importers.onnx_inputs import read_inputs
from perfmodel.workloads.network import Network


def load_onnx(path: str | Path, sizes: Mapping[str, int] | None = None) -> Network:
    """Return the network of an ONNX file, named by the file; ``sizes`` are those of dimensions that only have a name.

    The first dimension of the inputs is the batch, and is divided out. Parameters are what nodes read of the stored
    tensors: all weights of layers, and float tensors of more than one number elsewhere, learned or not. Nodes that are
    not known are in ``unsupported``, and stand in the network as the writing of their results where its shape is known.

    Errors: :class:`InputError` for sizes that are missing or not there to be given; :class:`SpecError` for a file that
    is damaged or makes no sense; :class:`ImportRefused` for inputs that are no tensors.
    """
    from perfmodel.workloads.importers.onnx_run import Run  # numpy, which not every answer needs

    file = read_onnx(path)
    inputs = read_inputs(file, sizes or {})
    run = Run(file, inputs, 1)
    first = with_attention(run.drawn())
    if not first.drafts:
        raise nothing_known(str(file.path), first)
    notes: list[str] = []
    second: Drawn | None = None
    try:
        second = with_attention(Run(file, inputs, 2, run).drawn())
    except SpecError as error:
        place = error.field or "a node"
        notes.append(f"its batch is written into the graph ({place}): every operator is taken to grow with the batch")
    return per_sample(
        plain_name(file.path.stem), "onnx", first, inputs.batch, second, source=str(file.path), spec_hash=file.hash,
        path=str(file.path), notes=notes,
    )  # fmt: skip
