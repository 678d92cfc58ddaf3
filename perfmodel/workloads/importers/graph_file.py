"""A graph of any network from a file: ONNX, or records of a PyTorch graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perfmodel.errors import ImportRefused, InputError
from perfmodel.workloads.importers.graphs.coverage import Coverage, Missing, coverage
from perfmodel.workloads.network import Network

__all__ = ["SUFFIXES", "Coverage", "Missing", "coverage", "load_graph"]

SUFFIXES = (".onnx", ".json")
_MENDS = {
    ".pt": "torch", ".pth": "torch", ".pt2": "torch", ".bin": "torch", ".ckpt": "torch", ".safetensors": "torch",
    ".tflite": "tf2onnx", ".pb": "tf2onnx", ".h5": "tf2onnx", ".keras": "tf2onnx", ".mlmodel": "coremltools",
}  # fmt: skip


def load_graph(path: str | Path, sizes: Mapping[str, int] | None = None) -> Network:
    """Return the network of a graph in a file: ``.onnx``, or ``.json`` of the schema ``perfmodel/graph/1``.

    ``sizes`` are those of an ONNX graph's dimensions that only have a name ("height"). :func:`coverage` says how much
    of the result is counted.

    Errors: :class:`InputError`, :class:`SpecError` and :class:`ImportRefused`, with the file, the node and the mend.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        from perfmodel.workloads.importers.onnx_graph import load_onnx

        return load_onnx(path, sizes)
    if suffix == ".json":
        from perfmodel.workloads.importers.torch_records import load_records

        if sizes:
            raise InputError(f"{path}: records of a graph have all their sizes; export them again for others")
        return load_records(path)
    raise ImportRefused(f"{path}: graphs are read from files that end in {' or '.join(SUFFIXES)}{_mend(suffix)}")


def _mend(suffix: str) -> str:
    tool = _MENDS.get(suffix)
    if tool == "torch":
        return "; write one with export_records(module, example_inputs, path) or torch.onnx.export"
    return f"; convert it with {tool}" if tool else ""
