"""A small market of rules over the real world and events: enough to drive the cycle exactly.

An org named `due-<us>` is a deadline at that instant; taking it creates the org `took-<us>`.
A command by `bug` breaks in `decide`.
"""

from parkade.control.rules import Rules
from parkade.core.ledger.accounts import EXTERNAL, Transfer, TransferKind, org_account
from parkade.core.state import commands as asked
from parkade.core.state import events as happened
from parkade.core.state.people import Org
from parkade.core.state.world import World
from parkade.core.units.refusal import Reason, Refusal
from tests import builders


def org_created(name: str, at_us: int) -> happened.OrgCreated:
    return happened.OrgCreated(at_us=at_us, org=Org(org=name, created_us=at_us))


def decide(
    world: World, command: asked.AnyCommand, now_us: int
) -> tuple[happened.AnyEvent, ...] | Refusal:
    records = world.records
    assert command.by != "bug", "a bug in decide"
    match command:
        case asked.OpenEpoch():
            return (happened.EpochOpened(at_us=now_us, epoch=records.epoch + 1),)
        case asked.CreateOrg(org=org):
            if org in records.orgs:
                return Refusal(reason=Reason.ALREADY_EXISTS, detail=f"{org} exists")
            return (org_created(org, now_us),)
        case asked.Deposit(org=org, micros=micros):
            money = Transfer(
                kind=TransferKind.DEPOSIT, debit=EXTERNAL, credit=org_account(org), micros=micros
            )
            return (happened.MoneyMoved(at_us=now_us, transfers=(money,)),)
        case asked.OpenPool(pool=pool):
            market = builders.market(pool)
            return (
                happened.PoolOpened(
                    at_us=now_us, pool=builders.pool(pool), market=market, nodes=()
                ),
            )
        case asked.ReportReachability(pool=pool, is_reachable=is_reachable):
            return (
                happened.ReachabilityChanged(at_us=now_us, pool=pool, is_reachable=is_reachable),
            )
        case asked.RunClearing():
            return (org_created(f"cleared-{len(records.orgs)}", now_us),)
        case asked.ConfirmClock():
            return (happened.ClockConfirmed(at_us=now_us),)
        case _:
            return ()


def next_deadline_us(world: World) -> int | None:
    due = [name.partition("-")[2] for name in world.records.orgs if name.startswith("due-")]
    left = [int(at) for at in due if f"took-{at}" not in world.records.orgs]
    return min(left, default=None)


def take_deadline(world: World) -> tuple[happened.AnyEvent, ...]:
    at_us = next_deadline_us(world)
    assert at_us is not None
    return (org_created(f"took-{at_us}", at_us),)


def urgent_markets(world: World, events: tuple[happened.AnyEvent, ...]) -> tuple[str, ...]:
    return tuple(world.records.markets) if any(_is_urgent(event) for event in events) else ()


def _is_urgent(event: happened.AnyEvent) -> bool:
    return isinstance(event, happened.OrgCreated) and event.org.org.startswith("urgent")


def check(world: World) -> None:
    assert sum(world.records.balances.values()) == 0
    assert "broken" not in world.records.orgs


def no_plan(world: World, command: asked.Submit, now_us: int) -> Refusal:
    return Refusal(reason=Reason.UNSUPPORTED, detail="no plans in a small market")


SMALL = Rules(
    decide=decide,
    plan=no_plan,
    next_deadline_us=next_deadline_us,
    take_deadline=take_deadline,
    urgent_markets=urgent_markets,
    check=check,
)
