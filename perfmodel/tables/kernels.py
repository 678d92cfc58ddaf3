"""``perfmodel kernels``: rows of single operators, as kernel benchmarks time them, and their predicted latency."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from perfmodel import ops
from perfmodel.arguments import truth
from perfmodel.cost.engines.registry import engines_of
from perfmodel.cost.facts import chip_facts
from perfmodel.cost.link_facts import link_for
from perfmodel.cost.machine import Machine
from perfmodel.cost.operator_cost import operator_cost
from perfmodel.devices import load_device
from perfmodel.errors import InputError, did_you_mean
from perfmodel.formats import find_cache_encoding, find_format, runnable_format
from perfmodel.numeric import Number
from perfmodel.ops import OPERATORS, Operator
from perfmodel.ops.routing import parse_routing
from perfmodel.specs.locate import is_path
from perfmodel.tables.engine_kernels import ENGINE_KINDS
from perfmodel.tables.kernel_kind import Kind, columns
from perfmodel.tables.layer_kernels import LAYER_KINDS
from perfmodel.tables.pim_kernels import PIM_KINDS
from perfmodel.tables.stream import Job, Progress, Row, Summary, number, process, word

OUTPUTS = (
    "latency_us", "bound_us", "p10_us", "p90_us", "bottleneck", "flops", "bytes", "cycles", "utilisation", "error",
)  # fmt: skip
BACKENDS = ("", "trtllm", "vllm", "sglang", "nccl")
TIMINGS = ("cuda_graph", "kernel", "nccl_tests", "wall")


@dataclass(frozen=True)
class KernelKey:
    """What rows that share a formula have in common; ``device`` is a name, or the path of a file."""

    op: str
    device: str
    backend: str
    timing: str
    dtype: str
    statics: tuple[Hashable, ...]


def run_kernels(source: str, target: str, progress: Progress | None = None) -> Summary:
    """Read kernels (a CSV path or ``-``), write their predictions beside them, and say how many were answered.

    Columns in and out are those of the command's contract; unknown columns are carried through. The bound charges
    memory only for bytes that cannot stay in the last-level cache between repetitions of the kernel.
    """
    return process(source, target, OUTPUTS, kernel_job, _evaluate, progress)


def kernel_job(row: Row) -> Job:
    """Return a row made ready: its :class:`KernelKey` and the numbers of its shape.

    Errors: :class:`InputError` that names the column, :class:`SpecError` of the device.
    """
    op = word(row, "op", None)
    if op not in _KINDS:
        raise InputError(f"unknown op '{op}'{did_you_mean(op, _KINDS)} (known: {', '.join(_KINDS)})")
    kind = _KINDS[op]
    numbers = tuple(number(row, name, default, least) for name, default, least in kind.columns)
    shape = dict(zip((name for name, _, _ in kind.columns), numbers, strict=True))
    _check_shape(shape, causal=_flag(row, "causal", True))
    backend, timing = word(row, "backend"), word(row, "timing", "cuda_graph")
    for what, value, known in (("backend", backend, BACKENDS), ("timing", timing, TIMINGS)):
        if value not in known:
            raise InputError(
                f"unknown {what} '{value}'{did_you_mean(value, known)} (known: {', '.join(filter(None, known))})"
            )
    spelled = word(row, "device", None if kind.needs_device else "")
    name = load_device(spelled).name if spelled else ""
    device = spelled if is_path(spelled) else name
    key = KernelKey(op, device, backend, timing, word(row, "dtype", "bfloat16"), kind.statics(row))
    if kind.check:
        kind.check(shape, key.statics)
    return Job(key, numbers)


def _check_shape(x: Mapping[str, float], causal: bool) -> None:
    for part, whole in (("q_tokens", "kv_tokens"), ("topk", "experts"), ("kv_heads", "heads"), ("ep", "experts")):
        if part in x and x[part] > x[whole] and (causal or part != "q_tokens"):
            raise InputError(f"column {part}: {x[part]:g} is more than {whole}, {x[whole]:g}")


def _evaluate(key: Hashable, numbers: Any) -> Mapping[str, Any]:
    assert isinstance(key, KernelKey)
    answer = _KINDS[key.op].answer
    if answer:
        return answer(list(numbers), (*key.statics, key.dtype), key.device)
    op, machine = kernel_of(key, numbers)
    cost, counts = operator_cost(op, machine), op.counts()
    parts = (cost.bound.compute_s, cost.bound.memory_s, cost.bound.link_s)
    return {
        "latency_us": cost.expected_s * 1e6,
        "bound_us": cost.bound_s * 1e6,
        "p10_us": cost.p10_s * 1e6,
        "p90_us": cost.p90_s * 1e6,
        "bottleneck": _names_of_largest(parts, numbers.shape[1]),
        "flops": counts.total_flops(),
        "bytes": counts.total_bytes() + counts.total_bytes("link") * 0.5,
        "error": "",
    }


def one_kernel(row: Row) -> dict[str, Any]:
    """Return the columns out of one row as plain values; its errors are raised, not put in a column."""
    import numpy as np

    job = kernel_job(row)
    found = _evaluate(job.key, np.array([[value] for value in job.numbers], dtype=float))
    return {name: _first(value) for name, value in found.items() if name != "error"}


def _first(value: Any) -> Any:
    one = value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value
    try:
        return float(one)
    except ValueError:
        return one


def kernel_of(key: KernelKey, numbers: Any) -> tuple[Operator, Machine]:
    """Return the operator of a key with its numbers (arrays of them: shape (numbers, rows)), and what it runs on."""
    chip = _chip(key.device)
    device = load_device(key.device)
    engines = engines_of(device, chip) if device.engines else ()
    machine = Machine(chip, _link(key), key.backend, key.timing, warm=True, engines=engines, mix=device.mix)
    return _KINDS[key.op].build(list(numbers), (*key.statics, key.dtype), frozenset(chip.peaks)), machine


def _names_of_largest(parts: tuple[Number, ...], count: int) -> list[str]:
    import numpy as np

    stacked = np.stack([np.broadcast_to(np.asarray(p, dtype=float), (count,)) for p in parts])
    return [("compute", "memory", "link")[i] for i in stacked.argmax(axis=0)]


@lru_cache(maxsize=128)
def _chip(device: str) -> Any:
    return chip_facts(load_device(device))


def _link(key: KernelKey) -> Any:
    if key.op not in _COLLECTIVES:
        return None
    ranks_per_node, topology = key.statics
    return link_for(load_device(key.device), str(topology), int(str(ranks_per_node)))


def _flag(row: Row, name: str, default: bool) -> bool:
    return truth(f"column {name}", word(row, name, str(default)))


def _linear(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    quantises, dtype = s
    return ops.Linear(*x, format=_named(runnable_format(dtype, peaks), dtype), quantises_input=quantises)


def _named(form: Any, dtype: str) -> Any:
    return replace(form, name=find_format(dtype).name)


def _arithmetic(dtype: str, peaks: frozenset[str]) -> str:
    return runnable_format(dtype, peaks).compute


def _prefill(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    causal, kv_dtype, dtype = s
    cache = find_cache_encoding(kv_dtype or dtype)
    return ops.AttentionPrefill(*x, causal=causal, dtype=_arithmetic(dtype, peaks), cache=cache)


def _decode(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    kv_dtype, dtype = s
    return ops.AttentionDecode(*x, dtype=_arithmetic(dtype, peaks), cache=find_cache_encoding(kv_dtype or dtype))


def _mla_prefill(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    kv_dtype, dtype = s
    return ops.MlaPrefill(*x, dtype=_arithmetic(dtype, peaks), cache=find_cache_encoding(kv_dtype or dtype))


def _mla_decode(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    kv_dtype, dtype = s
    return ops.MlaDecode(*x, dtype=_arithmetic(dtype, peaks), cache=find_cache_encoding(kv_dtype or dtype))


def _experts(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    distribution, gated, dtype = s
    form = _named(runnable_format(dtype, peaks), dtype)
    return ops.Experts(*x, format=form, routing=parse_routing(distribution), gated=gated)


def _conv(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
    del s, peaks
    return ops.CausalConv(*x)


def _scan(kind: str) -> Callable[[Sequence[Number], tuple[Any, ...], frozenset[str]], Operator]:
    def build(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
        rule, state_bytes, dtype = s
        if rule not in RULES:
            raise InputError(
                f"column rule: unknown rule '{rule}'{did_you_mean(rule, RULES)} (known: {', '.join(RULES)})"
            )
        return OPERATORS[kind](*x, rule, state_bytes, _arithmetic(dtype, peaks))  # type: ignore[call-arg]

    return build


def _row_wise(kind: str) -> Callable[[Sequence[Number], tuple[Any, ...], frozenset[str]], Operator]:
    def build(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
        del peaks
        return OPERATORS[kind](*x, element_bytes=4.0 if s[-1] == "float32" else 2.0, kernels=s[0])  # type: ignore[call-arg]

    return build


def _collective(kind: str) -> Callable[[Sequence[Number], tuple[Any, ...], frozenset[str]], Operator]:
    def build(x: Sequence[Number], s: tuple[Any, ...], peaks: frozenset[str]) -> Operator:
        del peaks
        ranks_per_node, topology, dtype = s
        return OPERATORS[kind](*x, ranks_per_node, topology, dtype)  # type: ignore[call-arg]

    return build


def _kv(row: Row) -> str:
    return word(row, "kv_dtype")


RULES = ("decay", "delta", "element")
_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "all_to_all", "send_recv")
_ROW_WISE = ("rmsnorm", "layernorm", "activation", "gated_activation", "add", "softmax")
_MLA_DIMS = {"kv_lora_rank": 512.0, "rope_dim": 64.0, "nope_dim": 128.0, "v_dim": 128.0}
_KINDS: dict[str, Kind] = {
    "gemm": Kind(columns("m", "n", "k"), lambda r: (_flag(r, "includes_quantisation", False),), _linear),
    "attention_prefill": Kind(
        columns("batch", "q_tokens", "kv_tokens", "heads", "kv_heads", "head_dim", "window", window=0),
        lambda r: (_flag(r, "causal", True), _kv(r)), _prefill,
    ),
    "attention_decode": Kind(
        columns("batch", "kv_tokens", "heads", "kv_heads", "head_dim", "window", window=0),
        lambda r: (_kv(r),), _decode,
    ),
    "mla_prefill": Kind(
        columns(
            "batch", "q_tokens", "kv_tokens", "heads", "kv_lora_rank", "rope_dim", "nope_dim", "v_dim", **_MLA_DIMS
        ),
        lambda r: (_kv(r),), _mla_prefill,
    ),
    "mla_decode": Kind(
        columns("batch", "q_tokens", "kv_tokens", "heads", "kv_lora_rank", "rope_dim", q_tokens=1, **_MLA_DIMS),
        lambda r: (_kv(r),), _mla_decode,
    ),
    "moe": Kind(
        columns("tokens", "hidden", "intermediate", "topk", "experts", "tp", "ep", tp=1, ep=1),
        lambda r: (word(r, "distribution", "uniform"), _flag(r, "gated", True)), _experts,
    ),
    "causal_conv": Kind(columns("batch", "tokens", "channels", "kernel", tokens=1, kernel=4), lambda _: (), _conv),
    **{
        k: Kind(
            columns("batch", "tokens", "heads", "key_heads", "key_dim", "value_dim", "gates", tokens=1, gates=1),
            lambda r: (word(r, "rule", "decay"), number(r, "state_element_bytes", 4.0)), _scan(k),
        )
        for k in ("scan_prefill", "scan_decode")
    },
    **{k: Kind(columns("rows", "cols"), lambda r: (int(number(r, "kernels", 1)),), _row_wise(k)) for k in _ROW_WISE},
    **LAYER_KINDS,
    **ENGINE_KINDS,
    **PIM_KINDS,
    **{
        k: Kind(columns("ranks", "bytes"), lambda r: (int(number(r, "ranks_per_node", 0, 0)), word(r, "topology")),
                 _collective(k))
        for k in _COLLECTIVES
    },
}  # fmt: skip
