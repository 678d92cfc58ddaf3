"""Spec files: strict YAML with positions, where they are, table-driven validation, and provenance."""

from __future__ import annotations

from typing import Any

from perfmodel.specs.locate import find_spec
from perfmodel.specs.yaml_strict import Node, load_yaml, parse_yaml

__all__ = ["Node", "find_spec", "load_calibration_mapping", "load_yaml", "parse_yaml"]


def load_calibration_mapping(name: str) -> tuple[dict[str, Any], str]:
    """Return a calibration file (``schema: calibration/1`` under hardware_specs/) as plain values, and its path."""
    path = find_spec("hardware_specs", name, "calibration")
    return load_yaml(path).plain(), str(path)
