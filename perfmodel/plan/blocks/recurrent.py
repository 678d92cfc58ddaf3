"""Mixers with a state of a fixed size: projections, a causal convolution, a scan over tokens or one step of it."""

from __future__ import annotations

from collections.abc import Iterator

from perfmodel import ops
from perfmodel.numeric import Number, maximum
from perfmodel.plan.rank import Rank
from perfmodel.plan.step_shape import StepOperator
from perfmodel.workloads.spec import RecurrentMixer


def recurrent_mixer(rank: Rank, m: RecurrentMixer, count: float) -> Iterator[StepOperator]:
    """Yield the operators between the input norm and the sum over the tensor-parallel ranks; heads are dealt out.

    The rows of a context-parallel rank are scanned there alone: passing the state on (one state a rank) is left out.
    """
    hidden, tp = rank.model.hidden, rank.plan.tp
    yield rank.linear("mixer_in_proj", "attention", m.in_width / tp, hidden, count)
    for index, (inputs, outputs) in enumerate(m.middle):
        yield rank.linear(f"mixer_middle_{index}", "attention", outputs / tp, inputs, count)
    if m.conv_channels:
        yield from _per_phase(rank, "causal_conv", m, count)
    if m.key_dim:  # otherwise the convolution is all that looks back
        yield from _per_phase(rank, "scan", m, count)
    if m.norm_width:
        norm = ops.RmsNorm(rank.tokens, m.norm_width / tp)
        yield StepOperator("mixer_norm", "attention", norm, count)
    if m.out_in:
        yield rank.linear("mixer_out_proj", "attention", hidden, m.out_in / tp, count)


def _per_phase(rank: Rank, name: str, m: RecurrentMixer, count: float) -> Iterator[StepOperator]:
    s = rank.shape
    build = _conv if name == "causal_conv" else _scan
    if s.prefills is not None:
        op = build(rank, m, s.prefills, s.new_tokens / rank.plan.cp, prefill=True)
        yield StepOperator(f"{name}_prefill", "attention", op, count)
    if s.decodes is not None:
        op = build(rank, m, s.decodes, float(s.decode_tokens), prefill=False)
        yield StepOperator(f"{name}_decode", "attention", op, count)


def _conv(rank: Rank, m: RecurrentMixer, sequences: Number, tokens: Number, *, prefill: bool) -> ops.Operator:
    return ops.CausalConv(sequences, tokens, m.conv_channels / rank.plan.tp, m.conv_kernel)


def _scan(rank: Rank, m: RecurrentMixer, sequences: Number, tokens: Number, *, prefill: bool) -> ops.Operator:
    kind, tp = ops.ScanPrefill if prefill else ops.ScanDecode, rank.plan.tp
    return kind(
        sequences, tokens, m.heads / tp, maximum(m.key_heads / tp, 1.0), m.key_dim, m.value_dim, m.gates / tp, m.rule,
        m.state_element_bytes, rank.precisions.attention_dtype,
    )  # fmt: skip
