"""How ATen's operators become nodes of a network, one file a subject; importing this package enters them all."""

from perfmodel.workloads.importers.aten import elementwise, layers, moves, pools
from perfmodel.workloads.importers.aten.call import LOWERINGS, AtenCall

__all__ = ["LOWERINGS", "AtenCall", "elementwise", "layers", "moves", "pools"]
