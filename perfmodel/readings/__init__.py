"""What can be done to a formula: evaluate it on arrays, trace it, compile it, read it as mathematics. One file each."""
