"""Networks: the algorithms of collectives as closed forms of latency and bandwidth."""
