"""What a GGUF file holds: its weights by class of module, counted exactly, and the ggml types that they are in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import ImportRefused, SpecError
from perfmodel.workloads.families.fields import shown
from perfmodel.workloads.importers.gguf_file import GgufFile, TensorInfo, base_name, read_gguf_file

CLASSES = ("attention", "linear", "experts", "embedding", "lm_head", "other")
"""Classes of modules; "linear" are dense feed-forward blocks and shared experts, "other" norms, biases and routers."""

UNCOUNTED = "uncounted"
"""What is no parameter of the model: tables of rotation frequencies, a router's correction, scales of quantised
tensors, and layers that predict further tokens."""

_BLOCK = re.compile(r"blk\.(\d{1,6})\.(.+)")
_MATRICES = {
    "attention": """attn_q attn_k attn_v attn_qkv attn_output
        attn_q_a attn_q_b attn_kv_a_mqa attn_kv_b attn_k_b attn_v_b""",
    "linear": "ffn_gate ffn_up ffn_down ffn_gate_shexp ffn_up_shexp ffn_down_shexp",
    "experts": "ffn_gate_exps ffn_up_exps ffn_down_exps ffn_gate_up_exps",
}
_CLASS_OF = {name: kind for kind, names in _MATRICES.items() for name in names.split()}
_ONE_EXPERT = re.compile(r"ffn_(gate|up|down)\.\d+")
_ENDS = {"token_embd.weight": "embedding", "output.weight": "lm_head"}
_NO_PARAMETERS = re.compile(
    r"(blk\.\d+\.)?(rope_freqs|rope_factors_long|rope_factors_short|attn_rot_embd)\.weight"
    r"|blk\.\d+\.exp_probs_b(\.bias)?|.+\.(input_)?scale"
)


@dataclass(frozen=True)
class ModuleWeights:
    """The weights of a class of modules: exact elements and bytes, and the elements in each ggml type, most first."""

    elements: int
    bytes: int
    types: tuple[tuple[str, int], ...] = ()

    @property
    def bytes_per_weight(self) -> float:
        """Return ``bytes / elements`` (0 where there are none)."""
        return self.bytes / self.elements if self.elements else 0.0


@dataclass(frozen=True)
class GgufModel:
    """The model in a GGUF file: its metadata, and its weights by class of module (:data:`CLASSES`).

    ``uncounted`` are tensors that are no parameters of the model (:data:`UNCOUNTED`).
    """

    file: GgufFile
    architecture: str
    name: str
    modules: Mapping[str, ModuleWeights]
    uncounted: ModuleWeights

    @property
    def path(self) -> Path:
        """Return the file, the first one of a split model."""
        return self.file.path

    @property
    def parameters(self) -> int:
        """Return the elements of all tensors that are parameters of the model."""
        return sum(module.elements for module in self.modules.values())

    @property
    def elements(self) -> int:
        """Return the elements of all tensors of the file."""
        return self.parameters + self.uncounted.elements

    @property
    def bytes(self) -> int:
        """Return the bytes of all tensors of the file, without the padding between them."""
        return sum(module.bytes for module in self.modules.values()) + self.uncounted.bytes

    @property
    def tied_embeddings(self) -> bool:
        """Say whether the output head is the embedding: there is no output.weight."""
        return not self.modules["lm_head"].elements

    def tensor(self, name: str) -> TensorInfo | None:
        """Return a tensor by its name, or None."""
        return next((tensor for tensor in self.file.tensors if tensor.name == name), None)


def read_gguf(path: str | Path) -> GgufModel:
    """Return the model in a GGUF file: architecture, exact counts and types by class of module; no tensor is read.

    Errors: :class:`SpecError` for a damaged file, :class:`ImportRefused` for one that holds no model (an adapter, an
    importance matrix).
    """
    file = read_gguf_file(path)
    kind = _text(file, "general.type", "model")
    if kind != "model":
        raise ImportRefused(f"{file.path}: holds no model but a GGUF of general.type '{kind[:40]}'")
    architecture = _text(file, "general.architecture")
    name = _text(file, "general.name", "") or base_name(file.path)
    first_predicted = _first_predicted(file, architecture)
    sorted_in: dict[str, list[TensorInfo]] = {kind: [] for kind in (*CLASSES, UNCOUNTED)}
    for tensor in file.tensors:
        sorted_in[_class_of(tensor.name, first_predicted)].append(tensor)
    modules = {kind: total_weights(sorted_in[kind]) for kind in CLASSES}
    return GgufModel(file, architecture, name, modules, total_weights(sorted_in[UNCOUNTED]))


def total_weights(tensors: Iterable[TensorInfo]) -> ModuleWeights:
    """Return the sums over tensors."""
    elements = size = 0
    types: dict[str, int] = {}
    for tensor in tensors:
        elements, size = elements + tensor.elements, size + tensor.bytes
        types[tensor.type.name] = types.get(tensor.type.name, 0) + tensor.elements
    return ModuleWeights(elements, size, tuple(sorted(types.items(), key=lambda item: (-item[1], item[0]))))


def merged(*parts: ModuleWeights) -> ModuleWeights:
    """Return several classes as one."""
    types: dict[str, int] = {}
    for part in parts:
        for name, elements in part.types:
            types[name] = types.get(name, 0) + elements
    ordered = tuple(sorted(types.items(), key=lambda item: (-item[1], item[0])))
    return ModuleWeights(sum(part.elements for part in parts), sum(part.bytes for part in parts), ordered)


def _class_of(name: str, first_predicted: int) -> str:
    if name in _ENDS:
        return _ENDS[name]
    block = _BLOCK.fullmatch(name)
    if _NO_PARAMETERS.fullmatch(name) or (block and int(block[1]) >= first_predicted):
        return UNCOUNTED
    if block is None:
        return "other"
    part, _, suffix = block[2].rpartition(".")
    if suffix != "weight":
        return "other"
    return "experts" if _ONE_EXPERT.fullmatch(part) else _CLASS_OF.get(part, "other")


def _first_predicted(file: GgufFile, architecture: str) -> int:
    """Return the first of the last layers that predict further tokens, which no model counts."""
    layers = file.metadata.get(f"{architecture}.block_count")
    more = file.metadata.get(f"{architecture}.nextn_predict_layers")
    return layers - more if isinstance(layers, int) and isinstance(more, int) else 10**9


def _text(file: GgufFile, key: str, default: str | None = None) -> str:
    value: Any = file.metadata.get(key, default)
    if value is None:
        raise SpecError("is missing: this GGUF file holds no model", str(file.path), field=key)
    if not isinstance(value, str):
        raise SpecError(f"must be a text, not {shown(value)}", str(file.path), field=key)
    return value
