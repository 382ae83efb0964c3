"""When a call is sent, sent again, or given up: the one flow under both clients, without I/O.

The flow is a generator: it yields what to do next and is sent what came of it.
"""

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel

from parkade.client.call import Call
from parkade.client.errors import Failed, unreachable
from parkade.wire.problems import problem

M = TypeVar("M", bound=BaseModel)
MOST_TRIES = 5
MOST_PAGES = 10_000
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
# Of several servers: half a minute, in which a standby takes over three times.
PAUSE_OF_SEVERAL_S = 1.0
TRIES_OF_SEVERAL = 40
AWAY = frozenset({502, 503, 504})
TRY_AGAIN = AWAY | {429}


@dataclass(frozen=True)
class Send:
    """Send this call now."""

    call: Call[Any]


@dataclass(frozen=True)
class Wait:
    """Let this time pass."""

    seconds: float


Outcome = httpx.Response | httpx.TransportError | None
Flow = Generator[Send | Wait, Outcome, M]


def flow(call: Call[M], *, server: str, servers: int = 1) -> Flow[M]:
    """The whole answer: its pages are asked for one after another, where it is wanted whole."""
    answer = yield from _asked(call, server=server, servers=servers)
    for _ in range(MOST_PAGES):
        rest = call.rest(answer)
        if rest is None:
            return answer
        more = yield from _asked(rest, server=server, servers=servers)
        answer = call.joined(answer, more)
    raise Failed(problem("internal", f"{call.path} has more than {MOST_PAGES:,} pages; ask anew"))


def _asked(call: Call[M], *, server: str, servers: int) -> Flow[M]:
    """Tries until there is an answer that will not change by asking again.

    Safe for changes too: the key is the same in every try. Of several servers each try asks the
    next, for as long as a standby needs to take over.
    """
    most = tries(servers)
    for number in range(1, most + 1):
        outcome = yield Send(call)
        if isinstance(outcome, httpx.Response) and (
            outcome.status_code not in TRY_AGAIN or number == most
        ):
            return call.read(outcome)
        if isinstance(outcome, httpx.TransportError) and number == most:
            raise unreachable(outcome, server=server) from outcome
        yield Wait(pause(number, told=_retry_after(outcome), servers=servers))
    raise AssertionError("the last try returns or raises")


def tries(servers: int) -> int:
    """How often a call is sent at most."""
    return MOST_TRIES if servers == 1 else TRIES_OF_SEVERAL


def pause(number: int, *, told: float | None = None, servers: int = 1) -> float:
    """Seconds before try `number` + 1: what the server told, else doubling, with chance in it.
    Where there are several servers, the first of them are asked one after another at once."""
    if number < servers:
        return 0.0
    most = LONGEST_PAUSE_S if servers == 1 else PAUSE_OF_SEVERAL_S
    if told is not None:
        return min(told, most)
    longest = min(FIRST_PAUSE_S * float(1 << min(number, 20) - 1), most)
    return longest * (0.5 + random.random() / 2)


def _retry_after(outcome: Outcome) -> float | None:
    text = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    return float(text) if text.isdecimal() else None
