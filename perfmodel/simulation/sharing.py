"""A replica that reads prompts and decodes at the same time, each on its share of the cores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from perfmodel.numeric import Number, maximum
from perfmodel.simulation.batch import composition
from perfmodel.simulation.predictor import Composition
from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request


class Demanding(Protocol):
    """Whatever tells the seconds of a step, and how many of them its bytes take at the memory's full rate."""

    def seconds_of(self, step: Composition) -> tuple[float, float]:
        """Return (seconds, seconds of its bytes)."""
        ...


def slowdown(first_s: Number, first_memory_s: Number, second_s: Number, second_memory_s: Number) -> Number:
    """Return how many times longer two streams take that share a memory: ``max(1, m1/t1 + m2/t2)``.

    ``t`` is the time of a step on its own cores with the memory to itself, ``m`` what its bytes take at the memory's
    full rate, so that ``m/t`` is the share of the bandwidth that it draws. Together they draw no more than there is;
    what is wanting is wanting of both in proportion. Source: the contention that Nexus (2025) and MuxServe (Duan et al.
    2024) describe, as a fluid model. Omits: caches that they take from each other, bandwidth that two streams lose.
    """
    return maximum(first_memory_s / first_s + second_memory_s / second_s, 1.0)


@dataclass
class _Job:
    """A step under way: who is in it, its time and its bytes' time alone, and what is left of it (1 to 0)."""

    chunks: list[tuple[Request, int]]
    decoding: list[Request]
    seconds: float
    memory_s: float
    left: float = 1.0
    signs: list[int] = field(default_factory=list[int])

    def __post_init__(self) -> None:
        self.signs = [request.preemptions for request in self._all]

    @property
    def _all(self) -> list[Request]:
        return [*(request for request, _ in self.chunks), *self.decoding]

    def keep(self, running: list[Request]) -> None:
        """Leave out those that lost their cache, or left, since the step began."""
        there = set(running)
        gone = {r for r, sign in zip(self._all, self.signs, strict=True) if r.preemptions != sign or r not in there}
        self.chunks = [(request, taken) for request, taken in self.chunks if request not in gone]
        self.decoding = [request for request in self.decoding if request not in gone]


@dataclass
class SharedReplica(Replica):
    """A replica of two streams: prompts on a share of the cores, decodes on the others, the memory between both.

    ``parts`` tell the steps of each stream on its cores with the memory to itself; while both run, each takes
    :func:`slowdown` times as long. A stream takes its next step as soon as its last one ends, in pieces of the policy's
    token budget. A step that is under way is left as it is when time is up. While one stream has nothing to do, its
    cores idle.
    """

    parts: tuple[Demanding, Demanding] | None = None
    _reading: _Job | None = None
    _writing: _Job | None = None

    @property
    def wakes_s(self) -> float:
        """Return when something happens next: the end of the first step under way, or the first cache that arrives."""
        jobs = self._jobs
        if not jobs:
            return super().wakes_s
        return self.now_s + min(job.left * job.seconds for job in jobs) * _slow(jobs)

    @property
    def _jobs(self) -> list[_Job]:
        return [job for job in (self._reading, self._writing) if job]

    def advance(self, until_s: float, *, to_first: bool = False) -> list[Request]:
        """Run both streams until ``until_s``; return the requests that finished here."""
        finished: list[Request] = []
        while self.now_s < until_s and not (to_first and finished):
            self._admit()
            self._start()
            jobs = self._jobs
            if not jobs:
                if self.wakes_s <= self.now_s:
                    break
                self.now_s = min(self.wakes_s, until_s)
                continue
            finished += self._pass(jobs, until_s)
        return finished

    def _pass(self, jobs: list[_Job], until_s: float) -> list[Request]:
        """Let time pass until the first step ends, or time is up, or a cache arrives; return who finished."""
        slow = _slow(jobs)
        first = min(job.left * job.seconds for job in jobs) * slow
        arrivals = [r.ready_s for r in self.running if r.ready_s > self.now_s]
        passed = min([first, until_s - self.now_s, *(at - self.now_s for at in arrivals)])
        self.now_s = min(self.now_s + passed, until_s) if passed < first else self.now_s + passed
        self.busy_s += passed
        for job in jobs:
            job.left -= passed / (job.seconds * slow)
        if passed < first:
            return []
        return self._end([job for job in jobs if job.left <= 1e-12])

    def _end(self, ended: list[_Job]) -> list[Request]:
        for job in ended:
            self.steps += 1
            job.keep(self.running)
            self._read(job.chunks)
            self._write(job.decoding, self.now_s, 1)
            if job is self._reading:
                self._reading = None
            else:
                self._writing = None
        return self._retire()

    def _start(self) -> None:
        """Start a step of each stream that has none."""
        assert self.parts is not None
        present = [r for r in self.running if r.ready_s <= self.now_s]
        if self._reading is None and (chunks := self._chunks(present)):
            self._reading = _Job(chunks, [], *self.parts[0].seconds_of(composition(chunks, [], 0.0)))
        if self._writing is None and (decoding := [r for r in present if r.is_read]):
            self._writing = _Job([], decoding, *self.parts[1].seconds_of(composition([], decoding, 0.0)))


def _slow(jobs: list[_Job]) -> float:
    """Return how many times longer the steps take that are under way."""
    if len(jobs) < 2:
        return 1.0
    first, second = jobs
    return float(slowdown(first.seconds, first.memory_s, second.seconds, second.memory_s))
