"""Nodes and their life: health is what is known of the machine, cordons are what holders set.

The life of a node under Mars is one table, `STEPS`:

    joining > validating > healthy <> suspect > quarantined > draining > repairing
      > validating > sanitising > healthy | retired

*Open* nodes take newcomers. *Closed* ones (suspect, cordoned, drained by an operator, of a pool
that is not reached) keep who sits there. Both are *in play*; all others are *out*: they count for
nothing in a clearing.
"""

import enum

import msgspec


class Health(enum.StrEnum):
    """Where a node is in its life. Never renamed: it is in the journal."""

    JOINING = "joining"
    """New, not validated yet."""
    VALIDATING = "validating"
    """Its checks run."""
    HEALTHY = "healthy"
    SUSPECT = "suspect"
    """Closed: who sits there stays."""
    QUARANTINED = "quarantined"
    """Out of play by a verdict."""
    DRAINING = "draining"
    """Out of play, and its work is leaving: draining is not drained."""
    REPAIRING = "repairing"
    SANITISING = "sanitising"
    """What the last org left is being wiped."""
    RETIRED = "retired"
    """Given up: it goes back to its vendor."""
    FAILED = "failed"
    """Broken, says a person; only a person restores it."""


_TAKEN_OUT = frozenset(
    {Health.QUARANTINED, Health.DRAINING, Health.REPAIRING, Health.RETIRED, Health.FAILED}
)
STEPS: dict[Health, frozenset[Health]] = {
    Health.JOINING: frozenset(
        {Health.VALIDATING, *_TAKEN_OUT} - {Health.DRAINING, Health.REPAIRING}
    ),
    Health.VALIDATING: frozenset(
        {Health.HEALTHY, Health.SANITISING, *_TAKEN_OUT} - {Health.DRAINING}
    ),
    Health.HEALTHY: frozenset({Health.SUSPECT, Health.QUARANTINED, Health.FAILED}),
    Health.SUSPECT: frozenset({Health.HEALTHY, Health.QUARANTINED, Health.FAILED}),
    Health.QUARANTINED: frozenset({Health.HEALTHY, Health.VALIDATING, *_TAKEN_OUT})
    - {Health.QUARANTINED},
    Health.DRAINING: frozenset({Health.HEALTHY, Health.VALIDATING, *_TAKEN_OUT})
    - {Health.DRAINING},
    Health.REPAIRING: frozenset({Health.VALIDATING, *_TAKEN_OUT})
    - {Health.REPAIRING, Health.DRAINING},
    Health.SANITISING: frozenset({Health.HEALTHY, Health.QUARANTINED, Health.RETIRED})
    | {Health.FAILED},
    Health.RETIRED: frozenset({Health.HEALTHY, Health.QUARANTINED, Health.FAILED}),
    Health.FAILED: frozenset({Health.HEALTHY, Health.QUARANTINED}),
}
"""From each state to those that may follow. A node without configured checks is healthy again on a
person's word alone; with them it passes `validating`."""


def is_step(before: Health, after: Health) -> bool:
    """Whether the table has this step."""
    return after in STEPS[before]


class Cordon(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """No new work here, says `holder`; only the holder lifts it, a person's always wins."""

    holder: str
    reason: str
    at_us: int

    @property
    def is_of_others(self) -> bool:
        """Whether jobs that Parkade did not start are its cause."""
        return self.holder == OTHERS


MARS = "mars:parkade"
"""The holder of Mars' own cordons; no user can have this name."""


OTHERS = "others:parkade"
"""The holder of cordons of nodes on which jobs run that Parkade did not start; no user can have
this name."""


OBSERVED = "observed only: parkade pool lend"
"""The reason of drains by `parkade pool lend --observe`: guests leave, owners go on. Never changed:
it is in the journal."""


SEVERAL_ORGS = "*"
"""In place of the last org of a node that orgs shared; no org has this name."""


class Node(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node of a pool, sold in a market."""

    node: str
    """Its host name."""

    pool: str
    market: str
    fabric: str
    gpus: int
    health: Health

    health_reason: str
    """Why it is not healthy, in words for a person; empty where it is."""

    cordons: tuple[Cordon, ...]
    """At most one of each holder."""

    last_org: str | None
    """The org that sat here last, or `SEVERAL_ORGS` that did together; None: none has."""

    vacated_us: int
    """When it was last seen free; turnaround counts from here. 0: never held."""

    draining_us: int | None = None
    drain_reason: str | None = None
    """Since when an operator empties it; once it is empty it may be removed. None: in use."""

    @property
    def is_open(self) -> bool:
        """Whether newcomers may be seated here."""
        return self.health is Health.HEALTHY and not self.cordons and self.draining_us is None

    @property
    def is_in_play(self) -> bool:
        """Whether its GPUs count at all; the holders of a cordoned or suspect node stay."""
        return self.health is Health.HEALTHY or self.health is Health.SUSPECT

    @property
    def is_taken(self) -> bool:
        """Whether its engine starts nothing of ours here now."""
        return any(cordon.is_of_others for cordon in self.cordons)

    @property
    def is_a_persons(self) -> bool:
        """Whether a person (or the server for one) cordons it: Mars keeps its hands off."""
        return any(cordon.holder != MARS for cordon in self.cordons)
