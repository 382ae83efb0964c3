"""A small market of rules over the real world and events: enough to drive the cycle exactly.

An org named `due-<us>` is a deadline at that instant; taking it creates the org `took-<us>`.
A command by `bug` breaks in `decide`.
"""

from parkade.control.rules import Rules
from parkade.core.ledger.accounts import EXTERNAL, Transfer, TransferKind, org_account
from parkade.core.state import commands, events
from parkade.core.state.people import Org
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from tests import builders


def org_created(name: str, at_us: int) -> events.OrgCreated:
    return events.OrgCreated(at_us=at_us, org=Org(org=name, created_us=at_us))


def decide(
    world: World, command: commands.AnyCommand, now_us: int
) -> tuple[events.AnyEvent, ...] | Refusal:
    records = world.records
    assert command.by != "bug", "a bug in decide"
    match command:
        case commands.OpenEpoch():
            return (events.EpochOpened(at_us=now_us, epoch=records.epoch + 1),)
        case commands.CreateOrg(org=org):
            if org in records.orgs:
                return Refusal(reason=Reason.ALREADY_EXISTS, detail=f"{org} exists")
            return (org_created(org, now_us),)
        case commands.Deposit(org=org, micros=micros):
            money = Transfer(
                kind=TransferKind.DEPOSIT, debit=EXTERNAL, credit=org_account(org), micros=micros
            )
            return (events.MoneyMoved(at_us=now_us, transfers=(money,)),)
        case commands.OpenPool(pool=pool):
            market = builders.market(pool)
            return (
                events.PoolOpened(at_us=now_us, pool=builders.pool(pool), market=market, nodes=()),
            )
        case commands.ReportReachability(pool=pool, is_reachable=is_reachable):
            return (events.ReachabilityChanged(at_us=now_us, pool=pool, is_reachable=is_reachable),)
        case commands.RunClearing():
            return (org_created(f"cleared-{len(records.orgs)}", now_us),)
        case commands.ConfirmClock():
            return (events.ClockConfirmed(at_us=now_us),)
        case _:
            return ()


def next_deadline_us(world: World) -> int | None:
    due = [name.partition("-")[2] for name in world.records.orgs if name.startswith("due-")]
    left = [int(at) for at in due if f"took-{at}" not in world.records.orgs]
    return min(left, default=None)


def take_deadline(world: World) -> tuple[events.AnyEvent, ...]:
    at_us = next_deadline_us(world)
    assert at_us is not None
    return (org_created(f"took-{at_us}", at_us),)


def urgent_markets(world: World, made: tuple[events.AnyEvent, ...]) -> tuple[str, ...]:
    return tuple(world.records.markets) if any(_is_urgent(event) for event in made) else ()


def _is_urgent(event: events.AnyEvent) -> bool:
    return isinstance(event, events.OrgCreated) and event.org.org.startswith("urgent")


def check(world: World) -> None:
    assert sum(world.records.balances.values()) == 0
    assert "broken" not in world.records.orgs


def no_plan(world: World, command: commands.Submit, now_us: int) -> Refusal:
    return Refusal(reason=Reason.UNSUPPORTED, detail="no plans in a small market")


SMALL = Rules(
    decide=decide,
    plan=no_plan,
    next_deadline_us=next_deadline_us,
    take_deadline=take_deadline,
    urgent_markets=urgent_markets,
    linked_with=lambda world, market: (market,),
    check=check,
)
