"""Every plan of one replica at many loads, as columns of numbers: the table that decisions are made from."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from perfmodel.errors import InputError
from perfmodel.numeric import Number
from perfmodel.plan.parallelism import Plan
from perfmodel.search.space import WAYS
from perfmodel.search.steps import GroupSteps, Steps
from perfmodel.serving.closed_loop import steady_state
from perfmodel.serving.phases import Phases


@dataclass(frozen=True)
class Points:
    """Columns of equal length; a row is one replica of a plan at one load.

    ``plans`` are the plans that the column ``plan`` counts into. Times are seconds, ``requests_per_s`` and
    ``tokens_per_s`` (output) of the replica, ``devices`` those of the replica.
    """

    device: str
    precision: str
    plans: tuple[Plan, ...]
    plan: Any
    load: Any
    devices: Any
    ttft_s: Any
    ttft_p90_s: Any
    tpot_s: Any
    tpot_p90_s: Any
    e2e_s: Any
    requests_per_s: Any
    tokens_per_s: Any
    joules_per_token: Any

    def __len__(self) -> int:
        return len(self.load)

    @property
    def plans_with_room(self) -> int:
        """Return how many plans hold the model and one request."""
        return len(set(self.plan.tolist()))

    def row(self, index: int) -> dict[str, Any]:
        """Return one row as plain numbers with its plan's ways of splitting."""
        values = {name: float(getattr(self, name)[index]) for name in COLUMNS if name != "plan"}
        plan = self.plans[int(self.plan[index])]
        ways = {way: int(getattr(plan, way)) for way in WAYS} | {"moe_tp": int(plan.expert_tp)}
        return {"device": self.device, "precision": self.precision, **ways, **values}


COLUMNS = tuple(f.name for f in fields(Points) if f.name not in ("device", "precision", "plans"))


def points(steps: Steps) -> Points:
    """Return every plan at every load that its memory holds, in the steady state of whole replicas."""
    import numpy as np

    parts: list[Points] = []
    first = 0
    for part in steps.groups:
        parts.append(_group_points(part, first, steps))
        first += part.count
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return replace(parts[0], plans=steps.plans, **columns)


def _group_points(part: GroupSteps, first: int, steps: Steps) -> Points:
    import numpy as np

    setup, shape = part.setup, part.load.shape
    numbers = steps.input_tokens, steps.output_tokens
    nothing = (0.0, 0.0)  # the bounds of a request alone are not what plans are compared by
    found = steady_state(
        part.group.plan, setup.framework, part.prefill, part.decode, nothing, part.load, part.load, numbers[1]
    )
    extras = setup.extras(found, *numbers)

    def column(value: Number) -> Any:
        return np.broadcast_to(np.asarray(value, dtype=float), shape)[part.held]

    return Points(
        device=setup.decode.machine.chip.name,
        precision=setup.decode.precisions.linear.name,
        plans=part.group.members,
        plan=column(first + np.arange(part.count)[:, None]).astype(int),
        load=column(part.load),
        devices=column(setup.devices),
        **{name: column(value) for name, value in _times(found).items()},
        requests_per_s=column(found.requests_per_s),
        tokens_per_s=column(found.output_tokens_per_s),
        joules_per_token=column(extras.get("joules_per_token", np.nan)),
    )


def _times(phases: Phases) -> dict[str, Number]:
    ttft, tpot, e2e = phases.ttft, phases.tpot, phases.e2e
    if ttft is None or tpot is None or e2e is None:
        raise InputError("a plan is searched for phase serve, which has both TTFT and TPOT")
    return {
        "ttft_s": ttft.expected, "ttft_p90_s": ttft.p90, "tpot_s": tpot.expected, "tpot_p90_s": tpot.p90,
        "e2e_s": e2e.expected,
    }  # fmt: skip
