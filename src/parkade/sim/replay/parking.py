"""The parking arithmetic: an owner uses its reservation for part of a week and lends the rest.

The owner works on five days alike and lends the nodes in between. For each *fill* a week is
replayed in which guests want all its nodes during that share of every parked span, from its begin
on. Guests would pay up to pay-as-you-go; what they do pay is the clearing's answer.

By the formula, with reservation R, floor F, a week of W hours of which U are used:

    net per useful hour = (R·W − F·(W − U)·fill) ÷ U

Example: R = 4, F = 5, W = 168, U = 40: 16.80 without guests, 8.80 at a fill of 0.5, 2.40 at 0.9 and
0.80 at 1. What comes out is a little below the fill that was asked for: a guest starts only after
a clearing, the turnaround and its own start, and is gone within the notice once its owner claims.
So the formula is shown for the hours that were filled.
"""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction as Exact

from parkade.api.translate.scalars import micros
from parkade.api.translate.terms import terms_of
from parkade.core.ledger.accounts import TransferKind
from parkade.core.units.fraction import parse_fraction
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.sim.replay.demand import Demand, Guest, Minute
from parkade.sim.replay.figures import REPORT_VERSION, ParkingReport, ParkingRow
from parkade.sim.replay.market import MarketRun
from parkade.sim.replay.owners import OwnerClaim
from parkade.sim.replay.scenario import Parking
from parkade.sim.replay.setup import Setup
from parkade.wire.pools import Terms

OWNER, GUESTS = "owner", "guests"
DAYS = 5
START_US = 1_767_571_200 * SECOND_US
STARTING_US = 5 * SECOND_US
SAVING_US = 20 * SECOND_US
CHECKPOINT_EVERY_US = HOUR_US // 4


def sweep(scenario: Parking, progress: Callable[[str, int], None]) -> ParkingReport:
    """A week for each fill; `progress` is told the run and the minutes of it that are done."""
    rows = []
    for fill in scenario.fills:
        share = parse_fraction(fill)
        run = MarketRun(
            setup_of(scenario), week(scenario, Exact(share.numerator, share.denominator))
        )
        run.run(lambda minutes, fill=fill: progress(words_of(fill), minutes))  # type: ignore[misc]
        rows.append(_row(scenario, share.numerator / share.denominator, run))
    reserved = float(scenario.reserved_at)
    return ParkingReport(
        version=REPORT_VERSION,
        kind=scenario.kind,
        name=scenario.name,
        reserved_at=reserved,
        pay_as_you_go=float(scenario.pay_as_you_go),
        floor=float(scenario.floor),
        week_hours=scenario.week_hours,
        used_hours=scenario.used_hours,
        alone=reserved * scenario.week_hours / scenario.used_hours,
        rows=tuple(rows),
    )


def words_of(fill: str) -> str:
    """What a run is called."""
    return f"fill {fill}"


def setup_of(scenario: Parking) -> Setup:
    """The market of the scenario."""
    terms = Terms(
        pay_as_you_go=scenario.pay_as_you_go,
        reservation_rate=scenario.reserved_at,
        public_floor=Decimal(0),
        fee=scenario.fee,
        buffer_nodes=0,
    )
    return Setup(
        terms=terms_of(terms),
        fabric_nodes=scenario.nodes,
        floor_micros=micros(scenario.floor),
        keep_percent=0,
        headroom_percent=None,
        starting_us=STARTING_US,
        checkpoint_every_us=CHECKPOINT_EVERY_US,
    )


def week(scenario: Parking, fill: Exact) -> Demand:
    """The owner's claims and the guests of one week."""
    minutes = scenario.week_hours * 60
    begins = [day * minutes // DAYS for day in range(DAYS + 1)]
    used = scenario.used_hours * 60 // DAYS
    found: dict[int, Minute] = {}
    numbers = range(scenario.nodes)
    for day, begin in enumerate(begins[:-1]):
        parked, end = begin + used, begins[day + 1]
        claim = OwnerClaim(
            number=day,
            tenant=OWNER,
            nodes=scenario.nodes,
            from_minute=begin,
            until_minute=parked,
        )
        guests = tuple(_guest(scenario, day * scenario.nodes + place) for place in numbers)
        leaves = parked + round(fill * (end - parked))
        gone = tuple(guest.number for guest in guests)
        _add(found, begin, claimed=(claim,))
        _add(found, parked, given_back=(claim,), new=guests if fill else ())
        if fill and leaves < minutes:
            _add(found, leaves, gone=gone)
    return Demand(
        start_us=START_US,
        minutes=minutes,
        nodes=((OWNER, scenario.nodes),),
        gpus_per_node=scenario.gpus_per_node,
        changes=tuple(found[minute] for minute in sorted(found)),
        busy_gpu_minutes=used * DAYS * _gpus(scenario),
        queued_gpu_minutes=round(fill * (minutes - used * DAYS)) * _gpus(scenario),
        servable_gpu_minutes=round(fill * (minutes - used * DAYS)) * _gpus(scenario),
        cuts=0,
    )


def _add(
    found: dict[int, Minute],
    minute: int,
    *,
    gone: tuple[int, ...] = (),
    given_back: tuple[OwnerClaim, ...] = (),
    claimed: tuple[OwnerClaim, ...] = (),
    new: tuple[Guest, ...] = (),
) -> None:
    """More at a minute; the figures of the trace are not asked for here."""
    before = found.get(minute)
    found[minute] = Minute(
        minute=minute,
        gone=(before.gone if before else ()) + gone,
        given_back=(before.given_back if before else ()) + given_back,
        claimed=(before.claimed if before else ()) + claimed,
        busy_gpus=0,
        queued_gpus=0,
        new=(before.new if before else ()) + new,
    )


def _guest(scenario: Parking, number: int) -> Guest:
    """It would pay as much as pay-as-you-go costs."""
    return Guest(
        number=number,
        org=GUESTS,
        gpus=scenario.gpus_per_node,
        limit_micros=micros(scenario.pay_as_you_go),
        saving_us=SAVING_US,
    )


def _gpus(scenario: Parking) -> int:
    return scenario.nodes * scenario.gpus_per_node


def _row(scenario: Parking, fill: float, run: MarketRun) -> ParkingRow:
    gpus, used = _gpus(scenario), scenario.used_hours
    parked = scenario.week_hours - used
    hours = run.money.paid_gpu_us / HOUR_US
    paid = run.money.total(TransferKind.USAGE)
    payouts = run.money.total(TransferKind.PAYOUT)
    reservation = float(scenario.reserved_at) * scenario.week_hours
    net = (reservation - payouts / gpus) / used
    filled = hours / (parked * gpus)
    return ParkingRow(
        fill=fill,
        filled=filled,
        price=paid / hours if hours else None,
        payouts=payouts / (parked * gpus),
        owner_net=net,
        expected_net=(reservation - float(scenario.floor) * parked * filled) / used,
        times_cheaper=reservation / used / net if net > 0 else None,
        digest=run.core.digest,
    )
