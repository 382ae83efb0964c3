"""When a call is sent, sent again, or given up: the one flow under both clients, without I/O.

The flow is a generator: it yields what to do next and is sent what came of it.
"""

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

import httpx
from pydantic import BaseModel

from parkade.client.call import Call
from parkade.client.errors import unreachable

M = TypeVar("M", bound=BaseModel)
MOST_TRIES = 5
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
TRY_AGAIN = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Send:
    """Send the call now."""


@dataclass(frozen=True)
class Wait:
    """Let this time pass."""

    seconds: float


Outcome = httpx.Response | httpx.TransportError | None
Flow = Generator[Send | Wait, Outcome, M]


def flow(call: Call[M], *, server: str) -> Flow[M]:
    """Tries until there is an answer that will not change by asking again.

    Safe for changes too: the key is the same in every try.
    """
    for number in range(1, MOST_TRIES + 1):
        outcome = yield Send()
        if isinstance(outcome, httpx.Response) and (
            outcome.status_code not in TRY_AGAIN or number == MOST_TRIES
        ):
            return call.read(outcome)
        if isinstance(outcome, httpx.TransportError) and number == MOST_TRIES:
            raise unreachable(outcome, server=server) from outcome
        yield Wait(pause(number, told=_retry_after(outcome)))
    raise AssertionError("the last try returns or raises")


def pause(number: int, *, told: float | None = None) -> float:
    """Seconds before try `number` + 1: what the server told, else doubling, with chance in it."""
    if told is not None:
        return min(told, LONGEST_PAUSE_S)
    longest = min(FIRST_PAUSE_S * float(1 << number - 1), LONGEST_PAUSE_S)
    return longest * (0.5 + random.random() / 2)


def _retry_after(outcome: Outcome) -> float | None:
    text = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    return float(text) if text.isdecimal() else None
