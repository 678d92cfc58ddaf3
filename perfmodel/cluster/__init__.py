"""Work that is spread over processes and machines, kept part by part, and taken up again where it was broken off."""

from perfmodel.cluster.mapping import Mapper, spread
from perfmodel.cluster.parts import PartStore, keep_all

__all__ = ["Mapper", "PartStore", "keep_all", "spread"]
