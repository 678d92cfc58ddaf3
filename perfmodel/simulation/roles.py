"""Several models at once: requests go to the replicas of their role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from perfmodel.simulation.replica import Replica
from perfmodel.simulation.requests import Request
from perfmodel.simulation.routing import Router


@dataclass(frozen=True)
class Sent:
    """A request to the replicas of a role, or to that of its sibling."""

    request: Request
    role: str
    sibling: Request | None = None


class RoleRouter:
    """Deals requests to the replicas of their role, each role by a router of its own; siblings go where the first is.

    Samples of one prompt are one request to a server, whose replica writes them all.
    """

    def __init__(self, places: Mapping[str, Sequence[int]], routers: Mapping[str, Router]) -> None:
        self._places, self._routers = places, routers
        self._sent: dict[Request, Sent] = {}
        self._dealt: dict[Request, int] = {}

    def expect(self, sent: Sent) -> None:
        """Hear of a request that is about to arrive."""
        self._sent[sent.request] = sent

    def choose(self, request: Request, replicas: Sequence[Replica], loads: Sequence[int]) -> int:
        sent = self._sent.pop(request)
        if sent.sibling is not None:
            return self._dealt[sent.sibling]
        places, router = self._places[sent.role], self._routers[sent.role]
        found = places[router.choose(request, [replicas[i] for i in places], [loads[i] for i in places])]
        self._dealt[request] = found
        return found
