"""What there is to say of a network: its counts, its blocks, its family's fields, and whether it is as published."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perfmodel.workloads.importers.plausibility import Finding
from perfmodel.workloads.network import AnyNetwork, Network, as_pipeline
from perfmodel.workloads.networks.library import Variant, family_fields, find_variant, load_variants, variant_files
from perfmodel.workloads.networks.published import disagreements
from perfmodel.workloads.networks.registry import FAMILIES


def all_variants() -> Iterator[Variant]:
    """Yield the networks of the library and the user's folders, sorted by name; the user's hide those of one name."""
    found: dict[str, Variant] = {}
    for path in reversed(variant_files()):
        found |= load_variants(path)
    yield from (found[name] for name in sorted(found))


def variant_row(variant: Variant) -> dict[str, Any]:
    """Return what is known of a variant without building it: published counts, and the size of its images."""
    published = variant.published
    return {
        "name": variant.name,
        "family": variant.family,
        "parameters": published.get("parameters"),
        "macs": published.get("macs"),
        "image": values_of(variant).get("image"),
    }


def values_of(variant: Variant) -> dict[str, Any]:
    """Return all fields of a variant's family with their values: stated, or the family's default."""
    known = family_fields(FAMILIES[variant.family])
    return {name: variant.fields.get(name, p.default) for name, p in known.items()}


def counts_of(network: AnyNetwork) -> dict[str, Any]:
    """Return the counts of one sample (of one request, of a pipeline)."""
    found: dict[str, Any] = {
        "parameters": int(network.parameters),
        "macs": float(network.matmul_flops) / 2.0,
        "flops": float(network.flops),
    }
    if isinstance(network, Network):
        found["activation_elements"] = int(network.activation_elements)
    return found


def block_rows(network: Network) -> list[dict[str, Any]]:
    """Return one row a block in order: what kinds its layers are, what it leaves, its parameters and MACs."""
    rows: dict[str, dict[str, Any]] = {}
    for node in network.nodes:
        empty: dict[str, Any] = {"block": node.block, "kinds": {}, "shape": [], "parameters": 0, "macs": 0.0}
        row = rows.setdefault(node.block, empty)
        row["parameters"] += node.parameters
        row["shape"] = list(node.shape)
        if node.operator is not None:
            row["macs"] += float(node.operator.counts().filter_flops(engine="tensor").total_flops()) / 2.0
            row["kinds"][node.operator.KIND] = row["kinds"].get(node.operator.KIND, 0) + 1
    return list(rows.values())


def variant_of(name: str) -> Variant | None:
    """Return the variant that a name, or the path of a file with one, stands for; None for a graph's file."""
    if name.endswith((".yaml", ".yml")):
        variants = load_variants(Path(name).expanduser())
        return next(iter(variants.values())) if len(variants) == 1 else None
    return find_variant(name)


def check_network(variant: Variant | None, network: AnyNetwork) -> list[Finding]:
    """Return what looks wrong in a network: its counts against the published ones, what is not counted."""
    found: list[Finding] = []
    if isinstance(network, Network):
        found += [Finding("error", "published", text.partition(": ")[2]) for text in disagreements(network)]
    if variant and not variant.published:
        found.append(Finding("warning", "published", "is not stated: the computed counts are unchecked"))
    if variant and not variant.verified:
        found.append(Finding("warning", "verified", "the numbers were not read in their source"))
    return found + [
        Finding("warning", missing.kind, f"{missing.count} operators are not counted")
        for stage in as_pipeline(network).stages
        for missing in stage.network.unsupported
    ]
