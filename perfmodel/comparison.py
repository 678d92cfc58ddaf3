"""Several answers side by side: what differs in the questions, in the answers, and which operator did it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from perfmodel.api import Estimate
from perfmodel.asking import estimate, is_network
from perfmodel.devices.compare import flatten_device
from perfmodel.errors import InputError, PerfmodelError, did_you_mean
from perfmodel.network_api import NetworkEstimate
from perfmodel.serving.network import NetworkSetup

METRICS: dict[str, bool] = {
    "ttft_s": False, "tpot_s": False, "e2e_s": False, "tokens_per_s": True, "tokens_per_s_per_device": True,
    "requests_per_s": True, "memory_bytes_per_device": False, "joules_per_token": False, "power_w_per_device": False,
    "usd_per_million_tokens": False,
}  # fmt: skip
"""What is compared of language models, and whether more of it is better."""

NETWORK_METRICS: dict[str, bool] = {
    "latency_s": False, "samples_per_s": True, "samples_per_s_per_device": True, "memory_bytes_per_device": False,
    "joules_per_sample": False, "power_w_per_device": False, "usd_per_million_samples": False,
}  # fmt: skip
"""The same of networks."""

PER: dict[str, dict[str, bool]] = {
    "watt": {"{}_per_s_per_w": True, "{}_per_s_at_equal_power": True},
    "mm2": {"die_mm2": False, "{}_per_s_per_mm2": True, "{}_per_s_at_equal_area": True},
}
"""What is compared besides for each watt, or each mm2 of dies; {} stands for tokens or samples."""

FRAMEWORK = "framework and queueing"
"""The part of a language model's metric that is in no operator of its step."""

ISSUE = "issue and start"
"""The part of a network's latency that is in none of its kernels."""

_PHASE = {"ttft": "prefill", "tpot": "decode"}


@dataclass(frozen=True)
class Case:
    """One question with its name, and its answer or the reason why there is none."""

    name: str
    arguments: Mapping[str, Any]
    estimate: Estimate | NetworkEstimate | None
    error: str = ""

    @property
    def of_network(self) -> bool:
        """Whether the question is about a network rather than a language model."""
        return isinstance(self.estimate, NetworkEstimate)

    @cached_property
    def report(self) -> dict[str, Any]:
        """The estimate as a JSON-ready object."""
        assert self.estimate is not None
        return self.estimate.report()

    def metric(self, name: str) -> float | None:
        """Return one of :data:`METRICS` (:data:`NETWORK_METRICS`), None where it is not known."""
        if self.estimate is None:
            return None
        if name in ("power_w", "die_mm2"):
            return self._whole(name)
        unit, slash, per = name.partition("_per_s_per_")
        if slash and per in ("w", "mm2"):
            rate, whole = self.metric(f"{unit}_per_s"), self._whole("power_w" if per == "w" else "die_mm2")
            return rate / whole if rate is not None and whole else None
        found = self.report.get(name)
        if name == "power_w_per_device":
            found = (self.report.get("energy") or {}).get(name)
        return found["expected"] if isinstance(found, dict) else found

    def _whole(self, name: str) -> float | None:
        """Return the power of all devices, or the mm2 of all their dies; None where a device's file lets no one say."""
        assert self.estimate is not None
        setup = self.estimate.setup
        devices = setup.question.dp if isinstance(setup, NetworkSetup) else setup.devices
        if name == "power_w":
            each = self.metric("power_w_per_device")
            return None if each is None else each * devices
        from perfmodel.cost.area import die_area

        try:
            return die_area(self.estimate.device).mm2 * devices
        except InputError:
            return None


@dataclass(frozen=True)
class Term:
    """What an operator adds to a metric in both cases, and what limits it there."""

    name: str
    part: str
    baseline_s: float
    case_s: float
    baseline_limit: str
    case_limit: str

    @property
    def difference_s(self) -> float:
        """Return how much longer the case takes here."""
        return self.case_s - self.baseline_s


@dataclass(frozen=True)
class Comparison:
    """Cases beside a baseline, which is one of them."""

    cases: tuple[Case, ...]
    baseline: int
    per: str = ""

    @property
    def base(self) -> Case:
        """The case that the others are compared with."""
        return self.cases[self.baseline]

    @property
    def metrics(self) -> dict[str, bool]:
        """What is compared: the metrics of the cases' kind, each with whether more of it is better."""
        own, unit = (NETWORK_METRICS, "samples") if self.base.of_network else (METRICS, "tokens")
        return own | {name.format(unit): more for name, more in PER.get(self.per, {}).items()}

    @property
    def attributed(self) -> tuple[str, ...]:
        """The metrics that are a sum of operators, whose difference can be put down to each."""
        return ("latency",) if self.base.of_network else tuple(_PHASE)

    def rows(self) -> list[dict[str, Any]]:
        """Return a row a case: its metrics, and each over the baseline's."""
        return [self._row(case) for case in self.cases]

    def _row(self, case: Case) -> dict[str, Any]:
        row: dict[str, Any] = {"case": case.name, "error": case.error}
        if case.estimate is None:
            return row
        for name in self.metrics:
            value, base = self._metric(case, name), self._metric(self.base, name)
            row[name] = value
            row[f"{name}_ratio"] = value / base if value is not None and base else None
        return row | {"fits": case.report["fits"], "bottleneck": case.report["bottleneck"]}

    def _metric(self, case: Case, name: str) -> float | None:
        """Return a metric of a case; "at equal power" is the rate of as many of its devices as draw the baseline's."""
        rate, equal, what = name.partition("_at_equal_")
        if not equal:
            return case.metric(name)
        own, base = (one.metric("power_w" if what == "power" else "die_mm2") for one in (case, self.base))
        found = case.metric(rate)
        return found * base / own if found is not None and own and base else None

    def differences(self, case: Case) -> dict[str, tuple[Any, Any]]:
        """Return what differs in the questions: inputs, and numbers of the devices, as (baseline, case)."""
        if case.estimate is None or self.base.estimate is None:
            return {}
        left, right = (_asked(one.report) for one in (self.base, case))
        found = {k: (left.get(k), right.get(k)) for k in {**left, **right} if left.get(k) != right.get(k)}
        a, b = flatten_device(self.base.estimate.device), flatten_device(case.estimate.device)
        telling = [k for k in {**a, **b} if a.get(k) != b.get(k) and _tells(k)]
        return found | {f"device.{k}": (a.get(k), b.get(k)) for k in telling}

    def attribution(self, metric: str, case: Case) -> list[Term]:
        """Return what each operator adds to TPOT or TTFT in both cases, the largest difference first.

        Of a network's latency, the terms are its blocks, or the kinds of its layers where the cases' networks differ.
        The terms sum to the difference of the metrics: what is in no operator is :data:`FRAMEWORK` or :data:`ISSUE`.
        Errors: :class:`InputError` for another metric.
        """
        if metric not in self.attributed:
            known = " or ".join(reversed(self.attributed))
            raise InputError(f"'{metric}' is made of no single step; the terms of {known} are known")
        if self.base.of_network:
            key = "block" if _model_of(self.base) == _model_of(case) else "part"
            left, right = (_network_terms(c, key) for c in (self.base, case))
        else:
            left, right = (_terms(c, metric) for c in (self.base, case))
        names = list({**left, **right})
        none = ("", 0.0, "")
        found = [
            Term(name, (right.get(name) or left[name])[0], left.get(name, none)[1], right.get(name, none)[1],
                 left.get(name, none)[2], right.get(name, none)[2])
            for name in names
        ]  # fmt: skip
        return sorted(found, key=lambda term: -abs(term.difference_s))

    def explanation(self, metric: str, case: Case) -> str:
        """Return one sentence: how much faster or slower, and which terms did it."""
        before, after = self.base.metric(f"{metric}_s"), case.metric(f"{metric}_s")
        if before is None or after is None:
            return ""
        ratio = before / after
        how = f"{ratio:.3g}x faster" if ratio >= 1.0 else f"{1 / ratio:.3g}x slower"
        how = "the same" if abs(ratio - 1.0) < 5e-4 else how
        terms = [t for t in self.attribution(metric, case) if abs(t.difference_s) > 0.02 * abs(after - before)][:4]
        said = ", ".join(_said(t) for t in terms)
        name = metric.upper() if metric in _PHASE else metric
        return f"{name} {how} ({before * 1e3:.4g} to {after * 1e3:.4g} ms)" + (f": {said}" if said else "")


_TELLING = ("memory.main", "memory.last_level", "links", "core_count", "clock_hz", "power_w")
_TELLING_PEAKS = tuple(f"peaks.tensor.{dtype}.dense" for dtype in ("bfloat16", "fp8", "fp4", "int8"))


def _tells(field: str) -> bool:
    """Say whether a device's number is one that answers come from."""
    return field.startswith((*_TELLING, *_TELLING_PEAKS)) and not field.endswith((".name", ".date"))


def _said(term: Term) -> str:
    limit = term.case_limit or term.baseline_limit
    if term.baseline_limit and term.case_limit and term.baseline_limit != term.case_limit:
        limit = f"{term.baseline_limit} to {term.case_limit}"
    return f"{term.name} {term.difference_s * 1e3:+.3g} ms" + (f" ({limit})" if limit else "")


def _terms(case: Case, metric: str) -> dict[str, tuple[str, float, str]]:
    """Return (part, seconds, limit) by operator of the metric's step, operators of one name together."""
    whole = case.metric(f"{metric}_s")
    if case.estimate is None or whole is None:
        return {}
    found: dict[str, tuple[str, float, str]] = {}
    rows = [row for row in case.report["operators"] if row["phase"] == _PHASE[metric]]
    for row in sorted(rows, key=lambda r: r["expected_s"]):
        before = found.get(row["name"], ("", 0.0, ""))[1]
        found[row["name"]] = (row["part"], before + row["expected_s"], row["bottleneck"])
    found[FRAMEWORK] = ("framework", whole - sum(seconds for _, seconds, _ in found.values()), "")
    return found


def _asked(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was asked, and how big the network is: another network is another size."""
    sizes = {"parameters": "parameters", "matmul_flops_per_sample": "matmul_flops_per_sample"}
    return {**report["inputs"], **{name: report[key] for name, key in sizes.items() if key in report}}


def _model_of(case: Case) -> str:
    return str(case.report["inputs"]["model"]) if case.estimate is not None else ""


def _network_terms(case: Case, key: str) -> dict[str, tuple[str, float, str]]:
    """Return (kind of layer, seconds, limit) by block or by kind of layer, and the rest of the latency."""
    whole = case.metric("latency_s")
    if case.estimate is None or whole is None:
        return {}
    rows = case.report["operators"]
    several = len({row["phase"] for row in rows}) > 1
    found: dict[str, tuple[str, float, str]] = {}
    for row in sorted(rows, key=lambda r: r["expected_s"]):
        name = f"{row['phase']}: {row[key]}" if several and key == "block" else row[key]
        found[name] = (row["part"], found.get(name, ("", 0.0, ""))[1] + row["expected_s"], row["bottleneck"])
    found[ISSUE] = ("engine", whole - sum(seconds for _, seconds, _ in found.values()), "")
    return found


def compare(cases: Sequence[Mapping[str, Any]], baseline: int = 0, per: str = "", **common: Any) -> Comparison:
    """Return the answers to several questions beside the one numbered ``baseline``.

    A case holds arguments of :func:`perfmodel.asking.estimate` (``model`` and ``device`` among them) that go over
    ``common``. A case that cannot be has its reason in ``error``. ``per`` "watt" or "mm2" adds rates for each of them.
    Errors: :class:`InputError` if there are fewer than two or if they are of language models and networks, and the
    baseline's own error if it cannot be.
    """
    if len(cases) < 2:
        raise InputError("a comparison needs two cases at least: several models, devices, or --case and --vary")
    if not 0 <= baseline < len(cases):
        raise InputError(f"the baseline is one of the {len(cases)} cases, counted from 0, not {baseline}")
    if per and per not in PER:
        raise InputError(f"per: '{per}' is neither of {', '.join(PER)}{did_you_mean(per, PER)}")
    arguments = [{**common, **case} for case in cases]
    names = case_names(arguments)
    if len({is_network(each["model"]) for each in arguments if "model" in each}) > 1:
        raise InputError("language models make tokens and networks samples: they share no metric to compare")
    found = [_case(name, each) for name, each in zip(names, arguments, strict=True)]
    if found[baseline].error:
        reason = found[baseline].error
        raise _again(arguments[baseline], reason)
    return Comparison(tuple(found), baseline, per)


def _again(arguments: Mapping[str, Any], reason: str) -> PerfmodelError:
    try:
        _ask(arguments)
    except PerfmodelError as error:
        return error
    return InputError(reason)


def _ask(arguments: Mapping[str, Any]) -> Estimate | NetworkEstimate:
    found: Estimate | NetworkEstimate = estimate(**arguments)
    _ = found.answer
    return found


def _case(name: str, arguments: Mapping[str, Any]) -> Case:
    try:
        return Case(name, arguments, _ask(arguments))
    except PerfmodelError as error:
        return Case(name, arguments, None, str(error))


def case_names(cases: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a short name for each case: what is not the same in all of them."""
    flat = [_flat(case) for case in cases]
    keys = list(dict.fromkeys(itertools.chain(*flat)))
    telling = [key for key in keys if len({str(case.get(key)) for case in flat}) > 1] or keys[:1]
    return [
        " ".join(_named(key, case[key]) for key in telling if case.get(key) not in (None, "")) or "as it is"
        for case in flat
    ]


def _flat(case: Mapping[str, Any]) -> dict[str, Any]:
    changes = case.get("changes") or {}
    return {k: v for k, v in case.items() if k != "changes"} | dict(changes)


def _named(key: str, value: Any) -> str:
    return str(value) if key in ("model", "device", "precision") else f"{key}={value}"


def product(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Return every combination of the axes' values as a case; ``device.X`` and ``model.X`` go to its changes."""
    found: list[dict[str, Any]] = []
    for values in itertools.product(*axes.values()):
        case: dict[str, Any] = {}
        for key, value in zip(axes, values, strict=True):
            if key.startswith(("device.", "model.")):
                case["changes"] = {**case.get("changes", {}), key: value}
            else:
                case[key] = value
        found.append(case)
    return found
