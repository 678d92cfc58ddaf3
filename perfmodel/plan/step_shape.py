"""What one step of a replica works on, and one operator of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from perfmodel.numeric import Number, maximum, minimum
from perfmodel.ops.base import Operator


@dataclass(frozen=True)
class StepShape:
    """The sequences of a step: prompts, and sequences that decode one token each.

    ``prefills`` sequences bring ``new_tokens`` each (the last of ``prefill_context``), ``decodes`` sequences one token
    each with a mean cache of ``decode_context`` tokens (the new one included). None leaves a kind out altogether.
    ``source_tokens`` are those that the encoder of an encoder-decoder model reads for each of the ``prefills``; where
    none are given, the prompt is what it reads, and the decoder begins with one token. ``logits`` "last" asks for the
    last position of each sequence, "all" for every position. ``decode_tokens`` are those of a decoding sequence: one,
    or more where drafts are verified. ``adapters`` is how many different low-rank adapters the sequences ask for (None:
    as many as so many equally popular ones make likely).
    """

    prefills: Number | None = None
    new_tokens: Number = 0
    prefill_context: Number = 0
    decodes: Number | None = None
    decode_context: Number = 0
    logits: str = "last"
    causal: bool = True
    source_tokens: Number = 0
    decode_tokens: int = 1
    adapters: Number | None = None

    def behind_an_encoder(self) -> StepShape:
        """Return the decoder's share of a step whose prompts an encoder reads."""
        if self.prefills is None or not (isinstance(self.source_tokens, int) and self.source_tokens == 0):
            return self
        return replace(self, new_tokens=1, prefill_context=1, source_tokens=self.new_tokens)

    @property
    def tokens(self) -> Number:
        """Return the tokens that pass the linear layers."""
        return self.tokens_per_rank(1)

    def tokens_per_rank(self, cp: Number) -> Number:
        """Return the tokens of one of ``cp`` ranks in the linear layers: prompts are cut into pieces, decodes dealt."""
        prompts = 0 if self.prefills is None else self.prefills * self.new_tokens / cp
        return prompts + (0 if self.decodes is None else share_of(self.decodes, cp) * self.decode_tokens)

    @property
    def rows_of_logits(self) -> Number:
        """Return the positions whose logits are asked for, unless all are: the last of a prompt, every decoded one."""
        prompts = 0 if self.prefills is None else self.prefills
        return prompts + (0 if self.decodes is None else self.decodes * self.decode_tokens)

    @property
    def sequences(self) -> Number:
        """Return the sequences in the step."""
        return (0 if self.prefills is None else self.prefills) + (0 if self.decodes is None else self.decodes)

    def per_group(self, groups: Number) -> StepShape:
        """Return the share of the fullest of ``groups`` attention groups: at least one sequence of each kind."""
        return replace(
            self,
            prefills=None if self.prefills is None else share_of(self.prefills, groups),
            decodes=None if self.decodes is None else share_of(self.decodes, groups),
        )


def share_of(sequences: Number, groups: Number) -> Number:
    """Return the sequences of the fullest of ``groups``: ``n/groups``, but no less than one (or all, if below one)."""
    if isinstance(groups, int) and groups == 1:
        return sequences
    return maximum(sequences / groups, minimum(sequences, 1.0))


@dataclass(frozen=True)
class StepOperator:
    """One operator of a step: its name, the part of the model, and how often it runs (layers).

    ``behind`` says what communication may hide behind: "" nothing (what follows needs its result), "attention" the
    attention cores of the same layers, "step" all computation of the step (another microbatch's).
    ``reach`` is the share of a sequence's tokens that the layer has in its cache.
    """

    name: str
    part: str
    operator: Operator
    repeat: Number
    behind: str = ""
    reach: float = 1.0
