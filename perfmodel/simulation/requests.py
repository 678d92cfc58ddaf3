"""Requests: drawn from distributions with a seed, or read from a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappush, heapreplace
from pathlib import Path
from typing import Any

from perfmodel.arguments import positive, whole
from perfmodel.csv_input import read_rows
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.workloads.usecases import Lengths

ARRIVALS = ("poisson", "gamma", "regular")


@dataclass
class Request:
    """One request and what became of it; times are seconds from the start of the simulation, None while unknown.

    ``cached_tokens`` of the input are in a prefix cache when it arrives.
    """

    number: int
    arrival_s: float
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    started_s: float | None = None
    first_token_s: float | None = None
    finished_s: float | None = None
    preemptions: int = 0
    last_token_s: float | None = field(default=None, repr=False)
    long_gaps_s: list[float] = field(default_factory=list[float], repr=False)
    prefilled: int = field(default=0, repr=False)
    generated: int = field(default=0, repr=False)
    kept: int = field(default=0, repr=False)
    """Output tokens that it had when its cache was last given up: they are read again with the prompt."""

    @property
    def ttft_s(self) -> float:
        """Return the time to the first token."""
        return (self.first_token_s or 0.0) - self.arrival_s

    @property
    def e2e_s(self) -> float:
        """Return the time from arrival to the last token."""
        return (self.finished_s or 0.0) - self.arrival_s

    @property
    def tpot_s(self) -> float | None:
        """Return the mean time of a further token; None of one token."""
        if self.output_tokens < 2:
            return None
        return ((self.finished_s or 0.0) - (self.first_token_s or 0.0)) / (self.output_tokens - 1)

    @property
    def tbt_s(self) -> float | None:
        """Return the gap between tokens that 99 of 100 stay within (of a short answer the longest); None of one."""
        return min(self.long_gaps_s, default=0.0) if self.output_tokens > 1 else None

    def tokens_at(self, first_s: float, last_s: float, count: int) -> None:
        """Note ``count`` tokens of steps that are alike, from ``first_s`` to ``last_s``."""
        if self.last_token_s is not None:
            self._note_gap(first_s - self.last_token_s)
        for _ in range(min(count - 1, self._kept_gaps)):
            self._note_gap((last_s - first_s) / (count - 1))
        self.last_token_s = last_s

    @property
    def _kept_gaps(self) -> int:
        return 1 + (self.output_tokens - 1) // 100

    def _note_gap(self, gap_s: float) -> None:
        """Keep the longest gaps, of which the least is the 99th percentile of all."""
        if len(self.long_gaps_s) < self._kept_gaps:
            heappush(self.long_gaps_s, gap_s)
        elif gap_s > self.long_gaps_s[0]:
            heapreplace(self.long_gaps_s, gap_s)

    @property
    def to_read(self) -> int:
        """Return the tokens that are read before the next one is generated: the prompt, and what was kept."""
        return self.input_tokens + self.kept

    @property
    def is_read(self) -> bool:
        """Say whether it decodes."""
        return self.prefilled >= self.to_read

    @property
    def context(self) -> int:
        """Return the tokens that its cache holds."""
        return self.prefilled + max(self.generated - self.kept - 1, 0)


def drawn_requests(
    count: int, rate: float, inputs: Lengths, outputs: Lengths, *, arrival: str = "poisson", variation: float = 2.0,
    shared_prefix: float = 0.0, seed: int = 0,
) -> list[Request]:  # fmt: skip
    """Return ``count`` requests at ``rate`` a second.

    Gaps: poisson (exponential), gamma (``variation`` is their standard deviation over their mean: above 1 they come in
    bursts) or regular. Lengths are lognormal; of the input a share ``shared_prefix`` is cached already.

    Errors: :class:`InputError` for a word or number that cannot be.
    """
    import numpy as np

    if arrival not in ARRIVALS:
        raise InputError(f"unknown arrival '{arrival}' (one of {', '.join(ARRIVALS)})")
    if not rate > 0.0 or not variation > 0.0:
        raise InputError(f"rate {rate:g} and variation {variation:g} of arrivals must be above 0")
    random = np.random.default_rng(seed)
    mean = 1.0 / rate
    gaps: Any = np.full(count, mean)
    if arrival == "poisson":
        gaps = random.exponential(mean, count)
    elif arrival == "gamma":
        shape = 1.0 / variation**2
        gaps = random.gamma(shape, mean / shape, count)
    times = np.cumsum(gaps) - gaps[0]
    ins, outs = (_lengths(lengths, count, random) for lengths in (inputs, outputs))
    return [Request(i, float(times[i]), int(ins[i]), int(outs[i]), int(shared_prefix * ins[i])) for i in range(count)]


def _lengths(lengths: Lengths, count: int, random: Any) -> Any:
    import numpy as np

    drawn = lengths.median * np.exp(lengths.sigma * random.standard_normal(count))
    return np.maximum(np.round(drawn), 1)


COLUMNS = ("arrival_s", "input_tokens", "output_tokens")


def read_trace(path: str | Path) -> tuple[list[Request], list[str]]:
    """Return the requests of a CSV file with the columns of :data:`COLUMNS`, and what is wrong with the other rows.

    ``cached_tokens`` is read where there is such a column. Errors: :class:`InputError` for a file that is not there,
    without these columns, or without one good row.
    """
    rows = read_rows(path, COLUMNS)
    if not rows:
        raise InputError(f"{path}: a trace has a row a request, with the columns {', '.join(COLUMNS)}")
    found: list[Request] = []
    problems: list[str] = []
    for line, row in enumerate(rows, 2):
        try:
            arrival = positive("arrival_s", row["arrival_s"])
            inputs, outputs = (whole(name, row[name]) for name in COLUMNS[1:])
            cached = whole("cached_tokens", row.get("cached_tokens") or 0, least=0)
        except PerfmodelError as error:
            problems.append(f"{path}:{line}: {error}")
            continue
        found.append(Request(0, arrival, inputs, outputs, min(cached, inputs - 1)))
    if not found:
        raise InputError(f"{path}: no row can be used; the first: {problems[0]}")
    return numbered(found), problems


def numbered(requests: Sequence[Request]) -> list[Request]:
    """Return the requests in the order of their arrival, numbered so."""
    found = sorted(requests, key=lambda request: request.arrival_s)
    for number, request in enumerate(found):
        request.number = number
    return found
