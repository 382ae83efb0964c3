"""Decides whether an agent is answered: one agent speaks for a pool, and only of this journal.

Two agents with different folders would start every attempt twice. The one that is heard keeps the
pool; another gets it once the first was silent for `silence_us`. One that says no name is another:
the name is random and the agent's own, so that a stolen token alone runs no pool whose agent is
heard. Of agents that all say no name, none is told apart.

An agent that has obeyed an entry which this journal lacks is of another life of it: a backup was
put back, or this is a copy. Nothing that it says is believed and nothing is told to it, until an
operator has accepted it (`admin restore --accept-agents`). One that says nothing of what it
obeyed, as one that has obeyed nothing yet, is answered.

Every question and report of an agent passes here first.
"""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.visible import visible
from parkade.ports import Obeyed, Store

MOST_KNOWN = 1_000
"""Entries that are remembered as ours, so that the store is asked once for each."""


class PoolAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent as it names itself; `place` is its machine and folder, for people."""

    agent: str
    place: str


class AskingAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent with what it says of itself: None where it says nothing."""

    pool: str
    agent: PoolAgent | None
    obeyed: Obeyed | None


class Admission:
    """Judges each agent that asks. `accepting`: the newest epoch that accepted agents of another
    life."""

    def __init__(
        self, store: Store, accepting: Callable[[], Awaitable[int]], *, silence_us: int
    ) -> None:
        self._store = store
        self._accepting = accepting
        self._silence_us = silence_us
        self._heard: dict[str, tuple[PoolAgent, int]] = {}
        self._known: set[Obeyed] = set()
        self._lacking: dict[str, tuple[str, int]] = {}
        self._by_itself: dict[str, str] = {}

    async def refuse(self, asking: AskingAgent, steady_us: int) -> Refusal | None:
        """CONFLICT where another agent runs the pool or the journal lacks what this one obeyed;
        None: it is answered."""
        other = self._other(asking.pool, asking.agent, steady_us)
        if other is not None:
            return _conflict(
                f"another agent runs pool {asking.pool}, at {visible(other.place)}: two would"
                " start everything twice. Stop one of them; once that one is silent, this one is"
                " answered"
            )
        if asking.obeyed is None or await self._knows(asking.obeyed):
            self._lacking.pop(asking.pool, None)
            return None
        why = (
            f"this server's journal lacks entry {asking.obeyed.position} that the agent has obeyed:"
            " it was restored from an older backup, or it is a copy or another marketplace. What"
            " runs in the pool goes on, and nothing is started or stopped. On the server's machine"
            " `parkade admin restore --accept-agents`, with the server's --data-folder or"
            " --database, shows what runs and lets you decide"
        )
        self._lacking[asking.pool] = (why, steady_us)
        return _conflict(why)

    def says(self, pool: str, why: str | None) -> bool:
        """The agent's own word on why it refuses orders, None: it obeys; true where it is new."""
        is_new = why is not None and self._by_itself.get(pool) != why
        if why is None:
            self._by_itself.pop(pool, None)
        else:
            self._by_itself[pool] = why
        return is_new

    def says_itself(self) -> dict[str, str]:
        """Why agents refuse by their own word, by pool."""
        return dict(self._by_itself)

    def lacking(self, steady_us: int) -> dict[str, str]:
        """What this journal lacks of what agents obeyed that asked within `silence_us`, by pool."""
        found = dict(self._lacking).items()
        return {pool: why for pool, (why, at_us) in found if steady_us - at_us <= self._silence_us}

    def _other(self, pool: str, agent: PoolAgent | None, steady_us: int) -> PoolAgent | None:
        name = None if agent is None else agent.agent
        if pool in self._heard:
            present, heard_us = self._heard[pool]
            if present.agent != name and steady_us - heard_us < self._silence_us:
                return present
        if agent is not None:
            self._heard[pool] = (agent, steady_us)
        return None

    async def _knows(self, obeyed: Obeyed) -> bool:
        if obeyed in self._known:
            return True
        after = obeyed.position - 1
        entries = await asyncio.to_thread(self._store.entries, after=after, limit=1)
        here = [(entry.sequence, entry.digest) for entry in entries]
        if here != [(obeyed.position, obeyed.digest)] and obeyed.epoch >= await self._accepting():
            return False
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known.add(obeyed)
        return True


def _conflict(detail: str) -> Refusal:
    return Refusal(reason=Reason.CONFLICT, detail=detail)
