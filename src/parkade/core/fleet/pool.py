"""A pool: nodes of one supplier at one site behind one engine and one agent."""

import msgspec


class Pool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool. A node names its pool and the market that sells it: a pool may supply several
    markets, a market may have several pools.

    `supplier` is the org whose nodes they are, None: the operator. `is_reachable` is false while
    the agent is silent for too long; `first_heard_us` is None until it was heard at all.
    """

    pool: str
    site: str
    supplier: str | None
    engine: str
    opened_us: int
    is_reachable: bool
    first_heard_us: int | None
