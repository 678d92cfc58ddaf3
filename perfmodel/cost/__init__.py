"""Cost engines: counts and shapes in, times out. One file per kind of engine."""
