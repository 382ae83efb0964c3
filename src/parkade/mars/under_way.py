"""What runs beside the loop of drains: one at a time, each a call of the cluster's commands."""

from typing import NamedTuple, assert_never

from parkade.core.healing.verdict import Verdict
from parkade.mars.aside import Aside
from parkade.mars.drain_journal import OwnDrain
from parkade.mars.drains import DrainDone, DrainRefused, DrainStands, NotRefused


class Drain(NamedTuple):
    """A drain that runs beside the loop; its budgets are taken."""

    verdict: Verdict
    call: Aside[DrainDone | DrainStands | DrainRefused]


class Look(NamedTuple):
    """A question to the cluster whether a drain would be refused; nothing is taken for it."""

    verdict: Verdict
    call: Aside[DrainRefused | NotRefused]


class Find(NamedTuple):
    """A question to the cluster whether a drain of ours stands on a node."""

    node: str
    call: Aside[OwnDrain | None]


UnderWay = Drain | Look | Find


def verdict_of(under_way: UnderWay | None) -> Verdict | None:
    """The verdict whose drain, or question whether it would be refused, is under way."""
    match under_way:
        case Drain(verdict=verdict) | Look(verdict=verdict):
            return verdict
        case Find() | None:
            return None
        case _:
            assert_never(under_way)
