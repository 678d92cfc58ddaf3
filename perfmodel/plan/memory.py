"""Memory of one device: weights, KV cache, activations, overhead; what fits and how much more would."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from perfmodel.formats import find_format
from perfmodel.numeric import Number, floor, maximum, total, where
from perfmodel.ops import Embedding, Experts, Linear, LoraPair, Operator
from perfmodel.plan.layout import step_operators
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import Precisions
from perfmodel.plan.step_shape import StepShape
from perfmodel.workloads.caches import cache_rows, states
from perfmodel.workloads.spec import LanguageModel, MemoryFfn, mixer_width

RUNTIME_BYTES = 1.5e9
"""CUDA context, library workspaces, communication buffers and graphs of one rank (idle servers show 1 to 2 GB)."""

USABLE_FRACTION = 0.95
"""Share of the reported capacity that an engine will fill before it fears fragmentation (defaults lie at 0.88-0.95)."""


@dataclass(frozen=True)
class MemoryUse:
    """Bytes of one device. ``kv_bytes`` is the cache of the sequences asked for, at their full length."""

    capacity_bytes: Number
    weights_bytes: Number
    kv_bytes: Number
    activation_bytes: Number
    overhead_bytes: Number

    @property
    def used_bytes(self) -> Number:
        """Return the sum of all parts."""
        return self.weights_bytes + self.kv_bytes + self.activation_bytes + self.overhead_bytes

    @property
    def free_bytes(self) -> Number:
        """Return what is left (negative: what is missing)."""
        return self.capacity_bytes - self.used_bytes


def weights_bytes_per_device(model: LanguageModel, plan: Plan, precisions: Precisions) -> Number:
    """Return the bytes of the weights that the fullest device stores, with scale bytes.

    Linear layers as split by ``tp``, all local experts by ``moe_tp*ep``, the embedding by ``tp`` and only once when it
    is tied to the head. Of ``pp`` stages the first holds the embedding, the last the head. Tables, towers and an
    encoder's own tables are not split. Omits norms, convolutions and biases (under 0.1 %).
    """
    shape = StepShape(prefills=1, new_tokens=1, prefill_context=1)
    # a layer that tokens may skip is stored all the same
    model = replace(model, layers=tuple(replace(g, share=1.0, prompt_share=1.0) for g in model.layers))
    stored: dict[str, Number] = {}
    for step in step_operators(model, replace(plan, overlap="none"), precisions, shape):
        size = _stored_bytes(step.operator, step.part, model, plan)
        if not (isinstance(size, float) and size == 0.0):
            stored[step.part] = stored.get(step.part, 0.0) + step.repeat * size
    layers = stored.get("attention", 0.0) + stored.get("ffn", 0.0) + _memory_values_bytes(model, plan)
    embedding, head = stored.get("embedding", 0.0) + _whole_bytes(model), stored.get("head", 0.0)
    head = head + _draft_bytes(model, plan, precisions)
    if not plan.staged:
        return embedding + layers + head
    most, least = -(-model.layer_count // plan.pp), model.layer_count // plan.pp
    first = most / model.layer_count * layers + embedding + (head if model.tied_embeddings else 0.0)
    fullest = maximum(first, least / model.layer_count * layers + head)
    return where(plan.pp > 1, fullest, embedding + layers + head)


def _draft_bytes(model: LanguageModel, plan: Plan, precisions: Precisions) -> Number:
    """Return the bytes of the multi-token-prediction module, where the plan drafts with it; it shares the head."""
    if not plan.draft_tokens or model.mtp is None:
        return 0.0
    plan = replace(plan, overlap="none", draft_tokens=1, acceptance=0.0)
    steps = step_operators(model, plan, precisions, StepShape(decodes=1, decode_context=1))
    own = (s for s in steps if s.name.startswith("draft_") and s.name != "draft_lm_head")
    return total(s.repeat * _stored_bytes(s.operator, s.part, model, plan) for s in own)


def _memory_values_bytes(model: LanguageModel, plan: Plan) -> Number:
    """Return the bytes of product-key memories' values, split by their width."""
    tables = sum(
        group.count * group.ffn.keys**2
        for group in model.layers
        if isinstance(group.ffn, MemoryFfn) and not group.ffn.shared_values
    )
    return tables * model.hidden / plan.tp * _base_bytes(model) if tables else 0.0


def _whole_bytes(model: LanguageModel) -> float:
    """Return the bytes of what every rank holds as a whole: tables beside the embedding, and towers."""
    encoder = model.encoder.extra if model.encoder else ()
    tables = sum(each for _, each in (*model.extra, *encoder))
    return _base_bytes(model) * (tables + sum(tower.parameters for tower in model.towers))


def _base_bytes(model: LanguageModel) -> float:
    """Return the bytes of an element of what stays in the checkpoint's base type."""
    return find_format(model.quantisation.base).weight.bytes_per_element


def _stored_bytes(op: Operator, part: str, model: LanguageModel, plan: Plan) -> Number:
    if isinstance(op, Linear):
        return op.n * op.k * op.format.weight.bytes_per_element
    if isinstance(op, Experts):
        matrices = op.matrices * op.hidden * op.intermediate / op.tp * op.experts / op.ep
        return matrices * op.format.weight.bytes_per_element
    if isinstance(op, LoraPair):
        return op.adapters * op.rank * (op.inputs + op.outputs) * 2.0
    if isinstance(op, Embedding) and part == "embedding" and not model.tied_embeddings:
        return model.vocabulary / plan.tp * (model.embedding_width or model.hidden) * _base_bytes(model)
    return 0.0


def _stage_share(model: LanguageModel, plan: Plan) -> Number:
    """Return the share of the layers that the fullest stage has."""
    return -(-model.layer_count // plan.pp) / model.layer_count


def kv_bytes_per_sequence(model: LanguageModel, plan: Plan, cache_bytes: float, tokens: Number) -> Number:
    """Return one device's cache bytes of a sequence of ``tokens``, states of a fixed size included.

    ``sum over layers of c*elements/heads*max(heads/tp, 1)*min(tokens, window)/stride/cp``, of the layers of the fullest
    pipeline stage; heads are replicated when tp exceeds them, a row that all heads share always is. States are dealt
    over tp alone.
    """
    module = (model.mtp,) if plan.draft_tokens and model.mtp is not None else ()
    rows = total(
        group.count * cache_bytes * row.elements_of(tokens) * _share(row.heads, plan)
        for group in (*model.layers, *module)
        for row in cache_rows(group)
    )
    fixed = total(
        group.count * state.elements * state.element_bytes * _share(state.heads, plan)
        for group in model.layers
        for state in states(group)
    )
    return (rows / plan.cp + fixed) * (_stage_share(model, plan) if plan.staged else 1.0)


def _share(heads: int, plan: Plan) -> Number:
    """Return which part of ``heads`` equal parts a rank keeps: at least one of them."""
    return maximum(heads / plan.tp, 1.0) / heads


def activation_bytes(model: LanguageModel, plan: Plan, tokens: Number) -> Number:
    """Return the peak of live activations for ``tokens`` in one step: residual streams, block input, widest pair."""
    widest = 0.0
    for group in model.layers:
        f = group.ffn
        ffn = 3.0 * getattr(f, "intermediate", 0) * getattr(f, "topk", 1)
        # experts get the rows of all attention groups, and split them over the devices of all groups
        mixed = (2.0 * mixer_width(mixer) / plan.tp for mixer in group.mixers)
        widest = maximum(widest, ffn / plan.tp, *mixed)
    streams = max((group.streams for group in model.layers), default=1)
    return tokens / plan.cp * ((1.0 + streams) * model.hidden + widest) * 2.0


@dataclass(frozen=True)
class MemoryModel:
    """Memory of one device as a function of how many sequences of which length it holds."""

    model: LanguageModel
    plan: Plan
    precisions: Precisions
    capacity_bytes: Number
    runtime_bytes: Number = RUNTIME_BYTES

    @cached_property
    def weights_bytes(self) -> Number:
        """Return the weights of the fullest device."""
        return weights_bytes_per_device(self.model, self.plan, self.precisions)

    def fixed_bytes(self) -> Number:
        """Return the weights and the runtime's own bytes."""
        return self.weights_bytes + self.runtime_bytes

    def use(self, sequences: Number, tokens: Number, step_tokens: Number) -> MemoryUse:
        """Return the memory of a device whose attention group holds ``sequences`` of ``tokens`` each."""
        kv = sequences * kv_bytes_per_sequence(self.model, self.plan, self.precisions.cache.bytes_per_element, tokens)
        return MemoryUse(
            self.capacity_bytes,
            self.weights_bytes,
            kv,
            activation_bytes(self.model, self.plan, step_tokens),
            self.runtime_bytes,
        )

    def largest_batch(self, tokens: Number, step_tokens: Number) -> Number:
        """Return how many sequences of ``tokens`` a replica can hold (0 if not even one).

        A model that keeps nothing of a sequence, an encoder, holds those whose activations fit into one step.
        """
        if not any(tuple(cache_rows(group)) or tuple(states(group)) for group in self.model.layers):
            live = self.capacity_bytes * USABLE_FRACTION - self.fixed_bytes()
            fitting = floor(live / activation_bytes(self.model, self.plan, tokens))
            return maximum(fitting, 0.0) * self.plan.attention_dp
        room = self._kv_room(step_tokens)
        one = kv_bytes_per_sequence(self.model, self.plan, self.precisions.cache.bytes_per_element, tokens)
        return maximum(floor(room / one), 0.0) * self.plan.attention_dp

    def longest_context(self, sequences: Number, step_tokens: Number) -> Number:
        """Return the most tokens that each of ``sequences`` of an attention group can have (0 if none).

        The cache grows linearly between the windows of the layers, ever more slowly, so the answer is the largest that
        any of these lines gives. Where nothing grows any more it is the model's own limit.
        """
        cache = self.precisions.cache.bytes_per_element
        room = self._kv_room(step_tokens) / sequences
        windows = [row.window for group in self.model.layers for row in cache_rows(group)]
        longest: Number = 0.0
        for start in sorted({0, *windows}):
            held = kv_bytes_per_sequence(self.model, self.plan, cache, float(start))
            if windows and any(window == 0 or window > start for window in windows):
                slope = kv_bytes_per_sequence(self.model, self.plan, cache, start + 1.0) - held
                longest = maximum(longest, floor(start + (room - held) / slope))
            else:
                longest = where(room >= held, float(max(self.model.maximum_tokens, start)), longest)
        return longest

    def _kv_room(self, step_tokens: Number) -> Number:
        live = activation_bytes(self.model, self.plan, step_tokens)
        return self.capacity_bytes * USABLE_FRACTION - self.fixed_bytes() - live
