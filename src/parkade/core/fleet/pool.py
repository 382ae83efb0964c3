"""A pool: nodes of one supplier at one site behind one engine and one agent."""

import enum

import msgspec

NEEDS_FENCE = frozenset({"slurm"})
"""Engines whose nodes also take jobs that Parkade knows nothing of."""


class Fence(enum.StrEnum):
    """Whether a pool's nodes are closed to jobs that are not ours. Never renamed."""

    UNNEEDED = "unneeded"
    """All that runs there is ours."""
    NONE = "none"
    """Any job may take a node: what is promised there may not come."""
    ASKED = "asked"
    """An operator wants it, and the agent has not said that it stands."""
    STANDS = "stands"


class TakenNode(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node with a job on it that is neither ours nor an owner's on its nodes."""

    node: str
    job: str
    """In words for a person."""

    reservation: str | None = None
    """Of its owner, where it has one: a node that a claim of this reservation has is not taken."""


class Pool(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A pool. Its nodes name the markets that sell them: a pool may supply several markets, and a
    market may have several pools."""

    pool: str
    site: str

    supplier: str | None
    """The org that owns the nodes; None: the operator."""

    engine: str
    """What runs attempts there, such as `local`."""

    opened_us: int

    is_reachable: bool
    """False while the agent is silent for too long: unreachable is not failed."""

    first_heard_us: int | None
    """None until the agent was heard at all."""

    silent_since_us: int | None = None
    """Since when it is known to be silent; None while it is reachable, and in older journals."""

    resizes_live: bool | None = None
    """Whether its engine starts and ends single ranks of what runs; None: its agent did not say."""

    fence: Fence = Fence.UNNEEDED
    """UNNEEDED in journals of before fences."""

    leapt_us: int = 0
    """By how much the present leapt since then without that time passed (`ClockAdvanced`)."""

    @property
    def is_fenced(self) -> bool:
        """Whether what is sold there by right can be delivered."""
        return self.fence in (Fence.UNNEEDED, Fence.STANDS)
