"""From words to the one network, and its setup on a device, that the commands of ``perfmodel network`` work on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from perfmodel.cli import options as o
from perfmodel.cli.network import layer_precisions
from perfmodel.cli.question import changes
from perfmodel.errors import InputError

if TYPE_CHECKING:
    from perfmodel.devices import Device
    from perfmodel.serving.network import NetworkSetup
    from perfmodel.workloads.network import AnyNetwork, Network

Batch = Annotated[str, typer.Option("--batch", metavar="N", help="Samples at once.")]
Image = Annotated[str, typer.Option("--image", metavar="N", help="Pixels a side of the input  [default: as published]")]
Precision = Annotated[
    str,
    typer.Option(
        "--precision", metavar="NAME", help="Of weights and activations: float16, int8, ...  [default: 16 bits]"
    ),
]
Fusion = Annotated[
    str,
    typer.Option("--fusion", metavar="NAME", help="What is one kernel: none, pointwise, epilogue or block."),
]
Engine = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="torch, torch-compile, tensorrt or onnxruntime  [default: bare]")
]
Layers = Annotated[
    str, typer.Option("--layers", metavar="PATTERN=NAME,..", help="Precisions of single layers, such as fc=float16.")
]
StageName = Annotated[
    str, typer.Option("--stage", metavar="NAME", help="Of a pipeline of several networks: which one.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Another number: model.width=0.5, device.power=15W."),
]
Json = o.Json
CsvFile = o.CsvFile


def any_network(model: str, image: str = "", change: Sequence[str] | None = None) -> AnyNetwork:
    """Return the network, or the pipeline of networks, that a name and changes of its fields say.

    Errors: :class:`InputError` for a language model and for a change of a device.
    """
    from perfmodel.arguments import whole
    from perfmodel.workloads.networks.what_if import field_values, find_network

    _refuse_language(model)
    fields: dict[str, str] = {}
    for name, value in changes(change).items():
        kind, _, field = name.partition(".")
        if kind != "model" or not field:
            raise InputError(f"--set: '{name}' is no field of the network: write model.FIELD=VALUE")
        fields[field] = value
    values = field_values(fields)
    if image:
        values["image"] = whole("--image", image)
    return find_network(model, values or None)


def device_changes(change: Sequence[str] | None) -> tuple[dict[str, str], list[str]]:
    """Return what ``--set`` changes of the device, without the word device, and the rest as it was written."""
    of_device = {k.partition(".")[2]: v for k, v in changes(change).items() if k.startswith("device.")}
    return of_device, [text for text in change or () if not text.startswith("device.")]


def _refuse_language(model: str) -> None:
    from perfmodel.workloads.kinds import NETWORK, kind_of

    if kind_of(model) != NETWORK:
        raise InputError(f"{model} is a language model; this command takes networks (`perfmodel model list`)")


def one_of(network: AnyNetwork, stage: str = "") -> Network:
    """Return a network itself, or one of a pipeline's by its name."""
    from perfmodel.errors import did_you_mean
    from perfmodel.workloads.network import as_pipeline

    found = {each.network.name: each.network for each in as_pipeline(network).stages}
    if not stage and len(found) == 1:
        return next(iter(found.values()))
    if not stage:
        raise InputError(f"{network.name} is made of {', '.join(found)}: say which with --stage NAME")
    if stage not in found:
        hint = did_you_mean(stage, found)
        raise InputError(f"--stage: {network.name} has no network '{stage}'{hint} (it has {', '.join(found)})")
    return found[stage]


@dataclass(frozen=True)
class Asked:
    """The words of a question about a network that is at hand; ``pairs`` are as ``layers``, already parted."""

    precision: str = ""
    layers: str = ""
    fusion: str = ""
    sparsity: str = ""
    engine: str = ""
    pairs: tuple[tuple[str, str], ...] = ()


def setup_of(
    model: str, device: str, asked: Asked, *, image: str = "", change: Sequence[str] | None = None,
    stage: str | None = None, into: Callable[[AnyNetwork], AnyNetwork] | None = None,
) -> NetworkSetup:  # fmt: skip
    """Return a network on a device, checked.

    ``stage`` is as in :func:`one_of` (None: a pipeline as a whole), ``into`` makes another network of it.
    """
    from perfmodel.devices import load_device
    from perfmodel.workloads.networks.what_if import changed_network

    _refuse_language(model)
    said = changes(change)
    if image:
        from perfmodel.arguments import whole

        said["model.image"] = str(whole("--image", image))
    network, machine = changed_network(model, load_device(device), said)
    if stage is not None:
        network = one_of(network, stage)
    return setup_for(network if into is None else into(network), machine, asked)


def setup_for(network: AnyNetwork, device: str | Device, asked: Asked) -> NetworkSetup:
    """Return a network that is at hand on a device, checked."""
    from perfmodel.network_api import estimate_network

    return estimate_network(
        network, device, precision=asked.precision, layers=[*layer_precisions(asked.layers), *asked.pairs],
        fusion=asked.fusion, sparsity=asked.sparsity or "dense", engine=asked.engine,
    ).setup  # fmt: skip


def inputs(setup: NetworkSetup, batch: int) -> dict[str, Any]:
    """Return what was asked, as reports have it."""
    return {
        "model": setup.pipeline.name, "device": setup.device.name, "batch": batch, "sample": setup.pipeline.sample,
        "precision": setup.plan.precision, "layers": dict(setup.plan.layers), "fusion": setup.plan.fusion,
        "sparsity": setup.plan.sparsity, "engine": setup.question.engine,
    }  # fmt: skip
