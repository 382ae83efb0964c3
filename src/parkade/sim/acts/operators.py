"""What operators do: nodes fail and are restored, cordoned, drained; prices, terms and money."""

import random

from parkade.core.state import commands
from parkade.core.state.people import CapPeriod
from parkade.core.units.fraction import Fraction
from parkade.core.units.money import MICROS
from parkade.core.units.time import HOUR_US, MINUTE_US, SECOND_US
from parkade.sim.acts.stage import Stage
from parkade.sim.fleet import OPERATOR, member_of, owner_of

MAINTAINED = 0.5
"""Of the drains, as many are maintenance windows."""


def fail_node(stage: Stage, chance: random.Random) -> None:
    """A person says that a node is broken; it is restored later."""
    node = chance.choice(stage.fleet.nodes)
    stage.ask(commands.FailNode(by=OPERATOR, node=node, reason="broken"))
    back = commands.RestoreNode(by=OPERATOR, node=node)
    stage.later(chance.choice((60, 600, 7200)), lambda: stage.ask(back))


def cordon(stage: Stage, chance: random.Random) -> None:
    """No new work on a node for a while."""
    node = chance.choice(stage.fleet.nodes)
    stage.ask(commands.CordonNode(by=OPERATOR, node=node, reason="look"))
    lift = commands.UncordonNode(by=OPERATOR, node=node)
    stage.later(chance.choice((60, 600, 7200)), lambda: stage.ask(lift))


def drain(stage: Stage, chance: random.Random) -> None:
    """A node is emptied, and taken into use again; or a window of some is scheduled."""
    node = chance.choice(stage.fleet.nodes)
    if chance.random() < MAINTAINED:
        _maintain(stage, chance, node)
        return
    stage.ask(commands.DrainNode(by=OPERATOR, node=node, reason="service"))
    back = commands.UndrainNode(by=OPERATOR, node=node)
    stage.later(chance.choice((60, 600, 3600)), lambda: stage.ask(back))


def _maintain(stage: Stage, chance: random.Random, node: str) -> None:
    """A window of one node or several, soon or at once; it may be moved, or cancelled."""
    now_us = stage.present_us()
    start_us = now_us + chance.choice((0, 60, 600)) * SECOND_US
    end_us = start_us + chance.choice((60, 600, 3600)) * SECOND_US
    others = chance.sample(sorted(stage.fleet.nodes), chance.choice((0, 0, 1, 3)))
    scheduled = commands.ScheduleMaintenance(
        by=OPERATOR,
        nodes=(node, *others),
        start_us=start_us,
        end_us=end_us,
        reason="firmware",
        is_forced=chance.random() < 0.5,
    )
    stage.ask(scheduled)
    name, fate = f"m{chance.choice((1, 2, 3))}", chance.random()
    if fate < 0.3:
        moved = commands.ChangeMaintenance(
            by=OPERATOR,
            maintenance=name,
            start_us=start_us + 120 * SECOND_US if chance.random() < 0.5 else None,
            end_us=end_us + chance.choice((-30, 300)) * SECOND_US,
            is_forced=chance.random() < 0.5,
        )
        stage.later(chance.choice((1, 60, 300)), lambda: stage.ask(moved))
    elif fate < 0.5:
        gone = commands.CancelMaintenance(by=OPERATOR, maintenance=name)
        stage.later(chance.choice((1, 60, 300)), lambda: stage.ask(gone))


def deposit(stage: Stage, chance: random.Random) -> None:
    """Money for an org."""
    org, _ = chance.choice(stage.fleet.orgs)
    micros = chance.choice((1, MICROS, 100 * MICROS))
    stage.ask(commands.Deposit(by=OPERATOR, org=org, micros=micros))


def adjust(stage: Stage, chance: random.Random) -> None:
    """Money by hand, to the outside or back to an org, at times more than there is."""
    org, _ = chance.choice(stage.fleet.orgs)
    micros = chance.choice((1, MICROS, 10**12))
    is_refund = chance.random() < 0.5
    command = commands.Adjust(
        by=OPERATOR, org=org, micros=micros, is_refund=is_refund, reason="by hand"
    )
    stage.ask(command)


def grant(stage: Stage, chance: random.Random) -> None:
    """Money again and again, or no more."""
    org, _ = chance.choice(stage.fleet.orgs)
    micros = chance.choice((0, MICROS, 50 * MICROS))
    stage.ask(commands.SetGrant(by=OPERATOR, org=org, micros=micros, every_us=HOUR_US))


def cap(stage: Stage, chance: random.Random) -> None:
    """The most that the workloads of a user, or of an org, may cost, in all or by month, or hold;
    owners try to change what operators set. Or how much an org begins."""
    org, _ = chance.choice(stage.fleet.orgs)
    if chance.random() < 0.25:
        bounds = commands.SetOrgBounds(
            by=OPERATOR,
            org=org,
            open_workloads=chance.choice((None, 4, 20)),
            submits_per_minute=chance.choice((None, 2)),
            starts_per_minute=chance.choice((None, 0, 1, 3)),
        )
        stage.ask(bounds)
        return
    cap_micros = chance.choice((None, MICROS, 20 * MICROS))
    period = chance.choice(tuple(CapPeriod))
    most_gpus = chance.choice((None, None, 2, 4, 8))
    if chance.random() < 0.5:
        user = chance.choice((owner_of(org), member_of(org)))
        of_user = commands.SetCap(
            by=OPERATOR, user=user, cap_micros=cap_micros, period=period, most_gpus=most_gpus
        )
        stage.ask(of_user)
        return
    by = chance.choice((OPERATOR, owner_of(org), member_of(org)))
    stage.ask(
        commands.SetOrgCap(
            by=by, org=org, cap_micros=cap_micros, period=period, most_gpus=most_gpus
        )
    )


def prices(stage: Stage, chance: random.Random) -> None:
    """Another price sheet."""
    stage.ask(
        commands.SetPrices(
            by=OPERATOR,
            market=chance.choice(stage.fleet.pools).market,
            pay_as_you_go_micros=chance.choice((None, 8 * MICROS, 15 * MICROS)),
            reservation_rate_micros=chance.choice((None, 3 * MICROS)),
            public_floor_micros=chance.choice((None, MICROS, 3 * MICROS)),
        )
    )


def terms(stage: Stage, chance: random.Random) -> None:
    """Another term, now or announced."""
    change = chance.choice(
        (
            commands.TermsChange(fee=Fraction(numerator=1, denominator=5)),
            commands.TermsChange(backoff_us=MINUTE_US),
            commands.TermsChange(minimum_charge_us=60 * SECOND_US),
            commands.TermsChange(clearing_interval_us=45 * SECOND_US),
            commands.TermsChange(billing_period_us=2 * HOUR_US),
            commands.TermsChange(notice_us=2 * MINUTE_US, start_grace_us=4 * MINUTE_US),
            commands.TermsChange(kill_us=20 * SECOND_US, turnaround_us=MINUTE_US),
            commands.TermsChange(off=("min_runtime_us", "assemble_us")),
        )
    )
    from_us = None if chance.random() < 0.5 else stage.present_us() + HOUR_US
    market = chance.choice(stage.fleet.pools).market
    stage.ask(commands.ChangeTerms(by=OPERATOR, market=market, change=change, from_us=from_us))
