"""How a workload is laid on machines: parallelism, the operators of one rank and its collectives, its memory."""

from perfmodel.plan.layout import step_operators
from perfmodel.plan.parallelism import Plan, plan_problem, validate_plan
from perfmodel.plan.precision import Precisions, choose_precisions
from perfmodel.plan.step_shape import StepOperator, StepShape

__all__ = [
    "Plan",
    "Precisions",
    "StepOperator",
    "StepShape",
    "choose_precisions",
    "plan_problem",
    "step_operators",
    "validate_plan",
]
