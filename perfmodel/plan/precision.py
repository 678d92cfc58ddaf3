"""Which format each part of a model runs in on a given engine."""

from __future__ import annotations

from dataclasses import dataclass

from perfmodel.formats import Encoding, Format, find_cache_encoding, find_format, runnable_format
from perfmodel.workloads.spec import LanguageModel


@dataclass(frozen=True)
class Precisions:
    """Formats of the linear layers, attention projections, experts and head, and the cache's encoding.

    ``attention_dtype`` is the dtype of the scores' and values' products; ``names`` echo what was asked for.
    """

    linear: Format
    attention: Format
    experts: Format
    lm_head: Format
    router: Format
    cache: Encoding
    attention_dtype: str
    base_bytes: float = 2.0


def choose_precisions(
    model: LanguageModel,
    peaks: frozenset[str],
    precision: str | None = None,
    moe_precision: str | None = None,
    kv_precision: str | None = None,
    served: bool = False,
) -> Precisions:
    """Return the formats that run: the arguments where given, else the checkpoint's, as the engine can run them.

    ``precision`` applies to every linear layer but router and LM head; experts take ``moe_precision``, else
    ``precision``. The cache is fp8 when the checkpoint or the caller says so, and when a framework serves (``served``)
    with 8- or 4-bit arithmetic that was asked for, as quantised checkpoints set it; otherwise the 16-bit type.
    """
    stored = model.quantisation
    base = stored.base if stored.base in peaks else ("bfloat16" if "bfloat16" in peaks else "float16")
    if precision is not None and find_format(precision).weight.bits == 16:
        base = find_format(precision).name if find_format(precision).compute in peaks else base
    linear = _as_stored(precision, stored.linear)
    experts = _as_stored(moe_precision or precision, stored.experts)
    running = runnable_format(linear, peaks)
    narrow = served and precision is not None and running.compute in ("fp8", "fp4")
    cache = find_cache_encoding(kv_precision or stored.kv or ("fp8" if narrow else base))
    return Precisions(
        linear=running,
        attention=runnable_format(_as_stored(precision, stored.attention), peaks),
        experts=runnable_format(experts, peaks),
        lm_head=runnable_format(base if precision else stored.lm_head, peaks),
        router=runnable_format(base, peaks),
        cache=cache,
        attention_dtype=base,
    )


def _as_stored(asked: str | None, stored: str) -> str:
    """Return the precision asked for; ``fp8`` of a checkpoint that is in block-scaled fp8 means just that."""
    if asked is None or (find_format(asked).name == "fp8" and stored == "fp8_block"):
        return stored
    return asked
