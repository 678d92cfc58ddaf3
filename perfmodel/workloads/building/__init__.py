"""How families write down their networks: layer by layer, shapes worked out on the way."""

from perfmodel.workloads.building.blocks import Builder
from perfmodel.workloads.building.nodes import Value
from perfmodel.workloads.building.sizes import Sizes

__all__ = ["Builder", "Sizes", "Value"]
