"""Networks in ``perfmodel model``: lists, one with its blocks, checks, families, and imported graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from perfmodel.cli.output import note, print_columns, print_json
from perfmodel.cli.workers import each
from perfmodel.errors import InputError, PerfmodelError

if TYPE_CHECKING:
    from perfmodel.workloads.network import AnyNetwork
    from perfmodel.workloads.networks.library import Variant


def network_rows(counts: bool) -> list[dict[str, Any]]:
    """Return a row for each network: what is published of it, or with ``counts`` what is computed, built one by one."""
    from perfmodel.workloads.networks.summary import all_variants, variant_row

    variants = list(all_variants())
    rows = [variant_row(variant) for variant in variants]
    if not counts:
        return rows
    for row, found in zip(rows, each(_counted, [variant.name for variant in variants], "networks"), strict=True):
        if isinstance(found, str):
            note(f"{row['name']}: {found}")
        else:
            row.update(found)
    return rows


def _counted(name: str) -> dict[str, Any] | str:
    """Return the counts of a network, or why it has none."""
    from perfmodel.workloads.networks.library import load_network
    from perfmodel.workloads.networks.summary import counts_of

    try:
        return counts_of(load_network(name))
    except PerfmodelError as error:
        return str(error)


def print_networks(rows: Sequence[dict[str, Any]]) -> None:
    """Print the list of networks; what is not published is empty."""
    heading = ("network", "family", "parameters", "GMAC", "image")
    cells = [(row["name"], row["family"], _millions(row["parameters"]), _giga(row["macs"]), _image(row["image"]))
             for row in rows]  # fmt: skip
    print_columns([heading, *cells], numbers=range(2, 5))


def _millions(count: float | None) -> str:
    return "" if count is None else f"{count / 1e6:,.2f} M"


def _giga(count: float | None) -> str:
    return "" if count is None else f"{count / 1e9:,.3f}"


def _image(size: Any) -> str:
    if isinstance(size, (list, tuple)):
        return "x".join(str(side) for side in size)
    return "" if size in (None, 0) or not isinstance(size, (int, float)) else str(size)


def network_object(name: str, image: str, batch: str) -> dict[str, Any]:
    """Return what ``model show`` says of a network, as one JSON object."""
    from perfmodel.arguments import whole
    from perfmodel.workloads.network import as_pipeline
    from perfmodel.workloads.networks.summary import block_rows, counts_of, values_of, variant_of
    from perfmodel.workloads.networks.what_if import field_values, find_network, image_fields

    sizes = image_fields(name, whole("--image", image)) if image else {}
    fields = field_values({field.removeprefix("model."): text for field, text in sizes.items()})
    network = find_network(name, fields)
    variant = variant_of(name)
    samples = whole("--batch", batch or 1)
    pipeline = as_pipeline(network)
    stages = [
        {
            "network": stage.network.name, "repeat": stage.repeat, "copies": stage.copies, **counts_of(stage.network),
            "inputs": [list(shape) for shape in stage.network.inputs], "blocks": block_rows(stage.network),
        }
        for stage in pipeline.stages
    ]  # fmt: skip
    return {
        "schema": "perfmodel/network/1",
        "name": network.name,
        "family": network.family,
        "sample": network.sample,
        **counts_of(network),
        **({"batch": samples, "batch_flops": float(network.flops) * samples} if batch else {}),
        "published": dict(variant.published) if variant and not fields else {},
        "fields": {**values_of(variant), **fields} if variant else {},
        "stages": stages,
        "source": network.source,
        "verified": network.verified,
        "notes": list(network.notes),
        "unsupported": [vars(missing) for stage in pipeline.stages for missing in stage.network.unsupported],
        "spec_hash": network.spec_hash,
        "path": network.path,
    }  # fmt: skip


def show_network(name: str, image: str, batch: str, *, json: bool) -> None:
    """Print how big a network is, block by block, and what its family's fields are."""
    found = network_object(name, image, batch)
    if json:
        print_json(found)
        return
    from perfmodel.reports.summary import article, plural

    sample = found["sample"]
    print(f"{found['name']} ({found['family']}): counts of {article(sample)} {sample}\n")
    _print_counts(found)
    if len(found["stages"]) > 1:
        _print_stages(found["stages"])
    else:
        _print_blocks(found["stages"][0])
    if found["fields"]:
        print("\nfields of its family (--set model.FIELD=VALUE changes one)")
        print_columns([(name, _plain(value)) for name, value in found["fields"].items()], indent="  ")
    for missing in found["unsupported"]:
        note(f"not counted: {missing['count']} x {missing['kind']} {missing['reason']}".rstrip())
    for text in found["notes"]:
        print(f"\nnote: {text}")
    print(f"\nsource: {found['source'] or 'not stated'}{'' if found['verified'] else ' (not verified)'}")
    if found.get("batch", 1) > 1:
        print(f"{found['batch']} {plural(sample)}: {found['batch_flops']:.4g} flops")


def _print_counts(found: dict[str, Any]) -> None:
    published = found["published"]
    names = {"parameters": "parameters", "macs": "multiply-accumulates", "flops": "flops",
             "activation_elements": "activation elements"}  # fmt: skip
    rows: list[tuple[str, ...]] = [("", "computed", "published", "difference")]
    for key, title in names.items():
        if found.get(key) is None:
            continue
        stated = published.get(key)
        off = "" if not stated else f"{100 * (found[key] / stated - 1):+.2f} %"
        rows.append((title, f"{found[key]:,.0f}", f"{stated:,.0f}" if stated else "", off))
    if not published:
        rows = [row[:2] for row in rows[1:]]
    print_columns(rows, numbers=range(1, len(rows[0])), indent="  ")
    if published.get("source"):
        print(f"  published by {published['source']}")


def _print_stages(stages: Sequence[dict[str, Any]]) -> None:
    print()
    heading = ("network", "runs", "copies", "parameters", "GMAC a run", "blocks")
    rows = [
        (
            stage["network"], f"{stage['repeat']:g}", f"{stage['copies']:g}", f"{stage['parameters']:,}",
            f"{stage['macs'] / 1e9:,.2f}", str(len(stage["blocks"])),
        )
        for stage in stages
    ]  # fmt: skip
    print_columns([heading, *rows], numbers=range(1, 6), indent="  ")
    print("\n`perfmodel model show NETWORK` shows the blocks of one of them")


def _print_blocks(stage: dict[str, Any]) -> None:
    print()
    heading = ("block", "layers", "leaves", "parameters", "MMAC")
    rows = [
        (
            row["block"], _kinds(row["kinds"]), "x".join(str(side) for side in row["shape"]),
            f"{row['parameters']:,}", f"{row['macs'] / 1e6:,.2f}",
        )
        for row in stage["blocks"]
    ]  # fmt: skip
    print_columns([heading, *rows], numbers=(3, 4), indent="  ")


def _kinds(kinds: dict[str, int]) -> str:
    """Return the commonest layers of a block: ``3 conv2d, 3 batchnorm, ...``."""
    ordered = sorted(kinds.items(), key=lambda pair: -pair[1])
    said = [kind if count == 1 else f"{count} {kind}" for kind, count in ordered[:3]]
    return ", ".join([*said, "..."] if len(ordered) > 3 else said)


def _plain(value: Any) -> str:
    """Return the value of a field as ``--set`` would take it."""
    if value is None or value == "":
        return "-"
    text = str(value).lower() if isinstance(value, bool) else str(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def checked_network(name: str) -> tuple[Variant | None, AnyNetwork]:
    """Return a network with the variant that it is of; graphs are of none."""
    from perfmodel.workloads.networks.library import built
    from perfmodel.workloads.networks.summary import variant_of
    from perfmodel.workloads.networks.what_if import find_network

    variant = variant_of(name)
    return variant, find_network(name) if variant is None else built(variant, {})


def import_graph(path: str, sizes: Sequence[str] | None, *, json: bool) -> None:
    """Print what a graph of operators was imported as, and how much of it is understood."""
    from perfmodel.workloads.importers.graph_file import coverage, load_graph
    from perfmodel.workloads.networks.summary import counts_of

    network = load_graph(path, sizes=_sizes(sizes) or None)
    covered = coverage(network)
    found = {
        "schema": "perfmodel/imported/1",
        "name": network.name,
        "inputs": [list(shape) for shape in network.inputs],
        "outputs": [list(network.shape_of(value)) for value in network.outputs],
        "nodes": len(network.nodes),
        **counts_of(network),
        "coverage": {
            "supported": covered.supported, "unsupported": covered.unsupported, "flops_share_at_most": covered.share,
            "missing": [vars(missing) for missing in covered.missing],
        },
        "notes": list(network.notes),
        "spec_hash": network.spec_hash,
        "path": network.path,
    }  # fmt: skip
    if json:
        print_json(found)
        return
    _print_import(found)


def _print_import(found: dict[str, Any]) -> None:
    covered = found["coverage"]
    print(
        f"{found['name']}: {_shapes(found['inputs'])} in, {_shapes(found['outputs'])} out, {found['nodes']:,} nodes\n"
    )
    _print_counts({**found, "published": {}})
    print(f"\ncoverage: {covered['supported']:,} nodes counted, {covered['unsupported']:,} not", end="")
    share = covered["flops_share_at_most"]
    print(f"; at most {100 * share:.1f} % of the flops" if covered["unsupported"] else ": all of it")
    if covered["missing"]:
        heading = ("not counted", "nodes", "flops at least", "why")
        rows = [
            (m["kind"], str(m["count"]), f"{m['flops']:,.0f}", m["reason"] or "not known") for m in covered["missing"]
        ]
        print_columns([heading, *rows], numbers=(1, 2), indent="  ")
    for text in found["notes"]:
        print(f"note: {text}")
    print(f"\nestimate it with `perfmodel estimate {found['path']} --on DEVICE`")


def _shapes(shapes: Sequence[Sequence[Any]]) -> str:
    return ", ".join("x".join(str(side) for side in shape) or "one number" for shape in shapes)


def _sizes(words: Sequence[str] | None) -> dict[str, int]:
    from perfmodel.arguments import whole

    found: dict[str, int] = {}
    for text in words or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--size: '{text}' is not NAME=N, such as height=640")
        found[name.strip()] = whole(f"--size {name.strip()}", value.strip())
    return found


def family_rows() -> list[dict[str, Any]]:
    """Return the families of networks with the fields that their variants state."""
    from perfmodel.workloads.networks.library import family_fields
    from perfmodel.workloads.networks.registry import FAMILIES

    return [{"family": name, "fields": list(family_fields(FAMILIES[name]))} for name in sorted(FAMILIES)]
