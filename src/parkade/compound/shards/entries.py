"""The entries of a sharded run's log, version 1: written for ever, so fields are only ever added.

Each is one JSON file, `log/00000001.json` and on. Amounts are whole micro-units, tokens and calls.
"""

from typing import TypeAlias

import msgspec

from parkade.compound.run.budget import NOTHING, Amounts, Budget

VERSION = 1


class _Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="is", omit_defaults=True):
    """Base of the entries."""


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What questions took, of those that ended since the worker last said so."""

    ended: int = 0
    #: The most that one took.
    most: Amounts = NOTHING


NONE_SEEN = Seen()


class Submitted(_Entry, frozen=True, kw_only=True, tag="submitted"):
    """The run was submitted: the first entry, and another each time it is submitted again."""

    v: int
    #: Digest of the network; shards that another one answered are open again.
    network: str
    budget: Budget


class Taken(_Entry, frozen=True, kw_only=True, tag="taken"):
    """A worker leased a shard; its generation is one more than before."""

    shard: int
    worker: str
    #: Which workload the worker belongs to, and which attempt of it; "" and 0 outside of one.
    workload: str = ""
    attempt: int = 0
    #: Whether the shard's earlier worker cannot make another call.
    is_sure: bool = False


class Counted(_Entry, frozen=True, kw_only=True, tag="counted"):
    """After a lease was taken from a worker that may still call: what its journal accounts for."""

    shard: int
    worker: str
    used: Amounts


class Extended(_Entry, frozen=True, kw_only=True, tag="extended"):
    """More of the budget was set aside for a shard; below zero, less."""

    shard: int
    worker: str
    by: Amounts
    seen: Seen = NONE_SEEN


class GivenBack(_Entry, frozen=True, kw_only=True, tag="given_back"):
    """A worker left a shard unfinished."""

    shard: int
    worker: str
    #: All that the shard used, over its generations; None where that is not known.
    used: Amounts | None = None
    is_budget_spent: bool = False
    #: What is left would not pay a whole question beside those of other workers.
    is_short: bool = False
    seen: Seen = NONE_SEEN


class Finished(_Entry, frozen=True, kw_only=True, tag="finished"):
    """Every question of the shard has its answer, or failed."""

    shard: int
    worker: str
    spent: Amounts
    doubtful: Amounts = NOTHING
    overrun: Amounts = NOTHING
    failed: int = 0
    #: Of the answers, those that a verifier accepted; None: none looked, or an earlier version
    #: finished it.
    accepted: int | None = None
    seen: Seen = NONE_SEEN


class Merged(_Entry, frozen=True, kw_only=True, tag="merged"):
    """The results of all shards were put together."""

    worker: str


class Stopped(_Entry, frozen=True, kw_only=True, tag="stopped"):
    """A worker ended because it could not work: `why` is the same for equal causes."""

    worker: str
    #: The machine that it was on.
    node: str
    why: str
    #: The last lines of its model server.
    last_lines: tuple[str, ...] = ()
    #: Whether it had begun a shard.
    had_begun: bool = False
    #: Whether the cause may pass by itself, such as a server elsewhere that does not answer.
    may_pass: bool = False


Entry: TypeAlias = Submitted | Taken | Counted | Extended | GivenBack | Finished | Merged | Stopped
