"""How a live attempt gets from the seats that it has to those that a clearing gives it.

    has, is not given     its rank is told to leave, with the notice of its node; the others go on
    is given, has not     all its seats are promised; those that are new are free, and join at once
    is promised no more   the promise falls away

Rank 0 never leaves alone: where its node is not among the seats that are given, the attempt is
restarted as with `resize: restart`. So it is where a new seat is not free now, because others are
yet to leave it or it is turned around: what waits for seats is no part of what runs. So it is,
while it still owes a minimum charge for those that it made leave when it began, where it would lose
a rank: else a sweep could be given up by parts.

Between the promise and the joining, in the same turn, what it has costs what it cost before: which
part of the new price is of which node is told once all are there. Decision record 217.
"""

from typing import NamedTuple

from msgspec.structs import replace

from parkade.core.billing.live_ranks import kept_rate, lowest_part, with_notice
from parkade.core.billing.minimum import owed_us
from parkade.core.clearing.displacement import Displacement
from parkade.core.clearing.input import ClearingInput
from parkade.core.fleet.seat import Seat
from parkade.core.market.outcome import ClearingLine, WaitReason
from parkade.core.running.promises import is_free_now
from parkade.core.state.lines import Resized
from parkade.core.state.world import World
from parkade.core.workloads.life import Cause
from parkade.core.workloads.ranks import ranks_of
from parkade.core.workloads.workload import Attempt, Rate, Stop, Workload


class LiveChange(NamedTuple):
    """The seats of one live attempt before and after a clearing."""

    kept: tuple[Seat, ...]
    """It has them and keeps them."""

    leaving: tuple[Seat, ...]
    """It has them so far, and its ranks there are told to leave now."""

    joining: tuple[Seat, ...]
    """It is given them and has them not."""

    @property
    def target(self) -> tuple[Seat, ...]:
        """All that it is given."""
        return (*self.kept, *self.joining)


def live_change(
    world: World, workload: Workload, given: tuple[Seat, ...], now_us: int
) -> LiveChange | None:
    """What changes of an attempt while it runs; None: it is restarted for these seats."""
    attempt = workload.attempt
    if attempt is None or not workload.changes_live:
        return None
    target = {seat.node for seat in given}
    first = next(it for it in ranks_of(attempt) if it.rank == 0)
    if first.leaving is not None or first.seat.node not in target:
        return None
    leaving = tuple(it for it in attempt.kept_seats if it.node not in target)
    terms = world.records.markets[workload.market].terms
    if leaving and owed_us(workload, terms, now_us) > 0:
        return None
    joining = attempt.new_of(given)
    if not all(is_free_now(world, workload, it, now_us) for it in joining):
        return None
    kept = tuple(it for it in attempt.kept_seats if it.node in target)
    return LiveChange(kept, leaving, joining)


def stops_of(
    workload: Workload,
    line: ClearingLine,
    change: LiveChange,
    displacement: Displacement,
    given: ClearingInput,
) -> dict[str, Stop]:
    """By node, the notice of the rank that leaves there, each with its own cause."""
    attempt = workload.attempt
    assert attempt is not None
    causes = _causes_of_leaving(workload, line, change, displacement, given)
    return {
        seat.node: displacement.notice(_part(attempt, seat), cause)
        for seat, cause in zip(change.leaving, causes, strict=True)
    }


def _causes_of_leaving(
    workload: Workload,
    line: ClearingLine,
    change: LiveChange,
    displacement: Displacement,
    given: ClearingInput,
) -> list[Cause]:
    """Why each leaves: as the whole would say that had its seat alone. A seat that is given to none
    is lost to the floors where these are above the limit, else to what takes the others."""
    attempt, count = workload.attempt, len(change.leaving)
    assert attempt is not None
    if line.demand in given.evacuees:
        return [Cause.HEALED] * count
    if line.demand in given.unpaid:
        return [Cause.BUDGET] * count
    if change.joining:
        return [Cause.MOVED] * count
    is_below_floor = line.reason is WaitReason.BELOW_FLOOR

    def cause_of(*seats: Seat) -> Cause:
        part = _part(attempt, *seats)
        return displacement.cause_of(workload, part, is_below_floor=is_below_floor)

    of_all = [] if is_below_floor else [cause_of(*change.leaving)]
    return [
        cause_of(seat) if not of_all or displacement.is_taken(seat) else of_all[0]
        for seat in change.leaving
    ]


def _part(attempt: Attempt, *seats: Seat) -> Attempt:
    """Some seats of an attempt, as an attempt: for a notice and its cause."""
    return replace(attempt, seats=seats, ranks=())


def resized_by(
    workload: Workload,
    line: ClearingLine,
    change: LiveChange,
    rate: Rate,
    stops: dict[str, Stop],
    *,
    is_due: bool,
) -> Resized:
    """Its ranks, those that leave with their notice, and what the others cost. `rate`: the
    clearing's, of all that it is given."""
    attempt = workload.attempt
    assert attempt is not None and attempt.stop is None
    if change.joining:
        stays = lowest_part(kept_rate(attempt), len(change.kept), change.kept[0].gpus)
        rate = replace(stays, from_us=rate.from_us)
    ranks = with_notice(attempt, stops, rate, is_due=is_due) if stops else ranks_of(attempt)
    return Resized(
        workload=workload.workload,
        ranks=ranks,
        rate=rate,
        price_set_by=line.price_set_by,
        resizes=attempt.resizes + 1,
        why="",
    )
