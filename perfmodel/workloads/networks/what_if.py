"""Networks by name or path, and with other fields than published."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfmodel.devices import Device
from perfmodel.errors import InputError
from perfmodel.workloads.network import AnyNetwork
from perfmodel.workloads.networks.library import Variant, built, find_variant, load_network, load_variants

_RECORDS = '"perfmodel/graph/'
_FIRST_CHARACTERS = 4096
_SCHEMA = re.compile(r"schema:[ \t]*[\"']?networks/")


def is_network(name: str) -> bool:
    """Say whether a name or path is that of a network (and not of a language model)."""
    if name.endswith((".yaml", ".yml")):
        return _says_networks(Path(name).expanduser())
    return is_graph(name) or find_variant(name) is not None


def is_graph(name: str) -> bool:
    """Say whether a path is that of a graph of operators: an ONNX file, or records (.json) of a PyTorch graph."""
    if not name.endswith(".json"):
        return name.endswith(".onnx")
    try:
        with Path(name).expanduser().open(encoding="utf-8") as file:
            return _RECORDS in file.read(_FIRST_CHARACTERS)
    except (OSError, UnicodeDecodeError):
        return name.endswith(".graph.json")


def _says_networks(path: Path) -> bool:
    try:
        return any(_SCHEMA.match(line) for line in path.read_text(encoding="utf-8").splitlines()[:20])
    except (OSError, UnicodeDecodeError):
        return False


def find_network(name: str, fields: Mapping[str, Any] | None = None) -> AnyNetwork:
    """Return a network by its name, or by the path of a graph or of a file with one variant."""
    if is_graph(name):
        from perfmodel.workloads.importers.graph_file import load_graph

        return load_graph(name, sizes=fields or None)
    if name.endswith((".yaml", ".yml")):
        return built(_only_variant(name), fields or {})
    return load_network(name, **(fields or {}))


def _only_variant(name: str) -> Variant:
    variants = load_variants(Path(name).expanduser())
    if len(variants) != 1:
        raise InputError(f"{name} has {len(variants)} variants; put its folder into PERFMODEL_SPECS and name one")
    return next(iter(variants.values()))


def changed_network(
    network: str | AnyNetwork, device: Device, changes: Mapping[str, str]
) -> tuple[AnyNetwork, Device]:  # fmt: skip
    """Return the network and the device with other numbers: ``{"device.power": "400 W", "model.image": "288"}``.

    Errors: :class:`InputError` for a field that is neither the device's nor the network's.
    """
    split: dict[str, dict[str, str]] = {"device": {}, "model": {}}
    for field, value in changes.items():
        kind, _, rest = field.partition(".")
        if kind not in split or not rest:
            raise InputError(f"'{field}' is no field to change: write device.FIELD or model.FIELD")
        split[kind][rest] = str(value)
    if split["device"]:
        from perfmodel.devices.override import change_device

        device = change_device(device, split["device"])
    if not isinstance(network, str):
        if split["model"]:
            raise InputError("a network that is given as an object has its fields already; change them there")
        return network, device
    return find_network(network, field_values(split["model"])), device


def image_fields(network: str | AnyNetwork, pixels: int) -> dict[str, str]:
    """Return the changes that give a network images of so many pixels a side: its field image, or height and width."""
    from perfmodel.workloads.networks.library import family_fields
    from perfmodel.workloads.networks.registry import FAMILIES

    variant = None
    if isinstance(network, str) and not is_graph(network):
        variant = _only_variant(network) if network.endswith((".yaml", ".yml")) else find_variant(network)
    known = family_fields(FAMILIES[variant.family]) if variant else {}
    names = ("height", "width") if "image" not in known and {"height", "width"} <= set(known) else ("image",)
    return {f"model.{name}": str(pixels) for name in names}


def field_values(words: Mapping[str, str]) -> dict[str, Any]:
    """Return fields of a family, such as ``{"image": "288", "depths": "[2, 2]"}``, as the values that they write."""
    return {name: _value(name, text) for name, text in words.items()}


def _value(name: str, text: str) -> Any:
    """Return the value that a text writes: a number, a list, true or false, or the text itself."""
    words = {"true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    if isinstance(found, (int, float, str, list, tuple)):
        return found
    raise InputError(f"model.{name}: '{text}' is neither a number, a list, nor a word")
