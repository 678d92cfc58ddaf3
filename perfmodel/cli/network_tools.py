"""``perfmodel network``: the arithmetic of deploying a network."""

from __future__ import annotations

from perfmodel.cli import network_blocks, network_cuts, network_lookup, network_memory
from perfmodel.cli.plain import PlainCommand, new_app

app = new_app("Deploy a network: memory, blocks, cuts, exits, cascades, formats, pruning.")
app.command("memory", cls=PlainCommand, epilog=network_memory.EXAMPLES)(network_memory.memory)
app.command("blocks", cls=PlainCommand, epilog=network_blocks.EXAMPLES)(network_blocks.blocks)
app.command("lookup", cls=PlainCommand, epilog=network_lookup.EXAMPLES)(network_lookup.lookup)
app.command("cuts", cls=PlainCommand, epilog=network_cuts.EXAMPLES)(network_cuts.cuts)
