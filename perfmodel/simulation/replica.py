"""One replica, step by step: who is in the next step, how long it takes, and who finishes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from perfmodel.errors import InputError
from perfmodel.simulation.predictor import Composition, Predictor
from perfmodel.simulation.requests import Request

POLICIES = ("chunked", "prompts_first")


@dataclass(frozen=True)
class Policy:
    """How steps are made up.

    ``chunked``: decodes first, then pieces of prompts up to ``token_budget`` tokens a step (Sarathi-Serve).
    ``prompts_first``: waiting prompts as a whole, up to the budget (one at least), in steps without decodes (Orca, vLLM
    before 0.6). At most ``most_running`` requests run at once.
    """

    name: str = "chunked"
    token_budget: int = 8192
    most_running: int = 1_000_000

    def __post_init__(self) -> None:
        if self.name not in POLICIES:
            raise InputError(f"unknown policy '{self.name}' (one of {', '.join(POLICIES)})")
        if self.token_budget < 1 or self.most_running < 1:
            raise InputError("token budget and most running requests must be at least 1")


@dataclass
class Replica:
    """A replica with its queue; ``cache_bytes`` of a sequence by its tokens, ``room_bytes`` for all of them.

    A request is let in when its prompt fits beside what runs; when the caches outgrow the room, the youngest request
    gives up its cache and queues again, first in line (recomputation). ``decodes_here`` False finishes a request with
    its first token (a prefill worker); ``arrives_cached`` True starts one with its prompt cached (a decode worker).
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

    @property
    def load(self) -> int:
        """Return how many requests it has, running or waiting."""
        return len(self.waiting) + len(self.running)

    def add(self, request: Request) -> None:
        """Queue a request. Errors: :class:`InputError` if it can never fit."""
        if self.cache_bytes(request.input_tokens + request.output_tokens) > self.room_bytes:
            raise InputError(
                f"request {request.number} of {request.input_tokens} + {request.output_tokens} tokens does not fit "
                f"into the {self.room_bytes / 1e9:.3g} GB that a replica has for caches"
            )
        self.waiting.append(request)

    def advance(self, until_s: float) -> list[Request]:
        """Run steps that begin before ``until_s``; return the requests that finished here."""
        finished: list[Request] = []
        while self.now_s < until_s:
            self._admit()
            chunks = self._chunks()
            decoding = [r for r in self.running if r.is_read] if self._decodes_in(chunks) else []
            if not chunks and not decoding:
                break
            finished += self._run(chunks, decoding, until_s)
        return finished

    def _decodes_in(self, chunks: list[tuple[Request, int]]) -> bool:
        return self.policy.name == "chunked" or not chunks

    def _admit(self) -> None:
        held = sum(self.cache_bytes(max(r.context, r.to_read)) for r in self.running)
        while self.waiting and len(self.running) < self.policy.most_running:
            request = self.waiting[0]
            needed = self.cache_bytes(request.to_read + 1)
            if self.running and held + needed > self.room_bytes:
                return
            self.waiting.popleft()
            held += needed
            request.started_s = self.now_s if request.started_s is None else request.started_s
            if self.arrives_cached:
                request.prefilled, request.generated = request.input_tokens, 1
            else:
                request.prefilled = min(request.cached_tokens, request.input_tokens - 1)
            self.running.append(request)

    def _chunks(self) -> list[tuple[Request, int]]:
        """Return the prompts of the next step with how many of their tokens it takes."""
        unread = [r for r in self.running if not r.is_read]
        budget = self.policy.token_budget
        if self.policy.name == "chunked":
            budget -= len(self.running) - len(unread)
        found: list[tuple[Request, int]] = []
        for request in unread:
            left = request.to_read - request.prefilled
            take = min(left, budget) if self.policy.name == "chunked" else left
            if take <= 0 or (found and take > budget):
                break
            found.append((request, take))
            budget -= take
        return found

    def _run(self, chunks: list[tuple[Request, int]], decoding: list[Request], until_s: float) -> list[Request]:
        """Run the step, or as many equal steps as pass before anything can change; return who finished."""
        repeat = 1 if chunks else self._alike(decoding)
        step = _composition(chunks, decoding, 0.5 * (repeat - 1))
        seconds = self.predictor.step_s(step)
        if repeat > 1 and self.now_s + repeat * seconds > until_s:
            repeat = min(repeat, max(int((until_s - self.now_s) / seconds) + 1, 1))
            seconds = self.predictor.step_s(_composition(chunks, decoding, 0.5 * (repeat - 1)))
        first_s = self.now_s + seconds
        self.now_s += repeat * seconds
        self.busy_s += repeat * seconds
        self.steps += repeat
        for request, taken in chunks:
            request.prefilled += taken
            if request.is_read:
                request.generated += 1
                request.first_token_s = self.now_s if request.first_token_s is None else request.first_token_s
                request.tokens_at(self.now_s, self.now_s, 1)
        for request in decoding:
            request.generated += repeat
            request.tokens_at(first_s, self.now_s, repeat)
        return self._retire()

    def _alike(self, decoding: list[Request]) -> int:
        """Return after how many decode steps the first of these requests finishes or the room is full."""
        least = min(r.output_tokens - r.generated for r in decoding)
        held = sum(self.cache_bytes(r.context + least) for r in decoding)
        return max(least, 1) if held <= self.room_bytes else 1

    def _retire(self) -> list[Request]:
        done = [r for r in self.running if r.generated >= (r.output_tokens if self.decodes_here else 1)]
        for request in done:
            request.finished_s = self.now_s
        if done:
            self.running = [r for r in self.running if r not in done]
        while len(self.running) > 1 and sum(self.cache_bytes(r.context) for r in self.running) > self.room_bytes:
            youngest = self.running.pop()
            youngest.preemptions += 1
            youngest.prefilled, youngest.kept = 0, youngest.generated
            self.waiting.appendleft(youngest)
        return done


def _composition(chunks: list[tuple[Request, int]], decoding: list[Request], ahead: float) -> Composition:
    """Return the step's composition, the caches of decodes ``ahead`` tokens longer than they are."""
    count = len(chunks)
    new = sum(taken for _, taken in chunks) / count if count else 0.0
    context = sum(request.prefilled + taken for request, taken in chunks) / count if count else 0.0
    cache = sum(r.context for r in decoding) / len(decoding) + 1.0 + ahead if decoding else 0.0
    return Composition(count, new, context, len(decoding), cache)
