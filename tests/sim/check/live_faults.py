"""Faults of ranks that come and go, and the small worlds in which they are found."""

from typing import Any

import pytest
from msgspec.structs import replace

from parkade.core.nodes import decisions as nodes
from parkade.core.running import live, unbegun
from parkade.core.running import observations as observed
from parkade.core.state import commands, events
from parkade.core.steps.lost_nodes import loses_node
from parkade.core.workloads.life import Cause
from parkade.core.workloads.ranks import joined, ranks_of, without_price
from parkade.core.workloads.spec import Resize
from parkade.core.workloads.workload import Rank, Stop, Workload
from parkade.sim.check.live import all_begun, all_left
from parkade.sim.check.scenarios import (
    GUEST,
    RESIZES_LIVE,
    TICK_US,
    Asks,
    Scenario,
    fleet,
    submission,
)
from tests.sim.check.faults import Fault

OUTBID = Scenario(
    name="ranks that are outbid",
    says="2 nodes, live work of cedar for one or both, and a bid of birch for one",
    setup=(*fleet({"a": 2}, gpus=1, orgs=("birch", GUEST)), RESIZES_LIVE),
    submissions=(
        submission(GUEST, limit=4, most_nodes=2, resize=Resize.LIVE),
        submission("birch", limit=6),
    ),
    most_live=2,
    bids=(),
    asks=Asks.CANCELS,
)
BROKEN = replace(
    OUTBID,
    name="ranks whose nodes fail",
    submissions=OUTBID.submissions[:1],
    most_live=1,
    asks=Asks.FAILS,
)

SLOW = replace(
    OUTBID,
    name="ranks that begin late",
    says="2 nodes, one of them cordoned, and live work of cedar for one or both",
    setup=(
        *fleet({"a": 2}, gpus=1, orgs=("birch", GUEST), start_limit_us=2 * TICK_US),
        RESIZES_LIVE,
        commands.CordonNode(by=None, node="a2", reason="slow"),
    ),
    submissions=OUTBID.submissions[:1],
    most_live=1,
    asks=Asks.CORDONS,
)


def _takes_any_rank_as_left(patch: pytest.MonkeyPatch) -> None:
    """The count with which a rank came is not looked at."""
    seen_left = live.seen_left

    def left(world: Any, postings: Any, workload: Workload, seen: Any, now_us: int) -> Any:
        assert workload.attempt is not None
        since = {it.rank: it.since for it in workload.attempt.ranks}
        named = tuple(replace(it, since=since.get(it.rank, it.since)) for it in seen.left)
        return seen_left(world, postings, workload, replace(seen, left=named), now_us)

    patch.setattr(observed, "seen_left", left)


def _skips_a_number(patch: pytest.MonkeyPatch) -> None:

    def numbered(attempt: Any, *arguments: Any) -> tuple[Rank, ...]:
        new = attempt.resizes + 1
        ranks = joined(attempt, *arguments)
        return tuple(replace(it, rank=it.rank + 1) if it.since == new else it for it in ranks)

    patch.setattr(live, "joined", numbered)


def _goes_on_without_rank_0(patch: pytest.MonkeyPatch) -> None:
    """A failed node takes its rank alone, whichever it is."""

    def loses(world: Any, workload: Workload, node: str, now_us: int) -> Any:
        attempt = workload.attempt
        assert attempt is not None
        if not workload.changes_live or len(attempt.seats) < 2:
            return loses_node(world, workload, node, now_us)
        kill_us = now_us + world.records.markets[workload.market].terms.kill_us
        stop = Stop(noticed_us=now_us, deadline_us=now_us, kill_us=kill_us, cause=Cause.HEALED)
        return events.RanksChanged(
            at_us=now_us,
            workload=workload.workload,
            attempt=attempt.attempt,
            ranks=without_price(ranks_of(attempt), (node,), stop, now_us),
            resizes=attempt.resizes + 1,
        )

    patch.setattr(nodes, "loses_node", loses)


def _frees_a_rank_with_its_notice(patch: pytest.MonkeyPatch) -> None:
    """A report that names no rank is taken for one that names all that are to leave."""
    seen_left = live.seen_left

    def left(world: Any, postings: Any, workload: Workload, seen: Any, now_us: int) -> Any:
        assert workload.attempt is not None
        gone = all_left(workload.attempt, now_us)
        return seen_left(world, postings, workload, replace(seen, left=gone), now_us)

    patch.setattr(observed, "seen_left", left)


def _begins_with_any_report(patch: pytest.MonkeyPatch) -> None:
    """A rank has begun once its attempt is reported again."""
    seen_begun = unbegun.seen_begun

    def begun(workload: Workload, seen: Any, now_us: int) -> Any:
        assert workload.attempt is not None
        every = all_begun(workload.attempt, now_us)
        return seen_begun(workload, replace(seen, begun=every), now_us)

    patch.setattr(observed, "seen_begun", begun)


def _is_late_at_once(patch: pytest.MonkeyPatch) -> None:
    """A rank that joined is to leave before its time to begin is over."""

    by_us = unbegun._begins_by_us
    patch.setattr(unbegun, "_begins_by_us", lambda rank, us: by_us(rank, us) - TICK_US)


IN_LIVE_WORK = (
    Fault(name="a rank has begun with a report that does not say so",
          plant=_begins_with_any_report, scenario=SLOW, invariants=(7,)),
    Fault(name="a rank that joined has less than its time to begin",
          plant=_is_late_at_once, scenario=SLOW, invariants=(21,)),
    Fault(name="a rank that had a number before is taken for the one that has it",
          plant=_takes_any_rank_as_left, scenario=OUTBID, invariants=(7,)),
    Fault(name="a rank is gone with the report of another",
          plant=_frees_a_rank_with_its_notice, scenario=OUTBID, invariants=(7,)),
    Fault(name="a rank that joins has not the lowest free number",
          plant=_skips_a_number, scenario=OUTBID, invariants=(26,)),
    Fault(name="live work goes on without its first rank",
          plant=_goes_on_without_rank_0, scenario=BROKEN, invariants=(26,)),
)  # fmt: skip
