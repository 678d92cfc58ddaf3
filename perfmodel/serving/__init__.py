"""From operators to phases: prefill and decode steps, their means, and requests served in a closed loop."""
