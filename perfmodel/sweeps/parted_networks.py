"""The parts of a network's grid: what builds and runs it each, and of many batches some."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from perfmodel.cluster.parts import Made
from perfmodel.devices import Device
from perfmodel.errors import PerfmodelError
from perfmodel.serving.network import NetworkSetup
from perfmodel.sweeps.networks import CHUNK_POINTS, chunk, rows_of, setup_of
from perfmodel.sweeps.parted import CSV, Part, Table, parquet_bytes
from perfmodel.workloads.network import AnyNetwork


@dataclass(frozen=True)
class NetworkJob:
    """A grid of one network on one device."""

    network: str | AnyNetwork
    device: Device
    axes: Mapping[str, Sequence[Any]]
    options: Mapping[str, Any]
    changes: Mapping[str, str]
    named: str

    @property
    def question(self) -> dict[str, Any]:
        """Everything that the numbers follow from, but the data of the library."""
        return {
            "kind": "network", "model": self.named, "axes": self.axes, "options": self.options,
            "device": [self.device.name, self.device.spec_hash, self.device.system], "changes": self.changes,
        }  # fmt: skip

    @property
    def outer(self) -> list[str]:
        """Return the axes but the batch, in order."""
        return [name for name in self.axes if name != "batch"]

    def parts(self, points: int) -> list[Part]:
        """Return the parts: for each setup its batches, as many at once as a sweep in one process takes."""
        count = len(self.axes["batch"])
        places = itertools.product(*(range(len(self.axes[name])) for name in self.outer))
        return [
            Part(place, start, min(start + CHUNK_POINTS, count), min(CHUNK_POINTS, count - start))
            for place in places
            for start in range(0, count, CHUNK_POINTS)
        ]

    def make(self, part: Part, form: str) -> Made:
        """Return the rows of a part, or why the network cannot be built or run so."""
        point = {name: self.axes[name][i] for name, i in zip(self.outer, part.place, strict=True)}
        try:
            setup: NetworkSetup = setup_of(self.network, self.device, point, self.changes, self.options)
        except PerfmodelError as error:
            return Made(b"", str(error))
        batches = self.axes["batch"][part.first : part.last]
        found = chunk(setup, batches)
        if form != CSV:
            return Made(parquet_bytes(iter([Table(point, {"batch": batches}, found)]), self.axes))
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([*self.outer, "batch", *found])
        writer.writerows(rows_of(list(map(str, point.values())), batches, found))
        return Made(out.getvalue().encode())
