"""Families of networks: a function each that writes a network down, and the files of published variants."""

from perfmodel.workloads.networks.registry import FAMILIES, family

__all__ = ["FAMILIES", "family"]
