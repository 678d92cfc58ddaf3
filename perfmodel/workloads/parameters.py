"""How many parameters a language model has, how many bytes they take, and how many a sequence's cache takes."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.formats import find_format
from perfmodel.workloads.caches import CacheRows, cache_rows, kv_elements, states
from perfmodel.workloads.modules import Part, expert_elements, layer_parts
from perfmodel.workloads.spec import LanguageModel, LayerGroup, MemoryFfn, MoeFfn, Quantisation

__all__ = [
    "ParameterRow",
    "active_parameters_per_token",
    "embedding_parameters",
    "kv_bytes_per_token",
    "kv_elements",
    "parameter_rows",
    "parameters",
    "parameters_text",
    "state_bytes_per_sequence",
    "weights_bytes",
]


@dataclass(frozen=True)
class ParameterRow:
    """The parameters of one module: ``total = each * layers`` elements, stored as ``format`` in ``bytes`` bytes.

    ``group`` is the index of the layer group that the module belongs to, or None outside the layers.
    """

    module: str
    format: str
    each: int
    layers: int
    bytes: float
    group: int | None = None

    @property
    def total(self) -> int:
        """Return the module's elements in all layers together."""
        return self.each * self.layers


def parameter_rows(model: LanguageModel) -> list[ParameterRow]:
    """Return the parameters module by module: embedding, encoder, each layer group's, final norm, towers, output head.

    ``bytes = elements * (bits/8 + scale_bytes/block)`` of the module's stored format; the rows sum to
    :func:`parameters` and :func:`weights_bytes`. Tied embeddings have no row for the output head.
    """
    stored = model.quantisation
    rows = [_row(stored, ("embedding", "base", embedding_parameters(model)), 1)]
    rows.append(_row(stored, ("embedding_proj", "linear", model.embedding_width * model.hidden), 1))
    rows += _encoder_rows(model)
    for index, group in enumerate(model.layers):
        rows += [_row(stored, part, group.count, index) for part in layer_parts(group, model.hidden)]
    rows.append(_row(stored, ("final_norm", "base", model.final_norms * model.hidden), 1))
    rows += [_row(stored, (name, "base", each), 1) for name, each in model.extra]
    rows += [_row(stored, (tower.name, "base", tower.parameters), 1) for tower in model.towers]
    rows += [_row(stored, ("head", "base", k * n), 1) for k, n in model.head]
    if model.has_head and not model.tied_embeddings:
        rows.append(_row(stored, ("lm_head", "lm_head", embedding_parameters(model)), 1))
    if model.lm_head_bias:
        rows.append(_row(stored, ("lm_head.bias", "base", model.vocabulary), 1))
    return [row for row in rows if row.each or row.module in ("embedding", "final_norm")]


def _encoder_rows(model: LanguageModel) -> list[ParameterRow]:
    encoder = model.encoder
    if encoder is None:
        return []
    rows = [_row(model.quantisation, (f"encoder.{name}", "base", each), 1) for name, each in encoder.extra]
    rows += [_row(model.quantisation, ("encoder.input", "base", k * n), 1) for _, k, n in encoder.matrices]
    for group in encoder.layers:
        parts = layer_parts(group, encoder.hidden)
        rows += [_row(model.quantisation, (f"encoder.{name}", field, n), group.count) for name, field, n in parts]
    return rows


def _row(stored: Quantisation, part: Part, layers: int, group: int | None = None) -> ParameterRow:
    module, field, each = part
    name: str = getattr(stored, field)
    size = each * layers * find_format(name).weight.bytes_per_element
    return ParameterRow(module, name, each, layers, size, group)


def parameters(model: LanguageModel) -> int:
    """Return all parameters: ``embedding + sum(layers * (mixer + ffn + norms)) + final norm + towers + output head``.

    Tied weights count once; buffers (a router's correction bias) and multi-token-prediction layers do not count.
    Source: the definition of the modules, checked against transformers' own counts.
    """
    return sum(row.total for row in parameter_rows(model))


def parameters_text(model: LanguageModel) -> int:
    """Return the parameters of the language model alone, without vision and other towers."""
    return parameters(model) - sum(tower.parameters for tower in model.towers)


def embedding_parameters(model: LanguageModel) -> int:
    """Return the parameters of the input embedding, ``vocabulary*width`` (the output head's own too, where tied)."""
    return model.vocabulary * (model.embedding_width or model.hidden)


def active_parameters_per_token(model: LanguageModel) -> int:
    """Return the parameters that one token is multiplied with.

    ``text parameters - tables - sum(layers * (experts - topk) * expert)``: the output head counts, tables that are
    gathered from (the input embedding, per-layer embeddings) do not unless they are the output head too; of the
    experts, the topk routed ones and the shared one count, with the whole router.
    """
    gathered = 0 if model.tied_embeddings else embedding_parameters(model)
    gathered += sum(each for name, each in model.extra if name.endswith("embedding"))
    return parameters_text(model) - gathered - sum(g.count * _idle(g, model.hidden) for g in model.layers)


def _idle(group: LayerGroup, hidden: int) -> int:
    ffn = group.ffn
    if isinstance(ffn, MemoryFfn):  # of the values, those that the heads choose
        return 0 if ffn.shared_values else (ffn.keys**2 - ffn.heads * ffn.topk) * hidden
    return (ffn.experts - ffn.topk) * sum(expert_elements(ffn, hidden)) if isinstance(ffn, MoeFfn) else 0


def weights_bytes(model: LanguageModel) -> float:
    """Return the bytes of all weights as the checkpoint stores them, with the scales of quantised modules.

    ``sum(elements * (bits/8 + scale_bytes/block))`` over :func:`parameter_rows`.
    """
    return sum(row.bytes for row in parameter_rows(model))


def kv_bytes_per_token(model: LanguageModel, cache_bytes: float = 2.0) -> float:
    """Return the cache bytes that every further token takes: ``cache_bytes * sum(layers * elements / stride)``.

    Only rows that are kept for good count; those with a window stop growing (:func:`state_bytes_per_sequence`).
    """
    return cache_bytes * sum(count * row.elements_per_token for count, row in _all_rows(model) if not row.window)


def state_bytes_per_sequence(model: LanguageModel, cache_bytes: float = 2.0) -> float:
    """Return the bytes of a sequence that do not grow: windows at full width and recurrent states.

    ``cache_bytes * sum(layers * window * elements) + sum(layers * state elements * their bytes)``.
    """
    windows = sum(count * row.window * row.elements_per_token for count, row in _all_rows(model))
    fixed = sum(g.count * state.elements * state.element_bytes for g in model.layers for state in states(g))
    return cache_bytes * windows + fixed


def _all_rows(model: LanguageModel) -> list[tuple[int, CacheRows]]:
    return [(group.count, row) for group in model.layers for row in cache_rows(group)]
