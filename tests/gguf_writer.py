"""A writer of GGUF files for tests, made from the format's description alone (docs/gguf.md of ggml)."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

SCALARS = {"u8": (0, "B"), "i8": (1, "b"), "u16": (2, "H"), "i16": (3, "h"), "u32": (4, "I"), "i32": (5, "i"),
           "f32": (6, "f"), "bool": (7, "?"), "u64": (10, "Q"), "i64": (11, "q"), "f64": (12, "d")}  # fmt: skip

# number in the file, weights of a block, bytes of a block
F32, F16, BF16 = (0, 1, 4), (1, 1, 2), (30, 1, 2)
Q4_0, Q8_0, Q4_K, Q6_K, MXFP4 = (2, 32, 18), (8, 32, 34), (12, 256, 144), (14, 256, 210), (39, 32, 17)


class Tensor(NamedTuple):
    """A tensor to write: its dimensions innermost first, and (number, block, block bytes) of its type."""

    name: str
    dims: tuple[int, ...]
    kind: tuple[int, int, int] = F32

    @property
    def elements(self) -> int:
        found = 1
        for dim in self.dims:
            found *= dim
        return found

    @property
    def bytes(self) -> int:
        return self.elements * self.kind[2] // self.kind[1]


class As(NamedTuple):
    """A metadata value with its type spelt out: a name of SCALARS, "str", or "[u32]" for an array of it."""

    kind: str
    value: Any


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def typed(value: Any) -> As:
    if isinstance(value, As):
        return value
    if isinstance(value, bool):
        return As("bool", value)
    if isinstance(value, int):
        return As("u32", value)
    if isinstance(value, float):
        return As("f32", value)
    if isinstance(value, list):
        return As(f"[{typed(value[0]).kind}]" if value else "[u32]", value)
    return As("str", value)


def code(kind: str) -> int:
    return 9 if kind.startswith("[") else 8 if kind == "str" else SCALARS[kind][0]


def payload(kind: str, value: Any) -> bytes:
    if kind.startswith("["):
        inner = kind[1:-1]
        return struct.pack("<IQ", code(inner), len(value)) + b"".join(payload(inner, item) for item in value)
    return text(value) if kind == "str" else struct.pack(f"<{SCALARS[kind][1]}", value)


def header(metadata: Mapping[str, Any], tensors: Sequence[Tensor], version: int = 3, alignment: int = 32) -> bytes:
    """Return everything before the tensors' data, padded."""
    parts = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(metadata))]
    for key, value in metadata.items():
        kind, plain = typed(value)
        parts += [text(key), struct.pack("<I", code(kind)), payload(kind, plain)]
    offset = 0
    for tensor in tensors:
        dims = struct.pack(f"<I{len(tensor.dims)}Q", len(tensor.dims), *tensor.dims)
        parts += [text(tensor.name), dims, struct.pack("<IQ", tensor.kind[0], offset)]
        offset += padded(tensor.bytes, alignment)
    whole = b"".join(parts)
    return whole.ljust(padded(len(whole), alignment), b"\0")


def padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def write(
    path: Path, metadata: Mapping[str, Any], tensors: Sequence[Tensor], version: int = 3, alignment: int = 32
) -> Path:
    """Write a file whose tensors are holes."""
    start = header(metadata, tensors, version, alignment)
    path.write_bytes(start)
    with path.open("r+b") as stream:
        stream.truncate(len(start) + sum(padded(tensor.bytes, alignment) for tensor in tensors))
    return path
