"""Which chip to build: a space of designs, their metrics in columns, a search, and an environment for agents."""

from perfmodel.search.design.environment import DesignEnv, gymnasium_env
from perfmodel.search.design.evaluate import METRICS, Designs
from perfmodel.search.design.optimise import Aim, Found, optimise
from perfmodel.search.design.space import Axis, DesignSpace, parse_space

__all__ = [
    "METRICS",
    "Aim",
    "Axis",
    "DesignEnv",
    "DesignSpace",
    "Designs",
    "Found",
    "gymnasium_env",
    "optimise",
    "parse_space",
]
