"""What it takes to deploy a network: its memory step by step, its blocks, where to cut it, exits, cascades, formats."""
