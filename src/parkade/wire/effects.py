"""What a change would do to those who run, told before it is made."""

from parkade.wire.model import Answer
from parkade.wire.scalars import Amount, Instant, Span


class Leaving(Answer):
    """A workload that would be told to leave."""

    workload: str
    name: str
    org: str
    gpus: int
    nodes: tuple[str, ...]


class Effect(Answer):
    """What a change would do in the next clearing, were that run now; nothing is changed.

    `leaves`: of the workloads that the caller may see, those that would be told to leave by it.
    `others`: how many of other orgs would; null where the answer would tell their limits to an
    owner that lends to them. `clears_within`: the next clearing is no further away.
    `gone_within`: their time to leave, from that clearing on. `may_evict`: whether any leaves, or
    may. `says`: all of it in words.
    """

    market: str
    leaves: tuple[Leaving, ...]
    others: int | None
    clears_within: Span
    gone_within: Span
    may_evict: bool
    says: str


class BoundsPlan(Answer):
    """What other bounds of a workload would come to; nothing is changed.

    `ends_before` and `ends`: when it must be gone, of an array the first of its members that run
    (null: by no clock). `at_most_before` and `at_most`: the most that it costs in all (null: no
    bound). `ends_earlier` and `costs_more`: what a person is asked about. `says`: it in words.
    """

    workload: str
    ends_before: Instant | None
    ends: Instant | None
    at_most_before: Amount | None
    at_most: Amount | None
    ends_earlier: bool
    costs_more: bool
    says: tuple[str, ...]
