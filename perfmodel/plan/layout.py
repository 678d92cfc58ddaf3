"""The operators that one device runs in one step, with their collectives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfmodel import ops
from perfmodel.numeric import Number, ceil, maximum, minimum
from perfmodel.ops.base import Operator
from perfmodel.ops.routing import Routing
from perfmodel.plan.parallelism import Plan
from perfmodel.plan.precision import Precisions
from perfmodel.workloads.spec import DenseFfn, GroupedQueryAttention, LanguageModel, LatentAttention, LayerGroup, MoeFfn


@dataclass(frozen=True)
class StepShape:
    """What one step of a replica works on.

    ``prefills`` sequences bring ``new_tokens`` each (the last of ``prefill_context``), ``decodes`` sequences one token
    each with a mean cache of ``decode_context`` tokens (the new one included). None leaves a kind out altogether.
    ``logits`` "last" asks for the last position of each sequence, "all" for every position.
    """

    prefills: Number | None = None
    new_tokens: Number = 0
    prefill_context: Number = 0
    decodes: Number | None = None
    decode_context: Number = 0
    logits: str = "last"
    causal: bool = True

    @property
    def tokens(self) -> Number:
        """Return the tokens that pass the linear layers."""
        prompts = 0 if self.prefills is None else self.prefills * self.new_tokens
        return prompts + (0 if self.decodes is None else self.decodes)

    @property
    def sequences(self) -> Number:
        """Return the sequences in the step."""
        return (0 if self.prefills is None else self.prefills) + (0 if self.decodes is None else self.decodes)

    def per_group(self, groups: Number) -> StepShape:
        """Return the share of the fullest of ``groups`` attention groups: at least one sequence of each kind."""
        return StepShape(
            None if self.prefills is None else _share(self.prefills, groups),
            self.new_tokens,
            self.prefill_context,
            None if self.decodes is None else _share(self.decodes, groups),
            self.decode_context,
            self.logits,
            self.causal,
        )


def _share(sequences: Number, groups: Number) -> Number:
    return maximum(sequences / groups, minimum(sequences, 1.0))


@dataclass(frozen=True)
class StepOperator:
    """One operator of a step: its name, the part of the model, and how often it runs (layers)."""

    name: str
    part: str
    operator: Operator
    repeat: float


def step_operators(
    model: LanguageModel, plan: Plan, precisions: Precisions, shape: StepShape, routing: Routing | None = None
) -> list[StepOperator]:
    """Return the operators of one step on the busiest device, in order of first appearance.

    Each layer group appears once with its count. Collectives of one rank are in the list (they cost nothing) when
    ``plan`` holds arrays or symbols, and left out when the plan is plain numbers.
    """
    layout = _Layout(model, plan, precisions, shape.per_group(plan.attention_dp), routing or Routing())
    found = list(layout.embedding())
    for group in model.layers:
        found += layout.layer(group)
    found += layout.head()
    return found


@dataclass(frozen=True)
class _Layout:
    model: LanguageModel
    plan: Plan
    precisions: Precisions
    shape: StepShape
    routing: Routing

    @property
    def tokens(self) -> Number:
        return self.shape.tokens

    def _reduce(self, name: str, part: str, ranks: Number, moved: Number, repeat: float) -> Iterator[StepOperator]:
        if not (isinstance(ranks, (int, float)) and ranks == 1):
            yield StepOperator(name, part, ops.AllReduce(ranks, moved), repeat)

    def embedding(self) -> Iterator[StepOperator]:
        hidden = self.model.hidden
        yield StepOperator("embedding", "embedding", ops.Embedding(self.tokens, hidden), 1)
        yield from self._reduce("embedding_all_reduce", "embedding", self.plan.tp, self.tokens * hidden * 2.0, 1)

    def layer(self, group: LayerGroup) -> Iterator[StepOperator]:
        hidden, count = self.model.hidden, float(group.count)
        yield StepOperator("input_norm", "attention", ops.AddRmsNorm(self.tokens, hidden), count)
        if isinstance(group.attention, LatentAttention):
            yield from self._latent_attention(group.attention, count)
        else:
            yield from self._attention(group.attention, count)
        yield from self._reduce("attention_all_reduce", "attention", self.plan.tp, self.tokens * hidden * 2.0, count)
        yield StepOperator("post_attention_norm", "ffn", ops.AddRmsNorm(self.tokens, hidden), count)
        if isinstance(group.ffn, MoeFfn):
            yield from self._experts(group.ffn, count)
        else:
            yield from self._dense(group.ffn, count)

    def _linear(
        self, name: str, part: str, n: Number, k: Number, count: float, tokens: Number | None = None
    ) -> StepOperator:
        form = self.precisions.attention if part == "attention" else self.precisions.linear
        m = self.tokens if tokens is None else tokens
        # quantisation of the input is fused into the norm, activation or attention that produces it
        return StepOperator(name, part, ops.Linear(m, n, k, form), count)

    def _attention(self, a: GroupedQueryAttention, count: float) -> Iterator[StepOperator]:
        hidden, tp = self.model.hidden, self.plan.tp
        heads, kv_heads = a.heads / tp, maximum(a.kv_heads / tp, 1.0)
        width = (heads + 2 * kv_heads) * a.head_dim
        yield self._linear("qkv_proj", "attention", width, hidden, count)
        if a.qk_norm != "none":
            yield StepOperator("qk_norm", "attention", ops.RmsNorm(self.tokens, (heads + kv_heads) * a.head_dim), count)
        yield StepOperator("rope", "attention", ops.Rope(self.tokens, (heads + kv_heads) * a.head_dim), count)
        s, dtype, cache = self.shape, self.precisions.attention_dtype, self.precisions.cache
        suffix = f"_window_{a.window}" if a.window else ""
        if s.prefills is not None:
            core = ops.AttentionPrefill(
                s.prefills,
                s.new_tokens,
                s.prefill_context,
                heads,
                kv_heads,
                a.head_dim,
                a.window,
                s.causal,
                dtype,
                cache,
            )
            yield StepOperator("attention_prefill" + suffix, "attention", core, count)
        if s.decodes is not None:
            core = ops.AttentionDecode(s.decodes, s.decode_context, heads, kv_heads, a.head_dim, a.window, dtype, cache)
            yield StepOperator("attention_decode" + suffix, "attention", core, count)
        yield self._linear("o_proj", "attention", hidden, heads * a.head_dim, count)

    def _latent_attention(self, a: LatentAttention, count: float) -> Iterator[StepOperator]:
        hidden, heads = self.model.hidden, a.heads / self.plan.tp
        key_dim, latent = a.nope_dim + a.rope_dim, a.kv_lora_rank + a.rope_dim
        if a.q_lora_rank:
            yield self._linear("qkv_a_proj", "attention", a.q_lora_rank + latent, hidden, count)
            yield StepOperator(
                "latent_norm", "attention", ops.RmsNorm(self.tokens, a.q_lora_rank + a.kv_lora_rank), count
            )
            yield self._linear("q_b_proj", "attention", heads * key_dim, a.q_lora_rank, count)
        else:
            yield self._linear("q_kv_a_proj", "attention", heads * key_dim + latent, hidden, count)
            yield StepOperator("latent_norm", "attention", ops.RmsNorm(self.tokens, a.kv_lora_rank), count)
        yield StepOperator("rope", "attention", ops.Rope(self.tokens, (heads + 1) * a.rope_dim), count)
        yield from self._latent_core(a, heads, count)
        yield self._linear("o_proj", "attention", hidden, heads * a.v_dim, count)

    def _latent_core(self, a: LatentAttention, heads: Number, count: float) -> Iterator[StepOperator]:
        s, dtype, cache = self.shape, self.precisions.attention_dtype, self.precisions.cache
        if s.prefills is not None:
            up = heads * (a.nope_dim + a.v_dim)
            yield self._linear("kv_b_proj", "attention", up, a.kv_lora_rank, count, s.prefills * s.prefill_context)
            core = ops.MlaPrefill(
                s.prefills, s.new_tokens, s.prefill_context, heads, a.kv_lora_rank, a.rope_dim, a.nope_dim, a.v_dim,
                dtype, cache,
            )  # fmt: skip
            yield StepOperator("mla_prefill", "attention", core, count)
        if s.decodes is not None:
            # absorbed: a product a head; one linear layer with all heads' columns has the same flops and weights
            yield self._linear("q_absorb", "attention", heads * a.kv_lora_rank, a.nope_dim, count, s.decodes)
            core = ops.MlaDecode(s.decodes, 1, s.decode_context, heads, a.kv_lora_rank, a.rope_dim, dtype, cache)
            yield StepOperator("mla_decode", "attention", core, count)
            yield self._linear("v_absorb", "attention", heads * a.v_dim, a.kv_lora_rank, count, s.decodes)

    def _gated_block(self, prefix: str, width: Number, gated: bool, count: float) -> Iterator[StepOperator]:
        hidden = self.model.hidden
        yield self._linear(f"{prefix}gate_up_proj", "ffn", (2 if gated else 1) * width, hidden, count)
        activation = ops.GatedActivation if gated else ops.Activation
        yield StepOperator(f"{prefix}activation", "ffn", activation(self.tokens, width), count)
        yield self._linear(f"{prefix}down_proj", "ffn", hidden, width, count)

    def _dense(self, f: DenseFfn, count: float) -> Iterator[StepOperator]:
        yield from self._gated_block("", f.intermediate / self.plan.tp, f.gated, count)
        yield from self._reduce("ffn_all_reduce", "ffn", self.plan.tp, self.tokens * self.model.hidden * 2.0, count)

    def _experts(self, f: MoeFfn, count: float) -> Iterator[StepOperator]:
        hidden, plan, form = self.model.hidden, self.plan, self.precisions.experts
        router = ops.Linear(self.tokens, f.experts, hidden, self.precisions.router)
        yield StepOperator("router", "ffn", router, count)
        if f.shared_intermediate:
            yield from self._gated_block("shared_", f.shared_intermediate / plan.tp, f.gated, count)
        yield from self._dispatch(f, count)
        core = ops.Experts(
            self.tokens * plan.attention_dp, hidden, f.intermediate, f.topk, f.experts, plan.expert_tp, plan.ep, form,
            self.routing, f.gated,
        )  # fmt: skip
        yield StepOperator("experts", "ffn", core, count)
        yield from self._combine(f, count)

    def _dispatch(self, f: MoeFfn, count: float) -> Iterator[StepOperator]:
        """Tokens go to the experts' devices; within one attention group every device already has them."""
        plan, element = self.plan, self.precisions.experts.activation.bytes_per_element
        if _is_one(plan.attention_dp):
            return
        if _is_one(plan.ep):
            gathered = self.tokens * plan.attention_dp * self.model.hidden * element
            yield StepOperator("expert_all_gather", "ffn", ops.AllGather(plan.attention_dp, gathered), count)
            return
        sent = self.tokens / plan.tp * minimum(f.topk, plan.ep) * self.model.hidden * element
        yield StepOperator("expert_dispatch", "ffn", ops.AllToAll(plan.ep, sent), count)

    def _combine(self, f: MoeFfn, count: float) -> Iterator[StepOperator]:
        plan, hidden = self.plan, self.model.hidden
        if _is_one(plan.attention_dp):
            yield from self._reduce("ffn_all_reduce", "ffn", plan.tp, self.tokens * hidden * 2.0, count)
        elif _is_one(plan.ep):
            scattered = self.tokens * plan.attention_dp * hidden * 2.0
            yield StepOperator("expert_reduce_scatter", "ffn", ops.ReduceScatter(plan.attention_dp, scattered), count)
        else:
            sent = self.tokens / plan.tp * minimum(f.topk, plan.ep) * hidden * 2.0
            yield StepOperator("expert_combine", "ffn", ops.AllToAll(plan.ep, sent), count)

    def head(self) -> Iterator[StepOperator]:
        model, plan, s = self.model, self.plan, self.shape
        rows = s.tokens if s.logits == "all" else s.sequences
        vocabulary = ceil(model.vocabulary / plan.tp)
        yield StepOperator("final_norm", "head", ops.AddRmsNorm(rows, model.hidden), 1)
        head = ops.Linear(rows, vocabulary, model.hidden, self.precisions.lm_head)
        yield StepOperator("lm_head", "head", head, 1)
        if not (isinstance(plan.tp, (int, float)) and plan.tp == 1):
            gathered = rows * model.vocabulary * 2.0
            yield StepOperator("logits_all_gather", "head", ops.AllGather(plan.tp, gathered), 1)
        yield StepOperator("sampling", "head", ops.Softmax(rows, model.vocabulary), 1)


def _is_one(value: Number) -> bool:
    return isinstance(value, (int, float)) and value == 1
