"""Fit of the collectives' form: ``python -m perfmodel.fitting.collectives --data DIR_OR_CSV [--out FILE]``."""

from __future__ import annotations

from typing import Any

from perfmodel.cost.facts import ChipFacts
from perfmodel.cost.gpu.collectives import expected_s
from perfmodel.cost.link_facts import LinkFacts, link_of_topology
from perfmodel.fitting.bands import QuantileBands
from perfmodel.fitting.command import run
from perfmodel.fitting.common import facts_by_row
from perfmodel.fitting.judging import NOTHING as OFF
from perfmodel.fitting.judging import Terms
from perfmodel.fitting.procedure import Recipe
from perfmodel.fitting.shrinkage import Model, Offsets, Start
from perfmodel.ops import AllGather, AllReduce, AllToAll, ReduceScatter, SendRecv

START = {
    "launch_us": Start(5, 1), "step_us": Start(1.5, 1), "efficiency": Start(0.85, 0.3), "pair_loss": Start(0.5, 1),
    "ramp_us": Start(30, 1), "ramp_mib": Start(10, 1), "bus_power": Start(1.5, 0.5), "outer_us": Start(20, 1),
    "outer_efficiency": Start(0.7, 0.3), "outer_ramp_us": Start(10, 1), "rail_power": Start(1, 0.1),
    "custom_us": Start(4, 1), "custom_step_us": Start(0.2, 1), "oneshot_efficiency": Start(0.6, 0.5),
    "twoshot_efficiency": Start(0.6, 0.5), "twoshot_us": Start(2, 1), "ramp_power": Start(0.5, 0.5),
}  # fmt: skip
KINDS = {kind.KIND: kind for kind in (AllReduce, AllGather, ReduceScatter, AllToAll, SendRecv)}
LIBRARY = ("launch_us", "step_us", "efficiency", "pair_loss", "ramp_us", "ramp_mib")
CUSTOM = ("custom_us", "custom_step_us", "oneshot_efficiency", "twoshot_efficiency", "twoshot_us")
OUTER = ("outer_us", "outer_efficiency", "outer_ramp_us", "rail_power")
OFFSETS = (
    Offsets(("op",), LIBRARY, 0.5),
    Offsets(("timing",), ("launch_us", "step_us", "efficiency", "ramp_us", "ramp_mib"), 0.5),
    Offsets(("wiring",), (*LIBRARY, *CUSTOM), 0.5, without=("switch",)),
    Offsets(("spans",), LIBRARY, 0.5, without=("node",)),
    Offsets(("architecture",), (*LIBRARY, *CUSTOM, "bus_power"), 0.3),
    Offsets(("backend",), (*CUSTOM, "efficiency", "ramp_us", "ramp_mib", "bus_power", "pair_loss"), 0.4),
    Offsets(("architecture", "backend"), (*CUSTOM, "ramp_us"), 0.3),
    Offsets(("op", "dtype"), ("efficiency",), 0.2),
    Offsets(("device", "topology"), OUTER, 1.0),
    Offsets(("device",), ("efficiency", "launch_us"), 0.05),
)
# Up to where each framework was seen to use kernels of its own; "" is a plain good implementation.
LIMITS = (
    {"set": {"custom_limit_mib": 4}},
    {"when": {"backend": "nccl"}, "set": {"custom_limit_mib": 0}},
    {"when": {"backend": "trtllm"}, "set": {"custom_limit_mib": 1}},
    {"when": {"backend": "sglang"}, "set": {"custom_limit_mib": 12}},
)
WIRINGS = {
    "bus": ["pcie", "pcie3", "multi-node(pcie)", "multi-node(pcie3)"],
    "pair": ["pairwise-nvlink+pcie", "multi-node(pairwise-nvlink+pcie)", "nvlink-pair"],
}
REACHES = {
    "bus": ["pcie", "pcie3"],
    "pair": ["pairwise-nvlink+pcie", "nvlink-pair"],
    "switch": ["nvswitch", "nvswitch-nvlink3", "nvswitch-nvlink4", "nvlink3-fully-connected-4"],
}
NODES = [f"multi-node({topology})" for topologies in REACHES.values() for topology in topologies]
"""Topologies by what the error depends on; what none of them names spans nodes."""


def prepare(frame: Any) -> Any:
    """Add the columns ``wiring`` (switch, bus or pair), ``reach`` (the same in a node, else nodes) and ``spans``."""
    wirings = {topology: wiring for wiring, topologies in WIRINGS.items() for topology in topologies}
    reaches = {topology: reach for reach, topologies in REACHES.items() for topology in topologies}
    wiring, reach = frame["topology"].map(wirings).fillna("switch"), frame["topology"].map(reaches).fillna("nodes")
    return frame.assign(wiring=wiring, reach=reach, spans=reach.where(reach == "nodes", "node"))


def rename(rule: dict[str, Any]) -> dict[str, Any]:
    """Write the groups ``wiring``, ``reach`` and ``spans`` as the topologies that they stand for."""
    when = dict(rule.get("when", {}))
    if wiring := when.pop("wiring", None):
        when["topology"] = WIRINGS[wiring]
    if reach := when.pop("reach", None) or when.pop("spans", None):
        when["topology"] = REACHES.get(reach, NODES)
    return {**({"when": when} if when else {}), **{key: value for key, value in rule.items() if key != "when"}}


def _parts(frame: Any) -> list[tuple[Any, Any, ChipFacts, LinkFacts]]:
    import numpy as np

    from perfmodel.devices import load_device

    parts = []
    for (kind, topology, per_node), rows in frame.groupby(["op", "topology", "ranks_per_node"]).indices.items():
        part = frame.iloc[rows]
        ranks, size = part["ranks"].to_numpy(float), part["bytes"].to_numpy(float)
        op = KINDS[str(kind)](ranks=ranks, bytes=size, ranks_per_node=int(per_node), topology=str(topology))
        links = {
            name: link_of_topology(load_device(name), str(topology), int(per_node)) for name in part["device"].unique()
        }
        bandwidth, domain, outer = (
            np.array([getattr(links[name], field) for name in part["device"]], float)
            for field in ("bandwidth_bytes_per_s", "domain_size", "outer_bandwidth_bytes_per_s")
        )
        chip = facts_by_row(part["device"].tolist())
        parts.append((rows, op, chip, LinkFacts(bandwidth, 0.0, str(topology), domain, outer)))
    return parts


def model_of(frame: Any) -> Model:
    """Turn a frame into a function of coefficient arrays."""
    import numpy as np

    parts = _parts(frame)

    def model(c: Any) -> Any:
        out = np.empty(len(frame))
        for rows, op, chip, link in parts:
            out[rows] = expected_s(op, chip, {name: value[rows] for name, value in c.items()}, link)
        return out

    return model


def roofline_of(frame: Any) -> Any:
    """Return the bytes that a rank sends over the bandwidth of its slowest link."""
    import numpy as np

    out = np.empty(len(frame))
    for rows, op, _, link in _parts(frame):
        crosses = op.ranks > link.domain_size
        slowest = np.where(crosses, link.outer_bandwidth_bytes_per_s, link.bandwidth_bytes_per_s)
        out[rows] = op.sent_bytes() / slowest
    return out


TERMS: Terms = {
    "fixed time of two ranks": {"launch_us": OFF},
    "time of a further rank": {"step_us": OFF},
    "loss with few ranks": {"pair_loss": OFF},
    "filling the pipeline": {"ramp_us": OFF},
    "fill time falls with bandwidth": {"ramp_power": OFF},
    "contention on a shared bus": {"bus_power": OFF},
    "latency between domains": {"outer_us": OFF, "outer_ramp_us": OFF},
    "one-shot all-reduce": {"oneshot_efficiency": OFF},
    "two-shot all-reduce": {"twoshot_efficiency": OFF},
    "frameworks' own all-reduce": {"oneshot_efficiency": OFF, "twoshot_efficiency": OFF},
}
"""Physical terms, and where their coefficients switch them off."""

FIT = Recipe(
    operator="collectives", form="latency, ramp and hierarchical bandwidth; one-shot and two-shot all-reduce, v1",
    data=("ai-dynamo/aiconfigurator performance tables, commit 095f58a5, Apache-2.0", "microsoft/vidur, MIT",
          "microsoft/apex_plus, MIT", "PrincetonUniversity/LLMCompass, BSD-3"),
    shape=("ranks", "bytes", "ranks_per_node"), start=START, offsets=OFFSETS, fixed=LIMITS, prepare=prepare,
    model_of=model_of, roofline_of=roofline_of, group="reach", table_by=("reach", "device", "op", "backend"),
    row_weight=0.2, bands=QuantileBands((("reach",), ("backend", "reach"), ("reach", "device")), rename=rename),
    rename=rename, terms=TERMS,
)  # fmt: skip

if __name__ == "__main__":
    run(FIT)
