"""Which modules a checkpoint excludes from quantisation: by names, parts of names, globs and regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import translate

from perfmodel.workloads.families.known_keys import word_set
from perfmodel.workloads.families.registry import Layer
from perfmodel.workloads.spec import (
    CompressedAttention,
    DenseFfn,
    GroupedQueryAttention,
    LatentAttention,
    MoeFfn,
    RecurrentMixer,
)

_ROOT = re.compile(r"^(language_model\.)?(model\.)?(language_model\.)?(model\.)?(?=layers\.|embed|norm)")
_LONGEST = 300
# Names that end in one of these exclude something that no format applies to anyway.
_NEVER_QUANTISED = word_set(
    """gate router norm input_layernorm post_attention_layernorm embed_tokens e_score_correction_bias q_norm k_norm
    q_a_layernorm kv_a_layernorm q_a_norm kv_a_norm wte shared_expert_gate"""
)


class CoverageError(Exception):
    """An exclusion that covers a part of what has one format."""


class Modules:
    """The linear modules of a model's layers, and which of them the patterns exclude.

    A name without wildcards excludes a module that it names, or of which it names a part ("self_attn", "lm_head",
    "model.layers.0.mlp"); ``*`` and ``?`` are wildcards; a text after ``re:`` is a regular expression.
    """

    def __init__(self, layers: Sequence[Layer], patterns: Iterable[str]) -> None:
        self._layers = layers
        self._tests = _tests(patterns)

    def attention(self) -> bool:
        """Say whether the attention projections are quantised; raises :class:`CoverageError` if only some are."""
        return self._quantised("attention", self._attention_names())

    def linear(self) -> bool:
        """Say whether dense feed-forward blocks and shared experts are quantised."""
        return self._quantised("dense feed-forward blocks", self._linear_names())

    def experts(self) -> bool:
        """Say whether routed experts are quantised."""
        return self._quantised("experts", self._expert_names())

    def lm_head(self) -> bool:
        """Say whether the output head is quantised."""
        return not self._is_excluded("lm_head")

    def _quantised(self, what: str, names: Iterable[str]) -> bool:
        if not self._tests:
            return True
        excluded = [self._is_excluded(name) for name in names]
        if any(excluded) and not all(excluded):
            raise CoverageError(f"{sum(excluded)} of {len(excluded)} modules of the {what} are excluded")
        return not (excluded and all(excluded))

    def _is_excluded(self, name: str) -> bool:
        return any(test(name) for test in self._tests)

    def _attention_names(self) -> Iterable[str]:
        for index, layer in enumerate(self._layers):
            for mixer in (layer.mixer, layer.second):
                block, parts = _MIXERS.get(type(mixer), ("", ()))
                yield from (f"model.layers.{index}.{block}.{part}" for part in parts)

    def _linear_names(self) -> Iterable[str]:
        for index, layer in enumerate(self._layers):
            if isinstance(layer.ffn, DenseFfn):
                yield from _projections(f"model.layers.{index}.mlp")
            elif isinstance(layer.ffn, MoeFfn) and layer.ffn.shared_intermediate:
                yield from _projections(f"model.layers.{index}.mlp.shared_experts")

    def _expert_names(self) -> Iterable[str]:
        for index, layer in enumerate(self._layers):
            if isinstance(layer.ffn, MoeFfn):
                yield from _projections(f"model.layers.{index}.mlp.experts.0")
                yield f"model.layers.{index}.mlp.experts.{layer.ffn.experts - 1}.down_proj"


_MIXERS: dict[type, tuple[str, tuple[str, ...]]] = {
    GroupedQueryAttention: ("self_attn", ("q_proj", "k_proj", "v_proj", "o_proj")),
    LatentAttention: ("self_attn", ("kv_b_proj", "o_proj")),
    CompressedAttention: ("self_attn", ("q_b_proj", "o_b_proj")),
    RecurrentMixer: ("linear_attn", ("in_proj", "out_proj")),
}
"""The block and the projections of each kind of mixer, as checkpoints call them."""


def _projections(block: str) -> Iterable[str]:
    return (f"{block}.{part}" for part in ("gate_proj", "up_proj", "down_proj"))


_Test = Callable[[str], bool]


def _tests(patterns: Iterable[str]) -> list[_Test]:
    literal: set[str] = set()
    globs: list[str] = []
    tests: list[_Test] = []
    for pattern in patterns:
        if len(pattern) > _LONGEST:
            raise CoverageError(f"'{pattern[:30]}...' is too long a pattern")
        if pattern.startswith("re:"):
            tests.append(_regex(pattern[3:]))
        elif "*" in pattern or "?" in pattern:
            globs.append(_canonical(pattern))
        elif pattern.rsplit(".", 1)[-1] not in _NEVER_QUANTISED:
            literal.add(_canonical(pattern))
    return [*tests, *([_globs(globs)] if globs else []), *([_names(literal)] if literal else [])]


def _canonical(pattern: str) -> str:
    return _ROOT.sub("model.", pattern.strip().rstrip(".")).replace("block_sparse_moe", "mlp")


def _names(literal: set[str]) -> _Test:
    """Return the test of plain names: any run of a module name's parts is one of them."""
    last_parts = {name.rsplit(".", 1)[-1] for name in literal}

    def test(name: str) -> bool:
        parts = name.split(".")
        if last_parts.isdisjoint(parts):
            return False
        spans = ((a, b) for a in range(len(parts)) for b in range(a + 1, len(parts) + 1))
        return any(".".join(parts[a:b]) in literal for a, b in spans)

    return test


def _globs(patterns: Iterable[str]) -> _Test:
    """Return the test of patterns with wildcards: one matches the module or one that holds it."""
    match = re.compile("|".join(translate(pattern) for pattern in patterns)).match

    def test(name: str) -> bool:
        parts = name.split(".")
        return any(match(".".join(parts[:end])) for end in range(1, len(parts) + 1))

    return test


def _regex(text: str) -> _Test:
    try:
        match = re.compile(text).match
    except (re.error, RecursionError, OverflowError) as error:
        raise CoverageError(f"'re:{text[:40]}' is no regular expression ({error})") from None
    return lambda name: match(name) is not None
