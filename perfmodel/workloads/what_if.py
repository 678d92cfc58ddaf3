"""Models and devices with other numbers than in their files."""

from __future__ import annotations

from collections.abc import Mapping

from perfmodel.devices import Device
from perfmodel.errors import InputError
from perfmodel.workloads.spec import LanguageModel


def changed(model: LanguageModel, device: Device, changes: Mapping[str, str]) -> tuple[LanguageModel, Device]:
    """Return the model and the device with other numbers: ``{"device.power": "400 W", "model.ffn.topk": "2"}``.

    Errors: :class:`InputError` for a field that is neither the device's nor the model's.
    """
    if not changes:
        return model, device
    from perfmodel.devices.override import change_device
    from perfmodel.workloads.override import change_model

    split: dict[str, dict[str, str]] = {"device": {}, "model": {}}
    for field, value in changes.items():
        kind, _, rest = field.partition(".")
        if kind not in split or not rest:
            raise InputError(f"'{field}' is no field to change: write device.FIELD or model.FIELD")
        split[kind][rest] = str(value)
    return (
        change_model(model, split["model"]) if split["model"] else model,
        change_device(device, split["device"]) if split["device"] else device,
    )
