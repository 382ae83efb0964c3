"""Events about the writer and its clock, and what the world no longer keeps."""

from parkade.core.state.events.event import Event


class AboutServer(Event, frozen=True, kw_only=True):
    """All events about the server and its clock."""


class EpochOpened(AboutServer, frozen=True, kw_only=True):
    """A writer began; desired states of older epochs are refused.

    `lineage` is random for each epoch, `installation` the marketplace's own since its first;
    both None in journals of version 1. `accepts_agents`: agents that obeyed an earlier epoch which
    this journal has lost obey this one, as an operator said.
    """

    epoch: int
    installation: str | None = None
    lineage: str | None = None
    accepts_agents: bool = False


class ClockJumped(AboutServer, frozen=True, kw_only=True):
    """The clock went ahead by more than a pause explains; clearing stops until confirmed."""

    from_us: int


class ClockConfirmed(AboutServer, frozen=True, kw_only=True):
    """A person confirmed the clock."""


class ClockAdvanced(AboutServer, frozen=True, kw_only=True):
    """The present goes on `by_us` later though no time passed, as the wall clock was set ahead.

    Told only where it matters. In a silent pool, what is timed on its nodes does not end sooner for
    it. In a pool that is heard, what has not started is not later for it: for `unheard_us` no agent
    could tell of a first process. That is the same span, or, with a `by_us` of 0, the time from the
    last event to this epoch's first; 0 in older journals.
    """

    by_us: int
    unheard_us: int = 0


class Forgotten(Event, frozen=True, kw_only=True):
    """What ended long ago leaves the world; read models keep it."""

    workloads: tuple[str, ...]
    reservations: tuple[str, ...]


ServerEvent = EpochOpened | ClockJumped | ClockConfirmed | ClockAdvanced
"""About the writer and its clock."""
