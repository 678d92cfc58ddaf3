"""Fit the forms of causal convolutions and scans on measured kernels.

``python -m perfmodel.fitting.recurrence --data CSV [--out FILE]``

The CSV has the columns of AIConfigurator's tables of Mamba-2, gated delta net and Kimi delta attention kernels.
"""

from __future__ import annotations

from typing import Any

from perfmodel.fitting.bands import QuantileBands, Rule
from perfmodel.fitting.command import run
from perfmodel.fitting.common import facts_by_row
from perfmodel.fitting.judging import NOTHING, Terms
from perfmodel.fitting.levels import LevelFit
from perfmodel.fitting.shrunken import Specification

_OP, _BACKEND, _ARCHITECTURE, _DEVICE = ("op",), ("backend",), ("architecture",), ("device",)
_OP_BACKEND, _OP_DEVICE, _BACKEND_ARCHITECTURE = ("op", "backend"), ("op", "device"), ("backend", "architecture")
_THREE = ("op", "backend", "architecture")

SPECIFICATION: Specification = {
    "launch_us": (4.0, [(_OP, 1.0), (_OP_BACKEND, 0.5), (_ARCHITECTURE, 0.2), (_THREE, 0.2), (_DEVICE, 0.1)]),
    "token_us": (0.2, [(_OP, 1.0), (_OP_BACKEND, 0.5), (_ARCHITECTURE, 0.2)]),
    "memory_efficiency": (
        0.8,
        [(_OP, 0.1), (_ARCHITECTURE, 0.15), (_OP_BACKEND, 0.15), (_THREE, 0.1), (_DEVICE, 0.05)],
    ),
    "fabric_bytes_per_clock": (
        25.0,
        [(_OP, 0.5), (_ARCHITECTURE, 0.2), (_OP_BACKEND, 0.3), (_THREE, 0.2), (_DEVICE, 0.1)],
    ),
    "cache_share": (0.8, [(_OP, 0.3), (_ARCHITECTURE, 0.2)]),
    "conv_tile": (8.0, [(_BACKEND, 1.0)]),
    "conv_token_clk": (0.1, [(_BACKEND, 1.0), (_ARCHITECTURE, 0.2), (_BACKEND_ARCHITECTURE, 0.4)]),
    "conv_prefill_us": (0.5, [(_BACKEND, 1.0), (_BACKEND_ARCHITECTURE, 0.7)]),
    "conv_state_passes": (1.5, [(_BACKEND, 0.5)]),
    "scan_chunk": (64.0, [(_BACKEND, 1.0)]),
    "scan_padding": (0.4, [(_BACKEND, 0.5)]),
    "scan_flops_per_clock": (
        500.0,
        [(_BACKEND, 0.5), (_ARCHITECTURE, 0.3), (_BACKEND_ARCHITECTURE, 0.3), (_DEVICE, 0.1)],
    ),
    "scan_serial": (0.5, [(_BACKEND, 0.5)]),
    "scan_walk_kclk": (5.0, [(_BACKEND, 0.5), (_ARCHITECTURE, 0.2), (_BACKEND_ARCHITECTURE, 0.2)]),
    "scan_passes": (4.0, [(_BACKEND, 0.5), (_BACKEND_ARCHITECTURE, 0.4)]),
    "channel_launch": (1.2, [(_BACKEND, 0.3)]),
    "channel_work": (1.2, [(_BACKEND, 0.5), (_BACKEND_ARCHITECTURE, 0.3)]),
    "channel_walk": (1.2, [(_BACKEND, 0.5), (_BACKEND_ARCHITECTURE, 0.3)]),
    "channel_passes": (1.2, [(_BACKEND, 0.4), (_BACKEND_ARCHITECTURE, 0.3)]),
    "step_checkpoint": (1.0, [(_BACKEND, 0.3)]),
}

STARTS = {("conv_tile", _BACKEND, ("trtllm",)): 4.852}
"""ln(1024/8): the CUDA kernel takes up to 1024 tokens of a channel a block, the Triton kernels 8."""

FROZEN = ("conv_tile", "scan_chunk")
"""Tile sizes known from the kernels' sources."""

BY_REASON: list[dict[str, Any]] = [
    {"set": {"vector_efficiency": 0.25},
     "note": "not measured: a decay, an exponential and three products an element at a fraction of the vector peak"},
]  # fmt: skip
"""Rules for what was never measured."""

FUSED = ("fused_kda_decode", "kda_fused_decode", "fused_kda_decode_mtp_dspark")
"""Kernels that hold convolution, step and norm at once: no single operator, so reported and not fitted."""


def select(frame: Any) -> tuple[Any, dict[str, int]]:
    """Return the rows to fit on, with operator and shape columns, and how many were left out for which reason.

    How the benchmarks differ from serving: the convolution of gated delta nets was run on the key channels only for
    TensorRT-LLM and SGLang 0.5.10 (whose CUDA kernel is TensorRT-LLM's; later ones run Triton); the three convolutions
    of ``causal_conv1d_fn_qkv3`` are three kernels of a third of the channels, so that one of them is a row;
    TensorRT-LLM's chunks were run without a state; ``fused_recurrent_gated_delta_rule`` reads a state of 16 bits and
    writes one of 32 (3 bytes an element on average).
    """
    import numpy as np

    conv = frame["kernel"].str.startswith("causal_conv1d")
    context = frame["phase"] == "context"
    keys = frame["num_k_heads"] * frame["head_k_dim"]
    values = frame["num_v_heads"] * frame["head_v_dim"]
    mamba = frame["nheads"] * frame["head_dim"] + 2 * frame["n_groups"] * frame["d_state"]
    channels = np.where(frame["op_family"] == "mamba2", mamba, 2 * keys + values)
    keys_only = (frame["op_family"] == "gdn") & ((frame["backend"] == "trtllm") | (frame["version"] == "0.5.10"))
    channels = np.where(keys_only, keys, channels)
    mixed = frame["kernel"] == "fused_recurrent_gated_delta_rule"
    third = frame["kernel"] == "causal_conv1d_fn_qkv3"
    by_channel = frame["op_family"] == "kda"
    work = frame.assign(
        op=np.where(conv, "causal_conv", np.where(context, "scan_prefill", "scan_decode")),
        sequences=frame["batch"],
        tokens=frame["seq_len"],
        channels=np.where(conv, np.where(third, keys, channels), 0),
        taps=frame["d_conv"],
        heads=frame["num_v_heads"].where(~conv, 0),
        key_heads=frame["num_k_heads"].where(~conv, 0),
        key_dim=frame["head_k_dim"],
        value_dim=frame["head_v_dim"],
        gates=(frame["num_v_heads"] * np.where(by_channel, frame["head_k_dim"] + 1, 2)).where(~conv, 0),
        backend=frame["backend"].where(~(conv & (frame["version"] == "0.5.10")), "trtllm"),
        state_element_bytes=np.where(mixed, 3.0, np.where(context & (frame["backend"] == "trtllm"), 0.0, 4.0)),
        latency_us=frame["latency_us"] / np.where(third, 3, 1),
    )
    left_out = {
        "fused kernels (convolution, step and norm)": frame["kernel"].isin(FUSED),
        "vLLM's three convolutions: host time in every call": third & (frame["backend"] == "vllm"),
        "prefill convolutions of one token: an update in serving": conv & context & (frame["seq_len"] == 1),
    }
    dropped = np.logical_or.reduce([rows.to_numpy() for rows in left_out.values()])
    return work[~dropped].reset_index(drop=True), {why: int(rows.sum()) for why, rows in left_out.items()}


class Rows:
    """Measured rows as operators: one vectorised operator for each kind."""

    def __init__(self, frame: Any) -> None:
        from perfmodel.ops.recurrence import CausalConv, ScanDecode, ScanPrefill

        self.measured = frame["latency_us"].to_numpy() * 1e-6
        self.groups: list[Any] = []
        for kind, rows in frame.groupby("op").indices.items():
            part = frame.iloc[rows]

            def column(name: str, part: Any = part) -> Any:
                return part[name].to_numpy(dtype=float)

            if kind == "causal_conv":
                op = CausalConv(*(column(name) for name in ("sequences", "tokens", "channels", "taps")))
            else:
                names = ("sequences", "tokens", "heads", "key_heads", "key_dim", "value_dim", "gates")
                build = ScanPrefill if kind == "scan_prefill" else ScanDecode
                shape = (column(name) for name in names)
                op = build(*shape, rule="delta", state_element_bytes=column("state_element_bytes"))
            self.groups.append((rows, op, facts_by_row(part["device"].tolist())))

    def seconds(self, coefficients: Any) -> Any:
        """Return the form's time of every row."""
        import numpy as np

        from perfmodel.cost.gpu.recurrence import conv_s, scan_decode_s, scan_prefill_s

        forms = {"causal_conv": conv_s, "scan_prefill": scan_prefill_s, "scan_decode": scan_decode_s}
        times = np.empty(len(self.measured))
        for rows, op, chip in self.groups:
            here = {name: value[rows] for name, value in coefficients.items()}
            times[rows] = forms[op.KIND](op, chip, here)
        return times

    def roofline_s(self) -> Any:
        """Return the datasheet roofline of every row."""
        import numpy as np

        times = np.empty(len(self.measured))
        for rows, op, chip in self.groups:
            counts = op.counts()
            memory = counts.total_bytes() / chip.memory_bandwidth_bytes_per_s
            matrix = counts.filter_flops(engine="tensor").total_flops() / chip.peak_flops_per_s("bfloat16")
            times[rows] = np.maximum(memory, matrix)
        return times


BARE: list[Rule] = [
    {"when": {"backend": ""}, "set": {"p10": 0.5, "p90": 1.9}},
    {"when": {"backend": "", "op": "scan_decode"}, "set": {"p10": 0.8, "p90": 1.3}},
]
"""Where no framework is named it may be any of theirs, and their kernels differ: the spread over them all."""


class RecurrenceBands(QuantileBands):
    """Quantiles, and last what no measurement says: which framework's kernel it is."""

    def rules(self, frame: Any, held: Any, fitted: Any, left_out: Any) -> list[Rule]:
        return [*super().rules(frame, held, fitted, left_out), *BARE]


def prepare(frame: Any) -> Any:
    """Return the rows to fit on, in the columns of ``perfmodel kernels``; print how many were left out and why."""
    frame, left = select(frame)
    print(f"{len(frame)} rows; left out: {left}")
    return frame.assign(kernel=frame["taps"], rule="delta")


def expand(keys: tuple[str, ...], values: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the ``when`` mapping of a level's value."""
    return [dict(zip(keys, values, strict=True))]


TERMS: Terms = {
    "launch": {"launch_us": NOTHING},
    "time of a token": {"token_us": NOTHING, "conv_token_clk": NOTHING},
    "cache fabric": {"fabric_bytes_per_clock": 1e6},
    "operands that stay in the cache": {"cache_share": NOTHING},
    "preparation of a prefill's convolution": {"conv_prefill_us": NOTHING},
    "walk along the chunks": {"scan_walk_kclk": NOTHING},
}
"""Physical terms, and where their coefficients switch them off."""

FIT = LevelFit(
    operator="recurrence", form="chunks/2 (perfmodel/cost/gpu/recurrence.py)",
    data=("ai-dynamo/aiconfigurator, Apache-2.0",), file="ssm",
    shape=("op", "sequences", "tokens", "channels", "heads", "key_heads", "gates"), specification=SPECIFICATION,
    starts=STARTS, constants=FROZEN, rows_of=Rows, prepare=prepare, expand=expand, by_reason=BY_REASON,
    group="op", table_by=("op", "device"), bands=RecurrenceBands((_OP, _BACKEND, _OP_BACKEND), least=40), terms=TERMS,
    robust=0.12, noise=0.17, wide=0.0, iterations=60, again=15,
    extra={"rows_not_used": ["kernels that fuse convolution, step and norm",
                             "vLLM's three convolutions: host time in every call",
                             "prefill convolutions of one token: an update in serving"]},
)  # fmt: skip


if __name__ == "__main__":
    run(FIT)
