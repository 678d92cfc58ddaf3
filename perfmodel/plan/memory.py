"""Memory of one device: weights, KV cache, activations, overhead; what fits and how much more would."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perfmodel.numeric import Number, floor, maximum, minimum, total, where
from perfmodel.ops import Embedding, Experts, Linear, Operator
from perfmodel.plan.layout import step_operators
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import Precisions
from perfmodel.plan.step_shape import StepShape
from perfmodel.workloads.spec import GroupedQueryAttention, LanguageModel, LatentAttention, LayerGroup

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
    is tied to the head. Of ``pp`` stages the first holds the embedding, the last the head. Omits norms (under 0.01 %).
    """
    shape = StepShape(prefills=1, new_tokens=1, prefill_context=1)
    stored: dict[str, Number] = {}
    for step in step_operators(model, replace(plan, overlap="none"), precisions, shape):
        size = _stored_bytes(step.operator, model, plan)
        if not (isinstance(size, float) and size == 0.0):
            stored[step.part] = stored.get(step.part, 0.0) + step.repeat * size
    layers = stored.get("attention", 0.0) + stored.get("ffn", 0.0)
    embedding, head = stored.get("embedding", 0.0), stored.get("head", 0.0)
    if plan.pp == 1:
        return embedding + layers + head
    most, least = -(-model.layer_count // plan.pp), model.layer_count // plan.pp
    first = most / model.layer_count * layers + (head if model.tied_embeddings else embedding)
    return maximum(first, least / model.layer_count * layers + head)


def _stored_bytes(op: Operator, model: LanguageModel, plan: Plan) -> Number:
    if isinstance(op, Linear):
        return op.n * op.k * op.format.weight.bytes_per_element
    if isinstance(op, Experts):
        matrices = op.matrices * op.hidden * op.intermediate / op.tp * op.experts / op.ep
        return matrices * op.format.weight.bytes_per_element
    if isinstance(op, Embedding) and not model.tied_embeddings:
        return model.vocabulary / plan.tp * model.hidden * 2.0
    return 0.0


def _stage_share(model: LanguageModel, plan: Plan) -> float:
    """Return the share of the layers that the fullest stage has."""
    return -(-model.layer_count // plan.pp) / model.layer_count


def _row_bytes(group: LayerGroup, plan: Plan, cache_bytes: float) -> Number:
    a = group.attention
    if isinstance(a, LatentAttention):
        return group.count * (a.kv_lora_rank + a.rope_dim) * cache_bytes
    return group.count * 2.0 * maximum(a.kv_heads / plan.tp, 1.0) * a.head_dim * cache_bytes


def kv_bytes_per_sequence(model: LanguageModel, plan: Plan, cache_bytes: float, tokens: Number) -> Number:
    """Return one device's cache bytes of a sequence of ``tokens``.

    ``sum over layers of 2*H_kv/tp*d*c*min(tokens, window)/cp``, of the layers of the fullest pipeline stage; KV heads
    are replicated when tp exceeds them, a latent cache (one shared head) always is.
    """
    parts: list[Number] = []
    for group in model.layers:
        a = group.attention
        window = a.window if isinstance(a, GroupedQueryAttention) else 0
        visible = minimum(tokens, window) if window else tokens
        parts.append(_row_bytes(group, plan, cache_bytes) * visible)
    share = _stage_share(model, plan)
    return total(parts) / plan.cp if share == 1.0 else total(parts) * share / plan.cp


def activation_bytes(model: LanguageModel, plan: Plan, tokens: Number) -> Number:
    """Return the peak of live activations for ``tokens`` in one step: residual, block input and the widest pair."""
    widest = 0.0
    for group in model.layers:
        a, f = group.attention, group.ffn
        heads = a.heads * (a.head_dim if isinstance(a, GroupedQueryAttention) else a.nope_dim + a.rope_dim)
        ffn = 3.0 * getattr(f, "intermediate") * getattr(f, "topk", 1)  # noqa: B009 - both kinds have it
        # experts get the rows of all attention groups, and split them over the devices of all groups
        widest = maximum(widest, 2.0 * heads / plan.tp, ffn / plan.tp)
    return tokens / plan.cp * (2.0 * model.hidden + widest) * 2.0


@dataclass(frozen=True)
class MemoryModel:
    """Memory of one device as a function of how many sequences of which length it holds."""

    model: LanguageModel
    plan: Plan
    precisions: Precisions
    capacity_bytes: Number

    def fixed_bytes(self) -> Number:
        """Return the weights and the runtime's own bytes."""
        return weights_bytes_per_device(self.model, self.plan, self.precisions) + RUNTIME_BYTES

    def use(self, sequences: Number, tokens: Number, step_tokens: Number) -> MemoryUse:
        """Return the memory of a device whose attention group holds ``sequences`` of ``tokens`` each."""
        kv = sequences * kv_bytes_per_sequence(self.model, self.plan, self.precisions.cache.bytes_per_element, tokens)
        return MemoryUse(
            self.capacity_bytes,
            weights_bytes_per_device(self.model, self.plan, self.precisions),
            kv,
            activation_bytes(self.model, self.plan, step_tokens),
            RUNTIME_BYTES,
        )

    def largest_batch(self, tokens: Number, step_tokens: Number) -> Number:
        """Return how many sequences of ``tokens`` a replica can hold (0 if not even one)."""
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
        windows = [getattr(g.attention, "window", 0) for g in self.model.layers]
        longest: Number = 0.0
        for start in sorted({0, *windows}):
            held = kv_bytes_per_sequence(self.model, self.plan, cache, float(start))
            if any(window == 0 or window > start for window in windows):
                slope = kv_bytes_per_sequence(self.model, self.plan, cache, start + 1.0) - held
                longest = maximum(longest, floor(start + (room - held) / slope))
            else:
                longest = where(room >= held, float(max(self.model.maximum_tokens, start)), longest)
        return longest

    def _kv_room(self, step_tokens: Number) -> Number:
        live = activation_bytes(self.model, self.plan, step_tokens)
        return self.capacity_bytes * USABLE_FRACTION - self.fixed_bytes() - live
