"""What a change would do to those who run, as the asker may be told.

An owner that could ask which guests leave at which floor would find their limits by asking often,
and set its floor just below them. So it is told on how many of its nodes guests sit, what they must
bid at least, and not which of them do.
"""

from collections.abc import Sequence

from parkade.api.translate.scalars import amount, span
from parkade.api.views.clearings import node_names
from parkade.core.clearing.effect import Effect, effect
from parkade.core.fleet.market import MarketTerms
from parkade.core.kernel.decide import decide
from parkade.core.market.supply import guest_floor
from parkade.core.reservations.reservation import Lending, Reservation
from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.units.phrases import counted
from parkade.core.units.refusal import Refusal
from parkade.core.workloads.workload import Workload
from parkade.wire import effects as wire
from parkade.wire.scalars import format_amount, format_span

MOST_NAMED = 4


def decided_effect(
    world: World, command: commands.AnyCommand, market: str, now_us: int
) -> tuple[Effect, tuple[events.AnyEvent, ...]] | Refusal:
    """(what the next clearing of the market makes of a command, its events); none is carried
    out."""
    decided = decide(world, command, now_us)
    if isinstance(decided, Refusal):
        return decided
    return effect(world, decided, market, now_us), decided


def shown(found: Effect, terms: MarketTerms, *, org: str | None) -> wire.Effect:
    """Of a limit or a price sheet. `org`: the asker's; None: an operator, who sees all."""
    seen = [each for each in found.leaves if org in (None, each.org)]
    others = len(found.leaves) - len(seen)
    return _told(found, terms, seen, others, _who(seen, others), may_evict=bool(found.leaves))


def shown_lending(
    found: Effect,
    terms: MarketTerms,
    reservation: Reservation,
    lending: Lending | None,
    *,
    org: str | None,
) -> wire.Effect:
    """Of an offer: an operator is told who leaves, an owner what guests must bid."""
    if org is None:
        return shown(found, terms, org=None)
    seen = [each for each in found.leaves if each.org == org]
    lent, before = found.lent.get(reservation.reservation, 0), reservation.lending
    is_harder = lending is None or (
        before is not None
        and (lending.floor_micros > before.floor_micros or lending.keep > before.keep)
    )
    least = ""
    if lending is not None:
        least = format_amount(amount(guest_floor(lending.floor_micros, terms.fee)))
    if not (lent and is_harder):
        says = _who(seen, 0)
        if least:
            says = f"with the operator's fee guests pay {least} or more; {says}"
        return _told(found, terms, seen, None, says, may_evict=bool(seen))
    says = f"guests sit on {counted(lent, 'node')} of {reservation.reservation}"
    if lending is None:
        says += ", and none may stay for what it offers"
    else:
        says += f"; those that bid less than {least}, or for which no room is left, leave"
    return _told(found, terms, seen, None, says, may_evict=True)


def _told(
    found: Effect,
    terms: MarketTerms,
    seen: Sequence[Workload],
    others: int | None,
    who: str,
    *,
    may_evict: bool,
) -> wire.Effect:
    clears, gone = span(terms.clearing_interval_us), span(terms.notice_us + terms.kill_us)
    says = who
    if may_evict:
        says += (
            f"; the next clearing is at most {format_span(clears)} away, and who gets its notice"
            f" there is gone within {format_span(gone)} of it"
        )
    return wire.Effect(
        market=found.market,
        leaves=tuple(_leaving(each) for each in seen),
        others=others,
        clears_within=clears,
        gone_within=gone,
        may_evict=may_evict,
        says=says,
    )


def _leaving(each: Workload) -> wire.Leaving:
    assert each.attempt is not None, "it has seats to leave"
    return wire.Leaving(
        workload=each.workload,
        name=each.spec.name,
        org=each.org,
        gpus=sum(seat.gpus for seat in each.attempt.seats),
        nodes=tuple(dict.fromkeys(seat.node for seat in each.attempt.seats)),
    )


def _who(seen: Sequence[Workload], others: int) -> str:
    named = [_named(each) for each in seen[:MOST_NAMED]]
    if len(seen) > MOST_NAMED:
        named.append(f"{len(seen) - MOST_NAMED} more")
    if others:
        named.append(f"{others} of other orgs" if seen else counted(others, "workload of others"))
    if not named:
        return "nothing leaves its seats by it"
    return f"{', '.join(named)} would be told to leave"


def _named(each: Workload) -> str:
    assert each.attempt is not None, "it has seats to leave"
    gpus = counted(sum(seat.gpus for seat in each.attempt.seats), "GPU")
    return f"{each.workload} {each.spec.name} ({gpus} on {node_names(each.attempt.seats)})"
