"""What commands share that take a network."""

from __future__ import annotations

from perfmodel.errors import InputError


def layer_precisions(text: str) -> list[tuple[str, str]]:
    """Return the pairs of ``--layers fc=float16,layer1.*=int8``, in their order."""
    found: list[tuple[str, str]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        pattern, equals, precision = (piece.strip() for piece in part.rpartition("="))
        if not equals or not pattern or not precision:
            raise InputError(f"--layers: '{part}' is not PATTERN=PRECISION, such as layer1.*=int8")
        found.append((pattern, precision))
    return found
