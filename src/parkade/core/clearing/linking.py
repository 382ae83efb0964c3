"""Clearings of markets that bids link: which belong together, and what they come to.

A bid with several markets links them, and markets that share such a bid, or a chain of them, are
cleared at one instant and in one event (`market.linked` says how the winners are found). Money and
starts are counted once for all of them (`earmarks`, `pacing`). Decision record 210.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from msgspec.structs import replace

from parkade.core.clearing.claims import clear_with_claims, parts_of
from parkade.core.clearing.evacuation import with_evacuees
from parkade.core.clearing.input import ClearingInput, Seen, build_inputs, reported_in
from parkade.core.clearing.joining import Bounds, Line, without_harm
from parkade.core.market.clear import clear as market_clear
from parkade.core.market.clear import winners
from parkade.core.market.linked import LinkedClearing, clear_linked
from parkade.core.market.market_state import MarketState
from parkade.core.market.outcome import Change, Clearing, ClearingLine, WaitReason
from parkade.core.market.remembered import Memory
from parkade.core.state.world import World
from parkade.core.workloads.choice import Answer
from parkade.core.workloads.choices import asked_in_turn, markets_of
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload

Clear = Callable[[MarketState], Clearing]
"""The outcome of one market."""


class Part(NamedTuple):
    """One market of a clearing."""

    world: World
    """As this market sees it."""

    given: ClearingInput
    outcome: Clearing

    passed_over: frozenset[str]
    """Bids of several markets whose lines here say nothing: they stand, or are told, elsewhere."""

    asked: MarketState
    """What the market was asked: `given` without the bids that it refused."""


class Together(NamedTuple):
    """A clearing of one market, or of several that are linked."""

    parts: dict[str, Part]
    answers: dict[str, tuple[Answer, ...]]
    """By bid with several markets: what those say that asked it and that it did not win."""

    def lines(self) -> Iterator[ClearingLine]:
        """Those that count, market by market."""
        return (line for _, line in self.lines_by_market())

    def lines_by_market(self) -> Iterator[tuple[str, ClearingLine]]:
        """The same, each with its market."""
        for market, part in self.parts.items():
            for line in part.outcome.lines:
                if line.demand not in part.passed_over:
                    yield market, line


def linked_with(world: World, market: str, *, extra: tuple[Workload, ...] = ()) -> tuple[str, ...]:
    """A market, and those that open bids link with it, by name. Cost grows with the live workloads
    where one has a list, and with the length of the chain that links them."""
    links = dict.fromkeys(
        frozenset(name for name in markets_of(it) if name in world.records.markets)
        for it in (*world.with_lists(), *extra)
        if it.spec.choices and it.phase is not Phase.HELD
    )
    found, size = {market}, 0
    while len(found) > size:
        size = len(found)
        for link in links:
            if not found.isdisjoint(link):
                found |= link
    return tuple(sorted(found))


def clear_together(
    world: World,
    markets: tuple[str, ...],
    now_us: int,
    *,
    extra: tuple[Workload, ...] = (),
    too_many: frozenset[str] = frozenset(),
    is_rehearsal: bool = False,
    clear: Clear | None = None,
) -> Together:
    """The outcome of these markets now. `is_rehearsal`: a dry run, which moves nothing away from
    degraded nodes and takes no claim apart, and remembers nothing. `clear`: answers in place of the
    market's own code and memory."""

    def clears(joins: Bounds) -> Together:
        seen = build_inputs(world, markets, now_us, extra=extra, too_many=too_many, joins=joins)
        return _cleared(
            world, markets, now_us, seen, extra=extra, is_rehearsal=is_rehearsal, clear=clear
        )

    return without_harm(world, clears, _with_demands, now_us)


def _with_demands(together: Together) -> list[Line]:
    """Each line that counts, with its demand."""
    demands = {
        market: {it.demand: it for it in part.given.state.demands}
        for market, part in together.parts.items()
    }
    return [
        Line(market, demands[market][line.demand], line)
        for market, line in together.lines_by_market()
    ]


def _cleared(
    world: World,
    markets: tuple[str, ...],
    now_us: int,
    seen: dict[str, Seen],
    *,
    extra: tuple[Workload, ...],
    is_rehearsal: bool,
    clear: Clear | None,
) -> Together:
    """The outcome for what takes part."""
    lists = _lists(world, seen, extra)
    given: dict[str, ClearingInput] = {}
    asked: dict[tuple[str, frozenset[str]], ClearingInput] = {}
    memories: dict[str, Memory] = {} if is_rehearsal else world.memories

    def asked_in(market: str, asking: frozenset[str]) -> ClearingInput:
        if (market, asking) not in asked:
            view, whole = seen[market]
            here = _asked_by(whole, lists, asking)
            if not is_rehearsal:
                turn = now_us // world.records.markets[market].terms.clearing_interval_us
                here = with_evacuees(view, here, turn=turn)
            asked[market, asking] = here
        return asked[market, asking]

    def cleared(market: str, asking: frozenset[str]) -> Clearing:
        here = asked_in(market, asking)
        known = clear or partial(market_clear, memory=memories.setdefault(market, Memory()))
        if is_rehearsal:
            given[market] = here
            return known(here.state)
        state, outcome = clear_with_claims(seen[market].world, here.state, known)
        given[market] = replace(here, state=state)
        return outcome

    def winning(market: str, asking: frozenset[str]) -> frozenset[str] | None:
        here = asked_in(market, asking)
        if clear is not None or parts_of(seen[market].world, here.state.demands):
            return None
        return winners(here.state, memories.setdefault(market, Memory()))

    orders = _orders(seen, lists)
    found = clear_linked(markets, orders, cleared, winning)
    parts = {name: _part(seen[name], given[name], name, found, lists, markets) for name in markets}
    if not lists:
        return Together(parts, {})
    lines_of = {
        market: {line.demand: line for line in part.outcome.lines if line.demand in lists}
        for market, part in parts.items()
    }
    answers = {name: _answers(it, found, parts, lines_of) for name, it in lists.items()}
    return Together(parts, answers)


def _lists(world: World, seen: dict[str, Seen], extra: tuple[Workload, ...]) -> dict[str, Workload]:
    """The bids with several markets that take part, by name."""
    several = [it for it in (*world.with_lists(), *extra) if it.spec.choices]
    if not several:
        return {}
    asking = {it.demand for _, given in seen.values() for it in given.state.demands}
    return {it.workload: it for it in several if it.workload in asking}


def _orders(seen: dict[str, Seen], lists: dict[str, Workload]) -> dict[str, tuple[str, ...]]:
    """As `_order`, of each bid with several markets."""
    if not lists:
        return {}
    asked = {name: {it.demand for it in each.given.state.demands} for name, each in seen.items()}
    return {it.workload: _order(it, asked) for it in lists.values()}


def _order(workload: Workload, asked: dict[str, set[str]]) -> tuple[str, ...]:
    """The markets that it asks, in turn: those that there are, and only its own where it has not
    the means to leave. `asked`: by market, the demands that may take part."""
    return tuple(
        market for market in asked_in_turn(workload) if workload.workload in asked.get(market, ())
    )


def _asked_by(
    whole: ClearingInput, lists: dict[str, Workload], asking: frozenset[str]
) -> ClearingInput:
    """The input with those bids of several markets only that ask here."""
    if not lists:
        return whole
    demands = tuple(
        it for it in whole.state.demands if it.demand not in lists or it.demand in asking
    )
    return replace(whole, state=replace(whole.state, demands=demands))


def _part(
    seen: Seen,
    given: ClearingInput,
    market: str,
    found: LinkedClearing,
    lists: dict[str, Workload],
    markets: tuple[str, ...],
) -> Part:
    """The market's answer, in which a bid that it refused has the line of a loser."""
    outcome, asked = found.outcomes[market], given.state
    refused = {name for name, markets in found.refused.items() if market in markets}
    if refused:
        demands = tuple(it for it in seen.given.state.demands if it.demand in refused)
        outcome = replace(
            outcome,
            lines=(*outcome.lines, *(_refused(it.demand, bool(it.seats)) for it in demands)),
        )
        state = replace(given.state, demands=(*given.state.demands, *demands))
        given = replace(given, state=state)
    passed_over = frozenset(
        name
        for name, workload in lists.items()
        if market not in (found.stands_in.get(name), reported_in(workload, markets))
        or (market != found.stands_in.get(name) and _is_silent(workload, found))
    )
    return Part(seen.world, given, outcome, passed_over, asked)


def _is_silent(workload: Workload, found: LinkedClearing) -> bool:
    """Whether no market says that it lost: it won one, and leaves no seats for that."""
    attempt = workload.attempt
    has_seats = workload.promise is not None or (attempt is not None and attempt.stop is None)
    return found.stands_in.get(workload.workload) is not None and not has_seats


def _refused(demand: str, has_seats: bool) -> ClearingLine:
    return ClearingLine(
        demand=demand,
        change=Change.PREEMPT if has_seats else Change.WAIT,
        seats=(),
        price_micros=0,
        floor_micros=0,
        price_set_by=None,
        shares=(),
        reason=WaitReason.OUTBID,
        moved=None,
        price_to_win_micros=None,
    )


def _answers(
    workload: Workload,
    found: LinkedClearing,
    parts: dict[str, Part],
    lines_of: dict[str, dict[str, ClearingLine]],
) -> tuple[Answer, ...]:
    """What the markets say that it asked and did not win, in the order of its wishes.
    `lines_of`: by market, those of bids with several. Of what stands nowhere, a market that is
    cleared apart has said the last that is known."""
    name, won = workload.workload, found.stands_in[workload.workload]
    asked = (*found.asked[name], *found.refused.get(name, ()))
    answers: list[Answer] = []
    for market in markets_of(workload):
        if market == won:
            continue
        if market not in parts:
            known = () if won is not None else workload.answers
            answers.extend(it for it in known if it.market == market)
            continue
        confined = parts[market].given.confined.get(name)
        if market in asked:
            line = lines_of[market][name]
            why = WaitReason.NO_ROOM if line.reason is None else line.reason
            answers.append(
                Answer(
                    market=market,
                    why=why.value,
                    price_to_win_micros=line.price_to_win_micros,
                )
            )
        elif confined is not None:
            answers.append(Answer(market=market, why=confined.value, price_to_win_micros=None))
    return tuple(answers)
