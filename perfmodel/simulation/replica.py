"""One replica, step by step: who is in the next step, how long it takes, and who finishes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from perfmodel.errors import InputError
from perfmodel.simulation.adapters import AdapterPool
from perfmodel.simulation.batch import composition
from perfmodel.simulation.host_link import HostLink
from perfmodel.simulation.policy import Policy
from perfmodel.simulation.predictor import Composition, Predictor
from perfmodel.simulation.preemption import swaps
from perfmodel.simulation.prefixes import PrefixCache
from perfmodel.simulation.requests import Request
from perfmodel.simulation.speculation import Speculation


@dataclass
class Replica:
    """A replica with its queue; ``cache_bytes`` of a sequence by its tokens, ``room_bytes`` for all of them.

    A request is let in when its prompt fits beside what runs; when the caches outgrow the room, the youngest of the
    lowest priority gives its cache up and queues again, first in line. ``decodes_here`` False finishes a request with
    its first token (a prefill worker); ``arrives_cached`` True starts one with its prompt cached (a decode worker).
    A step yields as many tokens as ``speculation`` says (None: one). Over ``host`` come and go swapped caches,
    ``adapters`` and those of ``prefixes`` that lie behind the device's memory: a request waits for its own, while
    others run. ``reserved_bytes`` of the room are held for requests that are on their way here.
    """

    predictor: Predictor
    policy: Policy
    room_bytes: float
    cache_bytes: Callable[[float], float]
    decodes_here: bool = True
    arrives_cached: bool = False
    now_s: float = 0.0
    busy_s: float = 0.0
    steps: int = 0
    waiting: deque[Request] = field(default_factory=deque[Request])
    running: list[Request] = field(default_factory=list[Request])
    host: HostLink | None = None
    prefixes: PrefixCache | None = None
    adapters: AdapterPool | None = None
    speculation: Speculation | None = None
    reserved_bytes: float = 0.0
    swaps: int = 0

    @property
    def load(self) -> int:
        """Return how many requests it has, running or waiting."""
        return len(self.waiting) + len(self.running)

    @property
    def held_bytes(self) -> float:
        """Return the caches of all running requests, what they have in common once, with the adapters they use."""
        common = self.prefixes.pinned_bytes if self.prefixes else 0.0
        used = self.adapters.pinned_bytes if self.adapters else 0.0
        return self._own_bytes(0) + common + used

    @property
    def wakes_s(self) -> float:
        """Return when there is something to do: now, or when the first of the running ones has its cache."""
        if not self.running or any(r.ready_s <= self.now_s for r in self.running):
            return self.now_s
        return min(r.ready_s for r in self.running)

    def add(self, request: Request) -> None:
        """Queue a request, behind those of its priority. Errors: :class:`InputError` if it can never fit."""
        needed = self.cache_bytes(request.input_tokens + request.output_tokens)
        needed += self.adapters.bytes_each if self.adapters and request.adapter >= 0 else 0.0
        if needed > self.room_bytes:
            raise InputError(
                f"request {request.number} of {request.input_tokens} + {request.output_tokens} tokens does not fit "
                f"into the {self.room_bytes / 1e9:.3g} GB that a replica has for caches"
            )
        self._queue(request, lambda other: other.priority < request.priority)

    def take_out(self, request: Request) -> None:
        """Let a running request go elsewhere as it is; what it had in common with others stays here."""
        self.running.remove(request)
        self._give_back(request)

    def take_in(self, request: Request) -> None:
        """Let a request that comes from elsewhere with its cache run on as it is."""
        if self.adapters:
            request.ready_s = self.adapters.borrow(request.adapter, self.now_s)
        self.running.append(request)

    def advance(self, until_s: float, *, to_first: bool = False) -> list[Request]:
        """Run steps that begin before ``until_s``; return the requests that finished here.

        ``to_first`` stops as soon as any does: others may come because of it. Where all that run wait for their caches,
        time passes until the first has it, at most until ``until_s``.
        """
        finished: list[Request] = []
        while self.now_s < until_s and not (to_first and finished):
            self._admit()
            present = [r for r in self.running if r.ready_s <= self.now_s]
            chunks = self._chunks(present)
            decoding = [r for r in present if r.is_read] if self._decodes_in(chunks) else []
            if chunks or decoding:
                finished += self._run(chunks, decoding, until_s)
            elif self.wakes_s > self.now_s:
                self.now_s = min(self.wakes_s, until_s)
            else:
                break
        return finished

    def _decodes_in(self, chunks: list[tuple[Request, int]]) -> bool:
        return self.policy.name == "chunked" or not chunks

    def _queue(self, request: Request, goes_behind: Callable[[Request], bool]) -> None:
        place = next((i for i, other in enumerate(self.waiting) if goes_behind(other)), len(self.waiting))
        self.waiting.insert(place, request)

    def _admit(self) -> None:
        held = self.held_bytes + self.reserved_bytes
        while self.waiting and len(self.running) < self.policy.most_running:
            request = self.waiting[0]
            needed = self._needed_bytes(request)
            if (self.running or self.reserved_bytes) and held + needed > self.room_bytes:
                return
            self.waiting.popleft()
            request.started_s = self.now_s if request.started_s is None else request.started_s
            self._begin(request)
            self.running.append(request)
            held = self.held_bytes + self.reserved_bytes
            self._make_room()

    def _needed_bytes(self, request: Request) -> float:
        """Return what a request that is let in adds to what is held."""
        needed = self.cache_bytes(max(request.to_read, request.context) + 1)
        if self.prefixes and request.key and not request.swapped and not self.arrives_cached:
            needed += self.prefixes.needed_bytes(request)
        return needed + (self.adapters.needed_bytes(request.adapter) if self.adapters else 0.0)

    def _begin(self, request: Request) -> None:
        """Give a request what it begins with: its swapped cache, its prompt's, that of its key; and its adapter."""
        request.ready_s = self.now_s
        if request.swapped and self.host:
            size = self.cache_bytes(request.context)
            request.swapped, request.ready_s = False, self.host.fetch(self.now_s, size)
            self.host.swapped_bytes -= size
        elif self.arrives_cached and not request.generated:
            request.prefilled, request.generated = request.input_tokens, 1
        else:
            request.prefilled = min(request.cached_tokens, request.input_tokens - 1)
            if self.prefixes and request.key:
                request.ready_s = self.prefixes.borrow(request, self.now_s, lambda n: self._computing_s(request, n))
        if self.adapters:
            request.ready_s = max(request.ready_s, self.adapters.borrow(request.adapter, self.now_s))

    def _computing_s(self, request: Request, tokens: int) -> float:
        """Return how much longer a prompt takes alone if so many of its first tokens are computed too."""
        whole = float(request.input_tokens)
        left = Composition(1, whole - tokens, whole)
        return self.predictor.step_s(Composition(1, whole, whole)) - self.predictor.step_s(left)

    def _chunks(self, present: Sequence[Request]) -> list[tuple[Request, int]]:
        """Return the prompts of the next step with how many of their tokens it takes."""
        unread = [r for r in present if not r.is_read]
        budget = self.policy.token_budget
        if self.policy.name == "chunked":
            each = self.speculation.decode_tokens if self.speculation else 1
            budget -= (len(present) - len(unread)) * each
        found: list[tuple[Request, int]] = []
        for request in unread:
            left = request.to_read - request.prefilled
            take = left if self.policy.name == "prompts_first" else min(left, budget)
            if take <= 0 or (found and take > budget):
                break
            found.append((request, take))
            budget -= take
        return found

    def _run(self, chunks: list[tuple[Request, int]], decoding: list[Request], until_s: float) -> list[Request]:
        """Run the step, or as many equal steps as pass before anything can change; return who finished."""
        repeat = 1 if chunks or self.speculation else self._alike(decoding)
        seconds = self.predictor.step_s(composition(chunks, decoding, 0.5 * (repeat - 1)))
        until_s = min([until_s, *(r.ready_s for r in self.running if r.ready_s > self.now_s)])
        if repeat > 1 and self.now_s + repeat * seconds > until_s:
            repeat = min(repeat, max(int((until_s - self.now_s) / seconds) + 1, 1))
            seconds = self.predictor.step_s(composition(chunks, decoding, 0.5 * (repeat - 1)))
        first_s = self.now_s + seconds
        self.now_s += repeat * seconds
        self.busy_s += repeat * seconds
        self.steps += repeat
        self._read(chunks)
        self._write(decoding, first_s, repeat)
        return self._retire()

    def _read(self, chunks: list[tuple[Request, int]]) -> None:
        """Note that pieces of prompts were read; the last piece yields the first token."""
        for request, taken in chunks:
            request.prefilled += taken
            if request.is_read:
                request.generated += 1
                request.first_token_s = self.now_s if request.first_token_s is None else request.first_token_s
                request.tokens_at(self.now_s, self.now_s, 1)
                if self.prefixes and request.key:
                    self.prefixes.share(request)

    def _write(self, decoding: list[Request], first_s: float, repeat: int) -> None:
        """Note the tokens of ``repeat`` steps, or those that one step yields."""
        for request in decoding:
            written = repeat
            if self.speculation:
                written = min(self.speculation.tokens_of(request), request.output_tokens - request.generated)
            if written:
                request.generated += written
                request.tokens_at(first_s, self.now_s, written)

    def _alike(self, decoding: list[Request]) -> int:
        """Return after how many decode steps the first of these requests finishes or the room is full."""
        least = min(r.output_tokens - r.generated for r in decoding)
        grown = self.held_bytes - self._own_bytes(0) + self._own_bytes(least)
        return max(least, 1) if grown + self.reserved_bytes <= self.room_bytes else 1

    def _own_bytes(self, further: int) -> float:
        """Return the caches of running requests, ``further`` tokens longer, without what they have in common."""
        return sum(self.cache_bytes(max(r.context, r.to_read) + further) - r.borrowed_bytes for r in self.running)

    def _retire(self) -> list[Request]:
        done = [r for r in self.running if r.generated >= (r.output_tokens if self.decodes_here else 1)]
        for request in done:
            request.finished_s = self.now_s
            self._give_back(request)
            if self.prefixes and request.key:
                self.prefixes.keep(request)
        if done:
            gone = set(done)
            self.running = [r for r in self.running if r not in gone]
        while len(self.running) > 1 and self._overflows():
            lowest = min(r.priority for r in self.running)
            self._preempt(next(r for r in reversed(self.running) if r.priority == lowest))
        self._make_room()
        return done

    def _overflows(self) -> bool:
        return self.held_bytes + self.reserved_bytes > self.room_bytes

    def _make_room(self) -> None:
        """Let adapters and caches that nobody uses go, as far as those in use need their room."""
        if self.adapters is None and not (self.prefixes and len(self.prefixes.near)):
            return
        left = self.room_bytes - self.reserved_bytes - self._own_bytes(0)
        common = self.prefixes.pinned_bytes if self.prefixes else 0.0
        if self.adapters:
            self.adapters.shrink(left - common)
            left -= self.adapters.near.total_bytes
        if self.prefixes:
            self.prefixes.shrink(left)

    def _give_back(self, request: Request) -> None:
        if self.prefixes and request.key:
            self.prefixes.give_back(request)
        if self.adapters:
            self.adapters.give_back(request.adapter)

    def _preempt(self, victim: Request) -> None:
        """Take a request's cache: to the host, which the others wait for as they need its room, or to be read again."""
        self.running.remove(victim)
        victim.preemptions += 1
        size = self.cache_bytes(victim.context)
        swapped = victim.ready_s <= self.now_s and swaps(self.policy, self.host, self.predictor, victim, size)
        self._give_back(victim)
        if swapped and self.host:
            victim.swapped = True
            self.swaps += 1
            self.host.swapped_bytes += size
            self.host.moved_bytes += size
            self.now_s += self.host.copy_s(size)
        else:
            victim.prefilled, victim.kept = 0, victim.generated
        self._queue(victim, lambda other: other.priority <= victim.priority)
