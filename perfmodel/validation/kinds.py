"""What can be validated: the kinds of tables, how to tell them apart, and the figures that the project carries."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from perfmodel.csv_input import read_header
from perfmodel.errors import InputError, did_you_mean
from perfmodel.specs.locate import spec_roots


class Kind(NamedTuple):
    """One kind of table: its reader, the columns that its errors are grouped by, and those that only it has.

    ``marks``: alternatives, each a set of columns; ``carried`` is the project's own table of the kind, if it has one.
    """

    module: str
    reader: str
    by: str
    marks: tuple[frozenset[str], ...]
    carried: str = ""


def _columns(*alternatives: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(text.split()) for text in alternatives)


KINDS: dict[str, Kind] = {
    "published": Kind("published", "read_published", "kind,engine,device",
                      _columns("load_kind batch_or_concurrency metric value"), "published/language.csv"),
    "energy": Kind("energy", "read_energy", "group,device",
                   _columns("num_gpus avg_batch_size energy_per_token_joules")),
    "vision": Kind("vision_published", "read_vision", "group,device",
                   _columns("framework seq_or_img metric value"), "published/vision.csv"),
    "timm": Kind("vision", "read_timm", "device,engine", _columns("img_size layout compile samples_per_s")),
    "serving": Kind("measured", "read_serving", "metric,mode,engine",
                    _columns("measured_ttft_ms", "measured_tpot_ms", "model ttft_ms", "model tpot_ms")),
    "kernels": Kind("measured", "read_kernels", "op,device",
                    _columns("op latency_us", "op measured_latency_us")),
    "pim": Kind("pim", "read_pim", "table,group",
                (frozenset({"kernel", "pim_cycles"}), frozenset({"pim_type", "cycle"}), frozenset({"PIM latency"}))),
}  # fmt: skip
"""The kinds by name; a table is of the first kind whose columns it has."""

FIRST = "published"
"""The kind that is meant where neither kind nor table is named."""


def read_kind(kind: str, path: Path) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return a row a figure that can be answered, and how many could not be, by reason."""
    chosen = find_kind(kind)
    module = import_module(f"perfmodel.validation.{chosen.module}")
    read: Callable[[Path], tuple[list[Any], dict[str, int]]] = getattr(module, chosen.reader)
    rows, reasons = read(path)
    return ([module.as_row(one) for one in rows] if kind == "published" else rows), reasons


def find_kind(kind: str) -> Kind:
    """Return a kind by its name; :class:`InputError` with the nearest ones."""
    if kind not in KINDS:
        raise InputError(f"unknown kind '{kind}'{did_you_mean(kind, KINDS)} (one of {', '.join(KINDS)})")
    return KINDS[kind]


def guess_kind(path: Path) -> str:
    """Return the kind of a table (or of a folder of tables) by its columns; :class:`InputError` if none fits."""
    if path.is_dir():
        files = [p for p in sorted(path.iterdir()) if p.name.endswith((".csv", ".csv.gz"))]
        if not files:
            raise InputError(f"{path} has no .csv or .csv.gz file")
        return "kernels"
    names = set(read_header(path))
    for kind, chosen in KINDS.items():
        if any(marks <= names for marks in chosen.marks):
            return kind
    raise InputError(
        f"{path}: no kind has these columns ({', '.join(sorted(names)[:6])}): kernels have op and latency_us, "
        f"serving measured_ttft_ms or measured_tpot_ms; or name the kind ({', '.join(KINDS)})"
    )


def carried_table(kind: str) -> Path:
    """Return the project's own table of a kind; :class:`InputError` if it has none."""
    name = find_kind(kind).carried
    for root in spec_roots("workloads") if name else ():
        if (root / name).is_file():
            return root / name
    able = [kind for kind, chosen in KINDS.items() if chosen.carried]
    raise InputError(f"no figures of kind {kind} come with perfmodel ({', '.join(able)} do): name a table with --data")
