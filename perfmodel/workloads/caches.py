"""What a layer keeps of a sequence: rows that grow with every token, windows of them, and states of a fixed size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import singledispatch

from perfmodel.numeric import Number, minimum
from perfmodel.workloads.spec import (
    CompressedAttention,
    GroupedQueryAttention,
    LatentAttention,
    LayerGroup,
    Mixer,
    RecurrentMixer,
)


@dataclass(frozen=True)
class CacheRows:
    """Rows of ``elements`` in the cache's format, one for every ``stride`` tokens, the last ``window`` tokens' only.

    ``heads`` is how many parts tensor parallelism can deal out; a shared row (1) is kept by every rank. ``window`` 0
    keeps all. ``kept`` is the share of the tokens that leave a row at all.
    """

    elements: int
    heads: int = 1
    window: int = 0
    stride: int = 1
    kept: float = 1.0

    @property
    def elements_per_token(self) -> float:
        """Return the elements that a token adds on average."""
        return self.elements * self.kept / self.stride

    def elements_of(self, tokens: Number) -> Number:
        """Return the elements that a sequence of ``tokens`` takes: ``elements*kept*min(tokens, window)/stride``."""
        return self.elements_per_token * (minimum(tokens, self.window) if self.window else tokens)


@dataclass(frozen=True)
class State:
    """A state of ``elements`` of ``element_bytes`` a sequence, whatever its length, dealt over ``heads``."""

    elements: int
    element_bytes: float
    heads: int


@singledispatch
def _rows(mixer: object) -> tuple[CacheRows, ...]:
    return ()


@_rows.register
def _(a: GroupedQueryAttention) -> tuple[CacheRows, ...]:
    if a.shared_cache or not a.causal:
        return ()
    return (CacheRows(a.kv_heads * (a.head_dim + a.value_dim), a.kv_heads, a.window),)


@_rows.register
def _(a: LatentAttention) -> tuple[CacheRows, ...]:
    latent = CacheRows(a.kv_lora_rank + a.rope_dim)
    if a.indexer is None or a.indexer.shared:
        return (latent,)
    return latent, CacheRows(a.indexer.dim)


@_rows.register
def _(a: CompressedAttention) -> tuple[CacheRows, ...]:
    found = [CacheRows(a.head_dim, window=a.window)]
    if a.rate:
        found.append(CacheRows(a.head_dim, stride=a.rate))
    if a.indexer is not None:
        found.append(CacheRows(a.indexer.dim, stride=a.rate))
    return tuple(found)


@singledispatch
def _states(mixer: object) -> tuple[State, ...]:
    return ()


@_states.register
def _(m: RecurrentMixer) -> tuple[State, ...]:
    taps = State(m.conv_channels * max(m.conv_kernel - 1, 0), 2.0, m.key_heads)
    recurrent = State(m.state_elements, m.state_element_bytes, m.heads)
    return tuple(state for state in (recurrent, taps) if state.elements)


def cache_rows(group: LayerGroup) -> Iterator[CacheRows]:
    """Yield the rows that each layer of a group caches.

    Grouped-query attention ``H_kv*(d_k + d_v)`` elements a token, latent attention ``rank + rope`` (DeepSeek-V3:
    512 + 64 = 576; DeepSeek-V2, arXiv:2405.04434, table 1) and an indexer's keys, compressed attention ``d`` for every
    ``rate`` tokens. Layers that share an earlier layer's cache, and encoders, keep none.
    """
    kept = 1.0 if group.keeps_skipped else (group.share + group.prompt_share) / 2
    for mixer in group.mixers:
        for row in _rows(mixer):
            yield row if kept == 1.0 else replace(row, kept=kept)


def states(group: LayerGroup) -> Iterator[State]:
    """Yield the states that each layer of a group keeps of a sequence: recurrent ones and the taps of a convolution."""
    for mixer in group.mixers:
        yield from _states(mixer)


def kv_elements(mixer: Mixer) -> int:
    """Return the elements that one token adds to one layer's cache; rows of several tokens count by their share."""
    return sum(row.elements // row.stride for row in _rows(mixer))
