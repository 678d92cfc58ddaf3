"""Times kernels with PyTorch: CUDA graphs between events on a GPU, the clock on the wall on a CPU.

A GEMM goes round over :data:`WEIGHT_COPIES` copies of its weights, as the benchmarks that the library was calibrated on
do, so that weights come from memory unless a fifth of the cache holds them. Attention and copies repeat on theirs.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from perfmodel.errors import InputError
from perfmodel.measuring.grid import Case

WEIGHT_COPIES = 5
_LOOP_S, _REPLAYS, _MOST_CALLS = 0.01, 7, 200
DTYPES = ("bfloat16", "float16", "float32")


class TorchBench:
    """Kernels of PyTorch on one device, ``cuda`` (also AMD's) or ``cpu``.

    Errors: :class:`InputError` without PyTorch, or without the device.
    """

    def __init__(self, kind: str = "") -> None:
        self.torch: Any = _torch()
        has_gpu = bool(self.torch.cuda.is_available())
        if kind == "cuda" and not has_gpu:
            raise InputError("PyTorch finds no GPU here; --device-kind cpu times the processor")
        self.kind = kind or ("cuda" if has_gpu else "cpu")
        self.timing = "cuda_graph" if self.kind == "cuda" else "wall"
        self.name = str(self.torch.cuda.get_device_name()) if self.kind == "cuda" else ""
        self.source = f"perfmodel measure, PyTorch {self.torch.__version__} on {self.name or 'the processor'}"

    def memory_bytes(self) -> float:
        """Return how much memory one kernel's operands may take: a quarter of what is free (of a CPU, 1 GB)."""
        return 0.25 * float(self.torch.cuda.mem_get_info()[0]) if self.kind == "cuda" else 1e9

    def latency_us(self, case: Case) -> float:
        """Return the median time of one execution."""
        with self.torch.inference_mode():
            calls = self._calls(case)
            found = self._graph_us(calls) if self.kind == "cuda" else self._wall_us(calls)
        if self.kind == "cuda":
            del calls
            self.torch.cuda.empty_cache()
        return found

    def _calls(self, case: Case) -> list[Callable[[], Any]]:
        """Return the executions that one round of the loop makes."""
        torch, nn = self.torch, self.torch.nn.functional
        if case.op == "gemm":
            x = self._random(case, case["m"], case["k"])
            weights = [self._random(case, case["n"], case["k"]) for _ in range(WEIGHT_COPIES)]
            return [_call(nn.linear, x, w) for w in weights]
        if case.op in ("activation", "add"):
            x = self._random(case, case["rows"], case["cols"])
            return [_call(nn.silu, x) if case.op == "activation" else _call(torch.add, x, torch.clone(x))]
        prefill = case.op == "attention_prefill"
        q_tokens = case["q_tokens"] if prefill else 1
        q = self._random(case, case["batch"], case["heads"], q_tokens, case["head_dim"])
        k, v = (self._random(case, case["batch"], case["kv_heads"], case["kv_tokens"], case["head_dim"]) for _ in "kv")
        return [
            lambda: nn.scaled_dot_product_attention(
                q, k, v, is_causal=prefill, enable_gqa=case["heads"] != case["kv_heads"]
            )
        ]

    def _random(self, case: Case, *shape: int) -> Any:
        """Return normal numbers: zeros would draw less power, and run faster than real weights do."""
        dtype = getattr(self.torch, case.dtype)
        return self.torch.randn(*shape, dtype=self.torch.float32, device=self.kind).mul_(0.1).to(dtype)

    def _graph_us(self, calls: list[Callable[[], Any]]) -> float:
        torch = self.torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for call in calls * 2:
                call()
            once_s = self._events_s(lambda: [call() for call in calls]) / len(calls)
        torch.cuda.current_stream().wait_stream(side)
        rounds = max(1, min(_MOST_CALLS, round(_LOOP_S / max(once_s, 1e-7))) // len(calls))
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for _ in range(rounds):
                for call in calls:
                    call()
        graph.replay()
        times = [self._events_s(graph.replay) for _ in range(_REPLAYS)]
        return 1e6 * statistics.median(times) / (rounds * len(calls))

    def _events_s(self, run: Callable[[], Any]) -> float:
        torch = self.torch
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return float(start.elapsed_time(end)) * 1e-3

    @staticmethod
    def _wall_us(calls: list[Callable[[], Any]]) -> float:
        def once_s() -> float:
            start = time.perf_counter()
            for call in calls:
                call()
            return (time.perf_counter() - start) / len(calls)

        once_s()
        first = once_s()
        rounds = max(3, min(_MOST_CALLS, round(_LOOP_S / max(first, 1e-7))))
        return 1e6 * statistics.median(once_s() for _ in range(rounds))


def _call(function: Callable[..., Any], *operands: Any) -> Callable[[], Any]:
    return lambda: function(*operands)


def _torch() -> Any:
    try:
        return import_module("torch")
    except ImportError:
        raise InputError(
            "perfmodel measure needs PyTorch: pip install 'perfmodel[measure]', or your GPU's build from pytorch.org"
        ) from None
