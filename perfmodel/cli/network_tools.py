"""``perfmodel network``: the arithmetic of deploying a network."""

from __future__ import annotations

from perfmodel.cli import (
    network_bits,
    network_blocks,
    network_cuts,
    network_exits,
    network_lookup,
    network_map,
    network_memory,
    network_pipeline,
    network_prune,
    network_scale,
)
from perfmodel.cli.plain import PlainCommand, new_app

app = new_app("Deploy a network: memory, blocks, cuts, exits, cascades, formats, pruning.")
app.command("memory", cls=PlainCommand, epilog=network_memory.EXAMPLES)(network_memory.memory)
app.command("blocks", cls=PlainCommand, epilog=network_blocks.EXAMPLES)(network_blocks.blocks)
app.command("lookup", cls=PlainCommand, epilog=network_lookup.EXAMPLES)(network_lookup.lookup)
app.command("map", cls=PlainCommand, epilog=network_map.EXAMPLES)(network_map.map_)
app.command("cuts", cls=PlainCommand, epilog=network_cuts.EXAMPLES)(network_cuts.cuts)
app.command("exits", cls=PlainCommand, epilog=network_exits.EXAMPLES)(network_exits.exits)
app.command("pipeline", cls=PlainCommand, epilog=network_pipeline.EXAMPLES)(network_pipeline.pipeline)
app.command("scale", cls=PlainCommand, epilog=network_scale.EXAMPLES)(network_scale.scale)
app.command("bits", cls=PlainCommand, epilog=network_bits.EXAMPLES)(network_bits.bits)
app.command("prune", cls=PlainCommand, epilog=network_prune.EXAMPLES)(network_prune.prune)
