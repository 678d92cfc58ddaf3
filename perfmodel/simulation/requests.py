"""Requests: drawn from distributions with a seed, or read from a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappush, heapreplace
from pathlib import Path
from typing import Any

from perfmodel.arguments import positive, whole
from perfmodel.cost.offload import zipf
from perfmodel.csv_input import read_rows
from perfmodel.errors import InputError, PerfmodelError
from perfmodel.workloads.usecases import Lengths

ARRIVALS = ("poisson", "gamma", "regular")


@dataclass(eq=False)
class Request:
    """One request and what became of it; times are seconds from the start of the simulation, None while unknown.

    ``cached_tokens`` of the input are in a prefix cache when it arrives, whatever else is. ``key`` names the
    conversation or document that its input begins with: ``shared_tokens`` of it are the document's, None says that it
    begins with all that an earlier request of the same key read and wrote. ``adapter`` is the low-rank adapter that it
    asks for (-1: none). Requests of higher ``priority`` go first.
    """

    number: int
    arrival_s: float
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    key: str = ""
    shared_tokens: int | None = None
    adapter: int = -1
    priority: int = 0
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
    swapped: bool = field(default=False, repr=False)
    """Whether its cache lies in host memory."""
    ready_s: float = field(default=0.0, repr=False)
    """When its cache and its adapter are on the device."""
    borrowed_bytes: float = field(default=0.0, repr=False)
    """Bytes of its cache that it has in common with others, and that are counted there."""
    found_tokens: int = field(default=0, repr=False)
    """Tokens of its input that a prefix cache had when it was first let in."""

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
    def most_shared(self) -> int:
        """Return the leading tokens of its input that an earlier request may have left; one must be read at least."""
        most = self.input_tokens - 1
        return most if self.shared_tokens is None else min(self.shared_tokens, most)

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


@dataclass(frozen=True)
class Asked:
    """What requests ask for beside tokens: one of ``documents`` that their inputs begin with, one of ``adapters``.

    The popularity of the k-th goes with ``1/k^exponent`` (Zipf); 0 of them: none.
    """

    documents: int = 0
    adapters: int = 0
    exponent: float = 1.0


def ask(requests: Sequence[Request], asked: Asked, seed: int = 0) -> None:
    """Give each request its document, which all of its cached tokens are of, and its adapter, drawn by popularity."""
    import numpy as np

    # a stream of its own for each: the same arrivals and lengths whatever is asked for
    if asked.documents:
        random = np.random.default_rng([seed, 1])
        for request, document in zip(requests, _ranks(asked.documents, asked, len(requests), random), strict=True):
            request.key, request.shared_tokens, request.cached_tokens = f"doc-{document}", request.cached_tokens, 0
    if asked.adapters:
        random = np.random.default_rng([seed, 2])
        for request, adapter in zip(requests, _ranks(asked.adapters, asked, len(requests), random), strict=True):
            request.adapter = adapter


def _ranks(count: int, asked: Asked, draws: int, random: Any) -> list[int]:
    return [int(rank) for rank in random.choice(count, draws, p=zipf(count, asked.exponent))]


def _lengths(lengths: Lengths, count: int, random: Any) -> Any:
    import numpy as np

    drawn = lengths.median * np.exp(lengths.sigma * random.standard_normal(count))
    return np.maximum(np.round(np.minimum(drawn, lengths.longest)), 1)


COLUMNS = ("arrival_s", "input_tokens", "output_tokens")


def read_trace(path: str | Path) -> tuple[list[Request], list[str]]:
    """Return the requests of a CSV file with the columns of :data:`COLUMNS`, and what is wrong with the other rows.

    ``cached_tokens``, ``conversation`` (a word) and ``adapter`` (a number) are read where there are such columns.

    Errors: :class:`InputError` for a file that is not there, without these columns, or without one good row.
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
            adapter = whole("adapter", row["adapter"], least=0) if row.get("adapter") else -1
        except PerfmodelError as error:
            problems.append(f"{path}:{line}: {error}")
            continue
        key = (row.get("conversation") or "").strip()
        found.append(Request(0, arrival, inputs, outputs, min(cached, inputs - 1), key, adapter=adapter))
    if not found:
        raise InputError(f"{path}: no row can be used; the first: {problems[0]}")
    return numbered(found), problems


def numbered(requests: Sequence[Request]) -> list[Request]:
    """Return the requests in the order of their arrival, numbered so."""
    found = sorted(requests, key=lambda request: request.arrival_s)
    for number, request in enumerate(found):
        request.number = number
    return found
