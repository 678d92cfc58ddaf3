"""The kinds of parts, one a file: what of the package a reproduction may ask."""
