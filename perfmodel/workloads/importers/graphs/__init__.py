"""What importers of graphs share: tensors, the nodes they become, dividing out the batch, and what was not counted."""
