"""Workflows in closed form: sums and maxima of expectations, at the load that the runs put on each model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from perfmodel.serving.scenario import Setup
from perfmodel.workloads.usecases import Lengths
from perfmodel.workloads.workflows import Call, Choose, Parallel, Repeat, Stage, Wait, Workflow

_FEWEST = 1e-6
"""A turn that fewer runs than this take is not looked at."""

CallSeconds = Callable[[str, float, float, float, int], float]
"""Seconds of calls by role, mean prompt, what of that is read anew, mean output, and how many come at once."""


@dataclass
class Load:
    """What a run asks of a role on average: calls (each sample is one), and tokens, ``read`` those of no cache."""

    calls: float = 0.0
    prompt_tokens: float = 0.0
    read_tokens: float = 0.0
    output_tokens: float = 0.0


@dataclass
class _Walk:
    """A way through the stages with mean lengths: ``weight`` runs take it, ``tokens`` are in its thread."""

    call_s: CallSeconds
    loads: dict[str, Load]
    reuse: bool
    weight: float = 1.0
    tokens: float = 0.0

    def branch(self, weight: float = 1.0) -> _Walk:
        return _Walk(self.call_s, self.loads, self.reuse, self.weight * weight, self.tokens)


@dataclass(frozen=True)
class Expected:
    """A run's expectation: seconds, dollars of its tools, and what it asks of each role.

    ``in_flight`` are the calls that each role then has at once; None where it cannot serve so many runs.
    """

    e2e_s: float
    usd: float
    loads: Mapping[str, Load]
    in_flight: Mapping[str, float | None]


def expected_loads(flow: Workflow, *, reuse: bool = True) -> tuple[dict[str, Load], float]:
    """Return what a run asks of each role on average, and the dollars that its tools cost.

    A call's prompt is the mean thread before it and its mean input; with ``reuse`` only its input is read, less what
    all runs have in common, and samples read theirs once.
    """
    walk = _Walk(lambda *_: 0.0, {role: Load() for role in flow.roles}, reuse)
    _, usd = _stages(flow.stages, walk)
    return walk.loads, usd


def expected_run(flow: Workflow, setups: Mapping[str, Setup], rate: float, *, reuse: bool = True) -> Expected:
    """Return the expectation of a run where ``rate`` of them begin a second.

    A sequence takes the sum of its stages' expectations, branches the largest of theirs, a loop each turn as often as
    it is taken, a choice the mean of its two ways. A call takes ``TTFT + (O - 1)*TPOT`` of the closed loop at the load
    that serves the role's calls (Little's law), at its own mean lengths. Omits that the mean of a maximum is larger
    than the maximum of means (of samples it is taken), and queues of bursts: the simulation has both.
    """
    loads, usd = expected_loads(flow, reuse=reuse)
    in_flight = {role: _in_flight(setups[role], load, rate) for role, load in loads.items()}

    def call_s(role: str, prompt: float, read: float, output: float, count: int) -> float:
        setup, load = setups[role], in_flight[role]
        if load is None:
            return math.inf
        # those that come at once: an encoder reads them as a batch, others share steps as one long prompt would
        asked = (load * count, read) if setup.together else (load, read * count)
        first = setup.answer(*asked, output).phases
        later = setup.answer(load, prompt, output).phases
        tpot = float(later.tpot.expected) if later.tpot is not None else 0.0
        assert first.ttft is not None
        return float(first.ttft.expected) + max(output - 1.0, 0.0) * tpot

    seconds, _ = _stages(flow.stages, _Walk(call_s, {role: Load() for role in flow.roles}, reuse))
    return Expected(seconds, usd, loads, in_flight)


def _in_flight(setup: Setup, load: Load, rate: float) -> float | None:
    """Return the calls at once that finish ``rate`` runs' calls a second, None where no number of them does."""
    if not load.calls or not rate:
        return 1.0
    read, prompt = load.read_tokens / load.calls, load.prompt_tokens / load.calls
    output = load.output_tokens / load.calls
    wanted = rate * load.calls
    # times follow what is read; the memory that bounds the batch holds whole prompts
    most = float(setup.most_running(prompt, output, together=False)) * setup.replicas

    def served(in_flight: float) -> float:
        return float(setup.answer(in_flight, max(read, 1.0), output).requests_per_s)

    low, high = 0.0, max(most, 1.0)
    if served(high) < wanted:
        return None
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if served(middle) >= wanted else (middle, high)
    return max(high, 1.0)


def _stages(stages: Sequence[Stage], walk: _Walk) -> tuple[float, float]:
    """Return the mean seconds and dollars of stages, one after the other, and note their calls."""
    seconds = usd = 0.0
    for stage in stages:
        more_s, more_usd = _stage(stage, walk)
        seconds, usd = seconds + more_s, usd + more_usd
    return seconds, usd


def _stage(stage: Stage, walk: _Walk) -> tuple[float, float]:
    match stage:
        case Call():
            return _call(stage, walk), 0.0
        case Wait():
            return stage.seconds.mean, stage.usd
        case Parallel():
            found = [_stages(branch, walk.branch()) for branch in stage.branches]
            return max(seconds for seconds, _ in found), sum(usd for _, usd in found)
        case Repeat():
            return _repeat(stage, walk)
        case Choose():
            return _choose(stage, walk)


def _repeat(stage: Repeat, walk: _Walk) -> tuple[float, float]:
    """Return the sum over the turns, each by the share of the runs that takes it; the thread is the mean at the end."""
    seconds = usd = tokens = 0.0
    weight, taken, turn = walk.weight, 1.0, 0
    last = stage.turns if stage.fixed else stage.most
    while turn < last and taken >= _FEWEST:
        walk.weight = weight * taken
        more_s, more_usd = _stages(stage.stages, walk)
        seconds, usd = seconds + taken * more_s, usd + taken * more_usd
        turn += 1
        goes_on = 0.0 if turn >= last else 1.0 if stage.fixed else 1.0 - 1.0 / stage.turns
        tokens += taken * (1.0 - goes_on) * walk.tokens
        taken *= goes_on
    walk.weight, walk.tokens = weight, tokens
    return seconds, usd


def _choose(stage: Choose, walk: _Walk) -> tuple[float, float]:
    ways = ((stage.share, stage.stages), (1.0 - stage.share, stage.otherwise))
    seconds = usd = tokens = 0.0
    for share, stages in ways:
        branch = walk.branch(share)
        more_s, more_usd = _stages(stages, branch)
        seconds, usd, tokens = seconds + share * more_s, usd + share * more_usd, tokens + share * branch.tokens
    walk.tokens = tokens
    return seconds, usd


def _call(stage: Call, walk: _Walk) -> float:
    """Return the seconds of a call, note what it asks for, and lengthen the thread."""
    before = walk.tokens if stage.history else 0.0
    given, output = stage.input_tokens.mean, stage.output_tokens.mean
    prompt = before + given
    known = max(before, float(stage.cached_tokens)) if walk.reuse else 0.0
    read = max(prompt - known, 1.0)
    load = walk.loads[stage.role]
    answers = stage.samples * stage.copies
    load.calls += walk.weight * answers
    load.prompt_tokens += walk.weight * answers * prompt
    load.read_tokens += walk.weight * read * (stage.copies if walk.reuse else answers)
    load.output_tokens += walk.weight * answers * output
    if stage.history and stage.copies == 1:
        walk.tokens = prompt + output
    # copies come together: the last is read when all are
    return walk.call_s(stage.role, prompt, read, expected_longest(stage.output_tokens, answers), stage.copies)


def expected_longest(lengths: Lengths, count: int) -> float:
    """Return the mean of the longest of ``count`` lengths: ``median*integral exp(sigma*z) n Phi(z)^(n-1) phi(z) dz``.

    By the trapezoidal rule over 16 standard deviations around the mean of the integrand, exact to nine digits.
    """
    if count == 1 or not lengths.sigma:
        return lengths.mean
    normal, sigma = NormalDist(), lengths.sigma
    points = [-8.0 + 0.01 * i for i in range(int((16.0 + 4.0 * sigma) / 0.01))]
    return (
        lengths.median
        * 0.01
        * math.fsum(math.exp(sigma * z) * count * normal.cdf(z) ** (count - 1) * normal.pdf(z) for z in points)
    )
