"""Who may see an event: everybody, operators only, or the orgs it concerns."""

from collections.abc import Iterable, Iterator
from typing import assert_never

import msgspec

from parkade.core.ledger.accounts import Transfer
from parkade.core.state import events as happened
from parkade.core.state.world import World

MOST_KNOWN = 200_000
Line = happened.Won | happened.Leaving | happened.Repriced | happened.Waiting


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """`is_public`: everybody. Otherwise operators, and these orgs."""

    is_public: bool = False
    orgs: frozenset[str] = frozenset()


PUBLIC = Audience(is_public=True)
OPERATORS = Audience()
# Events of single nodes name them and say why; guests learn what becomes of their own work.
OF_OPERATORS = (
    happened.NodeHealthSet,
    happened.NodeCordoned,
    happened.NodeUncordoned,
    happened.NodeDraining,
    happened.NodeUndrained,
    happened.NodeRemoved,
)


class Owners:
    """Whose a workload, claim, reservation, user or token is; learned once, since it never changes.

    Keys are (kind, name). Bounded: when it is full it begins anew.
    """

    def __init__(self) -> None:
        self._org_of: dict[tuple[str, str], str | None] = {}

    def unknown(self, events: Iterable[happened.AnyEvent]) -> tuple[tuple[str, str], ...]:
        """What must be looked up before these events can be shown."""
        named = dict.fromkeys(key for event in events for key in named_in(event))
        return tuple(key for key in named if key not in self._org_of)

    def learn(self, found: dict[tuple[str, str], str | None]) -> None:
        """Takes in what was looked up."""
        if len(self._org_of) > MOST_KNOWN:
            self._org_of.clear()
        self._org_of.update(found)

    def org_of(self, kind: str, name: str) -> str | None:
        """The org, None where the world has forgotten it: then only operators see it."""
        return self._org_of.get((kind, name))

    def is_of(self, org: str, key: tuple[str, str]) -> bool:
        """Whether a thing is an org's."""
        return self.org_of(*key) == org


def look_up(world: World, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str | None]:
    """The orgs of these, from the world."""
    return {key: _look_up(world, *key) for key in keys}


def _look_up(world: World, kind: str, name: str) -> str | None:
    records = world.records
    match kind:
        case "workload":
            workload = records.workloads.get(name)
            return workload.org if workload else None
        case "claim":
            claim = records.claims.get(name)
            return claim.org if claim else None
        case "reservation":
            reservation = records.reservations.get(name)
            return reservation.org if reservation else None
        case "token":
            token = records.tokens.get(name)
            return _look_up(world, "user", token.user) if token else None
        case _:
            user = records.users.get(name)
            return user.org if user else None


def lines_of(event: happened.Cleared) -> tuple[Line, ...]:
    """Everything a clearing changed, the winners first."""
    return (*event.won, *event.left, *event.repriced, *event.waiting)


def key_of(line: Line) -> tuple[str, str]:
    """(kind, name) of the workload or claim that a line of a clearing is about."""
    match line:
        case happened.Repriced(workload=name):
            return "workload", name
        case _:
            return kind_of(line.demand), happened.name_of(line.demand)


def kind_of(demand: happened.Demand) -> str:
    """`workload` or `claim`."""
    return "claim" if isinstance(demand, happened.ClaimDemand) else "workload"


def named_in(event: happened.AnyEvent) -> Iterator[tuple[str, str]]:
    """What an event names whose org it does not tell itself."""
    match event:
        case happened.Cleared():
            for line in lines_of(event):
                yield key_of(line)
        case happened.TokenAdded(token=token):
            yield "user", token.user
        case happened.CapSet(user=name):
            yield "user", name
        case happened.TokenRevoked(token=name):
            yield "token", name
        case happened.ClaimSeated(claim=name) | happened.Unclaimed(claim=name):
            yield "claim", name
        case happened.ReservationChanged(reservation=name) | happened.LendingSet(reservation=name):
            yield "reservation", name
        case (
            happened.PhaseChanged(workload=name)
            | happened.BidChanged(workload=name)
            | happened.StopOrdered(workload=name)
            | happened.Launched(workload=name)
            | happened.Started(workload=name)
            | happened.Checkpointed(workload=name)
            | happened.Broken(workload=name)
            | happened.Ended(workload=name)
            | happened.BudgetNoted(workload=name)
        ):
            yield "workload", name
        case happened.MoneyMoved() | happened.UsePosted() | happened.WithdrawalCharged():
            pass
        case happened.ReservationPaid() | happened.Reserved() | happened.Claimed():
            pass
        case happened.Submitted() | happened.Forgotten() | happened.OrgCreated():
            pass
        case happened.UserCreated() | happened.GrantSet():
            pass
        case _:
            if not isinstance(event, happened.FleetEvent | happened.ServerEvent):
                assert_never(event)


def audience(event: happened.AnyEvent, owners: Owners) -> Audience:
    """Who may see it at all; what it tells them may still differ."""
    if isinstance(event, happened.MoneyEvent):
        return Audience(orgs=frozenset(orgs_of(event.transfers)))
    if isinstance(event, happened.FleetEvent):
        return OPERATORS if isinstance(event, OF_OPERATORS) else PUBLIC
    match event:
        case happened.Cleared():
            return PUBLIC
        case happened.OrgCreated(org=org):
            return _of(org.org)
        case happened.GrantSet(org=granted):
            return _of(granted)
        case happened.UserCreated(user=user):
            return _of(user.org)
        case happened.Reserved(reservation=reservation):
            return _of(reservation.org)
        case happened.Claimed(claim=claim):
            return _of(claim.org)
        case happened.Submitted(workload=workload):
            return _of(workload.org)
        case _:
            return _of(*(owners.org_of(*key) for key in named_in(event)))


def orgs_of(transfers: Iterable[Transfer]) -> Iterator[str]:
    """The orgs whose accounts a transfer touches."""
    for transfer in transfers:
        for account in (transfer.debit, transfer.credit):
            kind, _, org = account.partition("/")
            if kind == "org":
                yield org


def _of(*orgs: str | None) -> Audience:
    return Audience(orgs=frozenset(org for org in orgs if org is not None))
