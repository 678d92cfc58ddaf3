"""Use cases: how long the requests of a kind of service are, what they share, and what is asked of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfmodel.errors import InputError, SpecError
from perfmodel.specs.library import SpecLibrary
from perfmodel.specs.provenance import SOURCES_RULE, Source, sources_of
from perfmodel.specs.schema import Block, Flag, Listing, Quantity, Real, Text, read_spec
from perfmodel.specs.yaml_strict import parse_yaml, read_text

KIND, SCHEMA = "workloads", "usecase/1"
_LENGTHS = Block({}, {"mean": Real(1.0), "median": Real(1.0), "p90": Real(1.0), "fixed": Flag()})
USECASE_RULE = Block(
    {
        "schema": Text(),
        "name": Text(),
        "description": Text(),
        "input_tokens": _LENGTHS,
        "output_tokens": _LENGTHS,
        "sources": SOURCES_RULE,
    },
    {
        "aliases": Listing(Text()),
        "shared_prefix": Real(0.0),
        "ttft": Quantity("seconds"),
        "tpot": Quantity("seconds"),
        "notes": Listing(Text()),
    },
)
"""Every key of a use case's file: the required ones, then the optional ones."""

_USUAL_SIGMA = 1.0
"""Spread of ln(length) where only one figure is known: p90 is 3.6 medians (traces show 0.7 to 1.3)."""

_Z90 = 1.2815515655446004


@dataclass(frozen=True)
class Lengths:
    """A distribution of lengths: lognormal with ``median`` tokens and ``sigma`` of its logarithm (0: all the same).

    Draws are cut at ``longest``, which mean and quantiles leave out.
    """

    median: float
    sigma: float
    longest: float = math.inf

    @property
    def mean(self) -> float:
        """Return the mean, ``median*exp(sigma^2/2)``."""
        return self.median * math.exp(self.sigma * self.sigma / 2.0)

    def quantile(self, share: float) -> float:
        """Return the length that a share of requests stays within, such as 0.9. Errors: :class:`InputError`."""
        if not 0.0 < share < 1.0:
            raise InputError(f"a quantile is a share between 0 and 1, not {share}")
        from statistics import NormalDist

        return self.median * math.exp(self.sigma * NormalDist().inv_cdf(share))


@dataclass(frozen=True)
class UseCase:
    """Requests of one kind; ``shared_prefix`` is the share of input tokens that a prefix cache can save."""

    name: str
    description: str
    input_tokens: Lengths
    output_tokens: Lengths
    shared_prefix: float
    ttft_s: float | None
    tpot_s: float | None
    notes: tuple[str, ...]
    sources: tuple[Source, ...]
    path: str


def list_usecases() -> tuple[str, ...]:
    """Return the names of all use cases, sorted."""
    return _LIBRARY.names()


def load_usecase(name_or_path: str | Path) -> UseCase:
    """Return a use case by name, alias or path; errors as for :meth:`SpecLibrary.load`."""
    return _LIBRARY.load(name_or_path)


def _load(path: Path) -> UseCase:
    values, _ = read_spec(USECASE_RULE, parse_yaml(read_text(path), str(path)), str(path), SCHEMA)
    shared = values.get("shared_prefix", 0.0)
    if shared > 1.0:
        raise SpecError(f"shared_prefix is a share of the input, at most 1, not {shared:g}", str(path))
    return UseCase(
        values["name"], values["description"], _lengths(values, "input_tokens", path),
        _lengths(values, "output_tokens", path), shared, values.get("ttft"), values.get("tpot"),
        tuple(values.get("notes", ())), sources_of(values["sources"]), str(path),
    )  # fmt: skip


_LIBRARY = SpecLibrary(KIND, "usecase", _load)


def _lengths(values: dict[str, Any], field: str, path: Path) -> Lengths:
    return lengths_stated(values[field], field, path)


def lengths_stated(stated: Mapping[str, Any], field: str, path: Path) -> Lengths:
    """Return the distribution that the stated figures (mean, median, p90, fixed) fix; one alone has the usual spread.

    Errors: :class:`SpecError` that names the field.
    """
    median, p90, mean = stated.get("median"), stated.get("p90"), stated.get("mean")
    if median is not None and p90 is not None:
        if p90 < median:
            raise SpecError(f"{field}: p90 {p90:g} is below the median {median:g}", str(path))
        return Lengths(median, math.log(p90 / median) / _Z90)
    if median is not None and mean is not None:
        return Lengths(median, math.sqrt(2.0 * math.log(max(mean / median, 1.0))))
    if median is not None:
        return Lengths(median, _USUAL_SIGMA)
    if mean is None:
        raise SpecError(f"{field} states neither mean nor median", str(path))
    sigma = 0.0 if stated.get("fixed") else _USUAL_SIGMA
    return Lengths(mean * math.exp(-sigma * sigma / 2.0), sigma)


def lengths_of(usecase: UseCase, share: float | None = None) -> tuple[int, int]:
    """Return whole (input, output) tokens: the means, or the quantile of both that a share stays within."""
    both = usecase.input_tokens, usecase.output_tokens
    found = [x.mean if share is None else x.quantile(share) for x in both]
    return max(1, round(found[0])), max(1, round(found[1]))
