"""Which architectures run matrix kernels of their own, and which share general ones.

Hopper's and datacentre Blackwell's matrix units take operands from shared or tensor memory by instructions of their own
(wgmma, tcgen05), so that libraries write kernels for each. All others run the same kernels with ``mma.sync``: what one
of them shows holds for the rest, and it is the base that an architecture never measured gets.
"""

from __future__ import annotations

from typing import Any

DEDICATED = ("hopper", "blackwell")
GENERAL = ("ada", "ampere")
"""Measured architectures that run general kernels."""

SAME_CORES = {"ada": ["ada", "blackwell-workstation"]}
"""Architectures whose cores do as much a clock (1024 dense 16-bit flops, 99 KiB of shared memory a block)."""


def add_generation(frame: Any) -> Any:
    """Add ``generation``: the architecture where it has kernels of its own, else general; and ``kernels``: which."""
    architecture = frame["architecture"]
    dedicated = architecture.isin(DEDICATED)
    kernels = dedicated.map({True: "dedicated", False: "general"})
    return frame.assign(generation=architecture.where(dedicated, "general"), kernels=kernels)


def rename_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """Write the group of a rule in words that a device is looked up by: a generation is its architecture."""
    when: dict[str, Any] = dict(rule.get("when", {}))
    if "generation" in when:
        when["architecture"] = when.pop("generation")
    if when.pop("kernels", None):
        when["architecture"] = list(DEDICATED)
    name = when.get("architecture")
    if isinstance(name, str) and "device" not in when:
        when["architecture"] = SAME_CORES.get(name, name)
    return {**({"when": when} if when else {}), **{key: value for key, value in rule.items() if key != "when"}}
