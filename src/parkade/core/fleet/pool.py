"""A pool: nodes of one supplier at one site behind one engine and one agent."""

import msgspec


class Pool(msgspec.Struct, frozen=True, kw_only=True):
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

    leapt_us: int = 0
    """By how much the present leapt since then without that time passed (`ClockAdvanced`)."""
