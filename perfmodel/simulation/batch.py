"""The composition of a step from the requests that are in it."""

from __future__ import annotations

from perfmodel.simulation.predictor import Composition
from perfmodel.simulation.requests import Request


def composition(chunks: list[tuple[Request, int]], decoding: list[Request], ahead: float) -> Composition:
    """Return the step's composition, the caches of decodes ``ahead`` tokens longer than they are."""
    count = len(chunks)
    new = sum(taken for _, taken in chunks) / count if count else 0.0
    context = sum(request.prefilled + taken for request, taken in chunks) / count if count else 0.0
    cache = sum(r.context for r in decoding) / len(decoding) + 1.0 + ahead if decoding else 0.0
    asked = {r.adapter for r in decoding if r.adapter >= 0} | {r.adapter for r, _ in chunks if r.adapter >= 0}
    return Composition(count, new, context, len(decoding), cache, len(asked))
