"""The shape of a device file, ``schema: device/1``, as a table of rules."""

from __future__ import annotations

from typing import Any

from perfmodel.errors import did_you_mean
from perfmodel.specs.provenance import SOURCES_RULE
from perfmodel.specs.schema import Block, Date, Either, Listing, Open, Quantity, Reading, Real, Table, Text, Whole
from perfmodel.specs.yaml_strict import Node

SCHEMA = "device/1"
SYSTEM_SCHEMA = "system/1"

KINDS = ("gpu", "tpu", "npu", "apu", "cpu", "soc", "edge", "fpga", "systolic", "pim", "wafer", "dataflow")
ARCHITECTURES = (
    "volta",
    "turing",
    "ampere",
    "ada",
    "hopper",
    "blackwell",
    "blackwell-workstation",
    "cdna2",
    "cdna3",
    "cdna4",
    "battlemage",
    "tpu-v5e",
    "tpu-v5p",
    "tpu-v6e",
    "tpu-v4",
    "tpu-v7",
    "gaudi2",
    "gaudi3",
    "davinci",
    "apple-neural-engine",
    "cascade-lake",
    "cortex-a72",
    "edge-tpu",
    "hailo",
    "ice-lake",
    "maxwell",
    "neuron-v1",
    "pascal",
    "rknpu",
    "warboy",
    "neuron-v2",
    "neuron-v3",
    "apple-gpu",
    "hexagon",
    "cortex-a76",
    "sapphire-rapids",
    "zen4",
    "cxl-pnm",
    "rbln",
    "raptor-lake",
    "cdna",
    "cdna5",
    "rubin",
    "rdna3",
    "rdna3.5",
    "rdna4",
    "vega",
    "alchemist",
    "xe-hpc",
    "tpu-v1",
    "tpu-v2",
    "tpu-v3",
    "neuron-v4",
    "tensix",
    "ipu",
    "maia",
    "mtia",
    "mediatek-apu",
    "pixel-tpu",
    "exynos-npu",
    "cortex-a53",
    "cambricon",
    "systolic-array",
    "hbm-pim",
    "gddr6-aim",
    "attacc",
    "duplex",
    "upmem",
    "neoverse",
)
"""Architectures that are known, a calibration family each; a device may name a new one (:class:`_Architecture`)."""


class _Architecture(Text):
    """A word for an architecture: one that is known, or a new one that is no misspelling of a known one."""

    def read(self, node: Node, path: str, reading: Reading, source: str | None) -> Any:
        word = super().read(node, path, reading, source)
        if word is None or word in ARCHITECTURES:
            return word
        from difflib import get_close_matches  # only a new word pays for it

        near = get_close_matches(word, ARCHITECTURES, cutoff=0.8)
        # another generation ("zen5") differs in its digits, a slip ("hoper") in its letters
        if not near or _letters(word) in {_letters(known) for known in near}:
            return word
        return reading.fault(node, path, f"must not be '{word}'{did_you_mean(word, ARCHITECTURES)}")


def _letters(word: str) -> str:
    return "".join(letter for letter in word if letter.isalpha())


ENGINES = ("tensor", "vector")
DTYPES = ("float64", "float32", "tf32", "float16", "bfloat16", "fp8", "fp6", "fp4", "int8", "int4")
SPARSITIES = ("dense", "2:4")
ROLES = ("main", "last_level_cache", "cache", "scratchpad", "host", "storage")
SCOPES = ("scale_up", "scale_out", "host")
TOPOLOGIES = (
    "nvswitch",
    "nvlink-pair",
    "fully-connected",
    "pcie",
    "c2c",
    "torus-2d",
    "torus-3d",
    "network",
    "flat",
    "cube-mesh",
)

PRICE_KINDS = ("cloud_hour", "spot_hour", "reserved_hour", "purchase")
"""An hour of a device on demand, on the spot market or under contract; or all of it."""

_RATE = Quantity("flops_per_s")
_PEAK = Either(_RATE, Table(_RATE, SPARSITIES, least=1))

_MEMORY = Block(
    {"name": Text(), "role": Text(ROLES), "capacity": Quantity("bytes")},
    {"bandwidth": Quantity("bytes_per_s"), "partitions": Whole()},
)
_LINK = Block(
    {
        "name": Text(),
        "scope": Text(SCOPES),
        "topology": Text(TOPOLOGIES),
        "bandwidth": Quantity("bytes_per_s"),
    },
    {"domain": Whole(), "latency": Quantity("seconds"), "rails": Whole(), "oversubscription": Real(1.0)},
)
_PRICE = Block(
    {"kind": Text(PRICE_KINDS), "usd": Real(), "date": Date()},
    {"provider": Text(), "devices": Whole()},
)
POLICIES = ("time", "intensity", "split")
"""How several engines share the operators (:class:`perfmodel.devices.model.Mix`)."""

_ENGINE = Open({"name": Text(), "form": Text()})
"""An entry of ``engines``; its other keys are those of the form, which ``perfmodel.cost.engines`` checks."""

_CHIP = Block(
    {"cores": Whole(), "clock": Quantity("hertz")},
    {"max_clock": Quantity("hertz"), "process": Quantity("metres"), "area": Quantity("square_metres")},
)

DEVICE_RULE = Block(
    {
        "schema": Text(),
        "name": Text(),
        "vendor": Text(),
        "kind": Text(KINDS),
        "architecture": _Architecture(),
        "released": Date(),
        "chip": _CHIP,
        "peaks": Table(Table(_PEAK, DTYPES, least=1), ENGINES, least=1),
        "memory": Listing(_MEMORY, least=1),
        "sources": SOURCES_RULE,
    },
    {
        "aliases": Listing(Text()),
        "like": Text(),
        "power": Quantity("watts"),
        "idle_power": Quantity("watts"),
        "engines": Listing(_ENGINE, least=1),
        "mix": Block({"policy": Text(POLICIES)}, {"threshold": Real()}),
        "links": Listing(_LINK),
        "prices": Listing(_PRICE),
        "notes": Listing(Text()),
    },
)
"""Every key of a device file: the required ones, then the optional ones; every block may have ``source``."""

SYSTEM_RULE = Block(
    {
        "schema": Text(),
        "name": Text(),
        "device": Text(),
        "devices_per_node": Whole(),
        "sources": SOURCES_RULE,
    },
    {
        "aliases": Listing(Text()),
        "nodes": Whole(),
        "host_power": Quantity("watts"),
        "links": Listing(_LINK),
        "prices": Listing(_PRICE),
        "notes": Listing(Text()),
    },
)
"""Every key of a system file; its links stand in place of the device's own."""
