"""Devices: validated views of hardware_specs/."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfmodel.devices.load import device_from_mapping, list_devices, list_systems, load_device, load_system
from perfmodel.devices.model import Device, Link, MemoryTier, Peak, Price, System

if TYPE_CHECKING:
    from perfmodel.devices.check import Finding, check_device
    from perfmodel.devices.compare import diff_devices

__all__ = [
    "Device",
    "Finding",
    "Link",
    "MemoryTier",
    "Peak",
    "Price",
    "System",
    "check_device",
    "device_from_mapping",
    "diff_devices",
    "list_devices",
    "list_systems",
    "load_device",
    "load_system",
]

_LAZY = {"Finding": "check", "check_device": "check", "diff_devices": "compare"}


def __getattr__(name: str) -> object:
    """Load checking and comparing only when asked for: an estimate needs neither."""
    if name not in _LAZY:
        raise AttributeError(f"module 'perfmodel.devices' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"perfmodel.devices.{_LAZY[name]}"), name)
