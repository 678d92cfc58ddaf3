"""Workflows on replicas: each run goes through its stages, calls models and waits, beside all the others."""

from __future__ import annotations

import random
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from perfmodel.simulation.driver import Driver
from perfmodel.simulation.prefixes import PrefixCache
from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request
from perfmodel.simulation.roles import RoleRouter, Sent
from perfmodel.simulation.routing import router_named
from perfmodel.workloads.usecases import Lengths
from perfmodel.workloads.workflows import Call, Choose, Parallel, Repeat, Stage, Wait, Workflow


@dataclass(eq=False)
class Run:
    """One run of a workflow: when it began and ended, its calls, what its tools cost, and the seconds in its stages.

    ``answer_s`` is when the first token of the last call came: what a user waits for before reading.
    """

    number: int
    arrival_s: float
    finished_s: float | None = None
    answer_s: float | None = None
    usd: float = 0.0
    calls: list[Request] = field(default_factory=list[Request])
    stage_s: dict[str, float] = field(default_factory=dict[str, float])


@dataclass
class _Thread:
    """Where a run, or a branch of it, is: the time, what its model has read and written, and under which key."""

    run: Run
    now_s: float
    key: str
    tokens: int = 0
    branched: bool = False


Asked = float | Sent | list["Steps"]
"""What a process waits for: a time, an answer, or others."""

Steps = Generator[Asked, float, None]
"""A process: yields what it waits for, and is sent the time when it is there."""


@dataclass(eq=False)
class _Process:
    steps: Steps
    parent: _Join | None = None
    begun: bool = False


@dataclass
class _Join:
    process: _Process
    left: int


class WorkflowSimulation:
    """Runs of a workflow on the replicas of its roles; ``runs`` are those that came, ``requests`` their calls by role.

    With ``reuse`` replicas keep the caches of what they have read (as far as memory lasts), and a call begins with
    what its thread, or its sibling samples, left there. Draws are those of ``seed`` and a run's number, whatever the
    order of events. Omits: calls that are cut short, and the cache of a branch beyond its first call.
    """

    def __init__(
        self, flow: Workflow, replicas: Mapping[str, Sequence[Replica]], *, balance: str = "prefix", reuse: bool = True,
        seed: int = 0,
    ) -> None:  # fmt: skip
        self.flow, self.reuse, self.seed = flow, reuse, seed
        self.runs: list[Run] = []
        self.requests: dict[str, list[Request]] = {role: [] for role in replicas}
        every = [replica for group in replicas.values() for replica in group]
        for replica in every if reuse else ():
            replica.prefixes = replica.prefixes or PrefixCache(replica.cache_bytes)
        places: dict[str, range] = {}
        for role, group in replicas.items():
            start = sum(len(seats) for seats in places.values())
            places[role] = range(start, start + len(group))
        self.router = RoleRouter(places, {role: router_named(balance, seed) for role in replicas})
        self.driver = Driver(every, self.router, self._answered)
        self._waiting: dict[Request, _Process] = {}
        self._count = 0
        self._to_come: list[float] = []

    def open_loop(self, arrivals_s: Sequence[float]) -> list[Run]:
        """Return what becomes of runs that begin at given times."""
        for time_s in arrivals_s:
            self.driver.at(time_s, self._begin)
        self.driver.run()
        return self.runs

    def closed_loop(self, in_flight: int, count: int) -> list[Run]:
        """Return what becomes of ``count`` runs of which ``in_flight`` are there at any time."""
        self._to_come = [0.0] * max(count - in_flight, 0)
        return self.open_loop([0.0] * min(in_flight, count))

    def _begin(self, now_s: float) -> None:
        run = Run(len(self.runs), now_s)
        self.runs.append(run)
        dice = random.Random(f"{self.seed}/{run.number}")  # noqa: S311
        thread = _Thread(run, now_s, f"run-{run.number}")
        self._resume(_Process(self._whole(thread, dice)), now_s)

    def _whole(self, thread: _Thread, dice: random.Random) -> Steps:
        yield from self._stages(self.flow.stages, thread, dice)
        thread.run.finished_s = thread.now_s
        if self._to_come:
            self._to_come.pop()
            self.driver.at(thread.now_s, self._begin)

    def _resume(self, process: _Process, now_s: float) -> None:
        """Let a process go on until it waits for something."""
        try:
            asked = process.steps.send(now_s) if process.begun else next(process.steps)
        except StopIteration:
            if process.parent is not None:
                process.parent.left -= 1
                if not process.parent.left:
                    self._resume(process.parent.process, now_s)
            return
        process.begun = True
        if isinstance(asked, Sent):
            self._waiting[asked.request] = process
            self.router.expect(asked)
            self.driver.submit(asked.request)
        elif isinstance(asked, list):
            join = _Join(process, len(asked))
            for steps in asked:
                self._resume(_Process(steps, join), now_s)
        else:
            self.driver.at(asked, lambda time_s: self._resume(process, time_s))

    def _answered(self, request: Request) -> None:
        process = self._waiting.pop(request)
        # an event, not at once: other replicas may still be behind this time
        self.driver.at(request.finished_s or 0.0, lambda time_s: self._resume(process, time_s))

    def _stages(self, stages: Sequence[Stage], thread: _Thread, dice: random.Random) -> Steps:
        for stage in stages:
            began = thread.now_s
            match stage:
                case Call():
                    yield from self._call(stage, thread, dice)
                case Wait():
                    yield from self._wait(stage, thread, dice)
                case Parallel():
                    branches = [self._branch(branch, thread, dice) for branch in stage.branches]
                    thread.now_s = yield branches
                case Repeat():
                    for _ in range(_turns(stage, dice)):
                        yield from self._stages(stage.stages, thread, dice)
                case Choose():
                    chosen = stage.stages if dice.random() < stage.share else stage.otherwise
                    yield from self._stages(chosen, thread, dice)
            spent = thread.run.stage_s
            spent[stage.name] = spent.get(stage.name, 0.0) + thread.now_s - began

    def _wait(self, stage: Wait, thread: _Thread, dice: random.Random) -> Steps:
        thread.run.usd += stage.usd
        thread.now_s = yield thread.now_s + drawn(stage.seconds, dice)

    def _branch(self, stages: Sequence[Stage], thread: _Thread, dice: random.Random) -> Steps:
        own = _Thread(thread.run, thread.now_s, thread.key, thread.tokens, branched=True)
        return self._stages(stages, own, random.Random(dice.random()))  # noqa: S311

    def _call(self, stage: Call, thread: _Thread, dice: random.Random) -> Steps:
        if stage.copies > 1:
            yield from self._copies(stage, thread, dice)
            return
        before = thread.tokens if stage.history else 0
        prompt = before + tokens(stage.input_tokens, dice)
        outputs = [tokens(stage.output_tokens, dice) for _ in range(stage.samples)]
        if stage.samples == 1:
            # what another branch may still write to the thread's cache is none of this one's
            shared = thread.tokens if thread.branched else None
            key = thread.key if stage.history and shared != 0 else ""
            sent = self._sent(stage, thread, prompt, outputs[0], key, shared)
            thread.now_s = yield sent
            thread.run.answer_s = sent.request.first_token_s
        elif self.reuse:
            yield from self._samples(stage, thread, prompt, outputs)
        else:
            every = [self._sent(stage, thread, prompt, out, "", None) for out in outputs]
            thread.now_s = yield [self._one(each) for each in every]
            thread.run.answer_s = min(each.request.first_token_s or 0.0 for each in every)
        if stage.history:
            thread.tokens = prompt + outputs[0]

    def _copies(self, stage: Call, thread: _Thread, dice: random.Random) -> Steps:
        """Ask several prompts at once that have only their beginning in common; the thread stays as it was."""
        before = thread.tokens if stage.history else 0
        every: list[Sent] = []
        for _ in range(stage.copies):
            prompt = before + tokens(stage.input_tokens, dice)
            shared = before if self.reuse and before else None
            key = thread.key if shared else ""
            every.append(self._sent(stage, thread, prompt, tokens(stage.output_tokens, dice), key, shared))
        thread.now_s = yield [self._one(each) for each in every]
        thread.run.answer_s = min(each.request.first_token_s or 0.0 for each in every)

    def _samples(self, stage: Call, thread: _Thread, prompt: int, outputs: Sequence[int]) -> Steps:
        """Read the prompt once, which yields the first tokens; then write each sample on from the prompt's cache."""
        own = thread.branched or not stage.history
        key = f"{thread.key}/{len(thread.run.calls)}" if own else thread.key
        first = self._sent(stage, thread, prompt, 1, key, None)
        thread.now_s = yield first
        thread.run.answer_s = first.request.first_token_s
        further = [self._sent(stage, thread, prompt + 1, out - 1, key, prompt) for out in outputs if out > 1]
        if further:
            thread.now_s = yield [self._one(replace(each, sibling=first.request)) for each in further]

    def _one(self, sent: Sent) -> Steps:
        yield sent

    def _sent(self, stage: Call, thread: _Thread, prompt: int, out: int, key: str, shared: int | None) -> Sent:
        cached = min(stage.cached_tokens, prompt - 1) if self.reuse else 0
        key, shared = (key, shared) if self.reuse else ("", None)
        request = Request(self._count, thread.now_s, prompt, out, cached, key, shared)
        self._count += 1
        thread.run.calls.append(request)
        self.requests[stage.role].append(request)
        return Sent(request, stage.role)


def _turns(stage: Repeat, dice: random.Random) -> int:
    """Return how many turns a run takes: of a geometric number each is the last with the chance ``1/mean``."""
    if stage.fixed:
        return int(stage.turns)
    count = 1
    while count < stage.most and dice.random() >= 1.0 / stage.turns:
        count += 1
    return count


def drawn(lengths: Lengths, dice: random.Random) -> float:
    """Return a value of a lognormal distribution."""
    found = lengths.median * dice.lognormvariate(0.0, lengths.sigma) if lengths.sigma else lengths.median
    return min(found, lengths.longest)


def tokens(lengths: Lengths, dice: random.Random) -> int:
    """Return a drawn length in whole tokens, one at least."""
    return max(round(drawn(lengths, dice)), 1)
