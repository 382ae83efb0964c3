"""The audience of an event: public, operators only, or the orgs it concerns."""

from collections.abc import Iterable, Iterator
from typing import assert_never

import msgspec

from parkade.core.ledger.accounts import Transfer, org_of
from parkade.core.state import events, lines
from parkade.core.state.people import Role
from parkade.core.state.world import World

MOST_KNOWN = 200_000
# In place of the org of an operator that asked for something. No org has such a name.
THE_OPERATOR = "*operator"
Line = lines.Won | lines.Leaving | lines.ClaimKept | lines.Repriced | lines.Resized | lines.Waiting


class Audience(msgspec.Struct, frozen=True, kw_only=True):
    """`is_public`: every user. Otherwise operators, and these orgs."""

    is_public: bool = False
    orgs: frozenset[str] = frozenset()


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """A user that reads the journal. `may_see_money`: the statement of its org is its to see."""

    org: str
    is_operator: bool
    may_see_money: bool


PUBLIC = Audience(is_public=True)
OPERATORS = Audience()

NodeEvent = (
    events.NodeHealthSet
    | events.NodeCordoned
    | events.NodeUncordoned
    | events.NodeDraining
    | events.NodeUndrained
    | events.NodeRemoved
    | events.MaintenanceEvent
    | events.HealingEvent
)
"""Events of single nodes, for operators only: they name the node and say why. Guests learn what
becomes of their own work."""

OfferEvent = (
    events.PoolOpened
    | events.NodesAdded
    | events.PoolClosed
    | events.TermsAnnounced
    | events.TermsChanged
    | events.PricesSet
    | events.ReachabilityChanged
    | events.FenceSet
)
"""The other events of the fleet: what is on offer, for everybody."""


class Owners:
    """The org of a workload, claim, reservation, user or token; learned once, as it never changes.
    Whether a user is an operator does, and is learned anew after the event that says so.

    Keys are (kind, name); under the kind `bid` stands how many GPUs a workload asks for, and not an
    org. Bounded: when it is full it begins anew.
    """

    def __init__(self) -> None:
        self._org_of: dict[tuple[str, str], str | None] = {}

    def unknown(self, shown: Iterable[events.AnyEvent]) -> tuple[tuple[str, str], ...]:
        """What must be looked up before these events can be shown."""
        told = tuple(shown)
        for event in told:
            if isinstance(event, events.UserRoleSet):
                self._org_of.pop(("by", event.user), None)
        named = dict.fromkeys(key for event in told for key in named_in(event))
        return tuple(key for key in named if key not in self._org_of)

    def learn(self, found: dict[tuple[str, str], str | None]) -> None:
        """Takes in what was looked up."""
        if len(self._org_of) > MOST_KNOWN:
            self._org_of.clear()
        self._org_of.update(found)

    def org_of(self, kind: str, name: str) -> str | None:
        """The org, None where the world has forgotten it: then only operators see it."""
        return self._org_of.get((kind, name))

    def gpus_of(self, bid: str) -> str | None:
        """How many GPUs the workload asks for that sets a price; None where it is forgotten."""
        return self._org_of.get(("bid", bid))

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
        case "bid":
            bid = records.workloads.get(name)
            return str(bid.spec.nodes * bid.spec.gpus) if bid else None
        case "claim":
            claim = records.claims.get(name)
            return claim.org if claim else None
        case "reservation":
            reservation = records.reservations.get(name)
            return reservation.org if reservation else None
        case "token":
            token = records.tokens.get(name)
            return _look_up(world, "user", token.user) if token else None
        case "by":
            asked = records.users.get(name)
            is_operators = asked is not None and asked.role is Role.OPERATOR
            return THE_OPERATOR if is_operators else _look_up(world, "user", name)
        case _:
            user = records.users.get(name)
            return user.org if user else None


def lines_of(event: events.Cleared) -> tuple[Line, ...]:
    """Everything a clearing changed, the winners first."""
    return (
        *event.won,
        *event.left,
        *event.claims,
        *event.resized,
        *event.repriced,
        *event.waiting,
    )


def key_of(line: Line) -> tuple[str, str]:
    """(kind, name) of the workload or claim that a line of a clearing is about."""
    match line:
        case lines.Repriced(workload=name) | lines.Resized(workload=name):
            return "workload", name
        case lines.ClaimKept(claim=name):
            return "claim", name
        case _:
            return kind_of(line.demand), lines.name_of(line.demand)


def rival_of(line: Line) -> str | None:
    """The workload whose bid set the price of a line; None where no bid did."""
    return line.price_set_by if isinstance(line, lines.Won | lines.Repriced) else None


def kind_of(demand: lines.Demand) -> str:
    """`workload` or `claim`."""
    return "claim" if isinstance(demand, lines.ClaimDemand) else "workload"


def named_in(event: events.AnyEvent) -> Iterator[tuple[str, str]]:
    """What an event names whose org it does not tell itself; the user that asked for it is `by`."""
    if event.by is not None:
        yield "by", event.by
    yield from _things_named_in(event)


def _things_named_in(event: events.AnyEvent) -> Iterator[tuple[str, str]]:
    if isinstance(event, events.WorkloadStep):
        yield "workload", event.workload
        return
    match event:
        case events.Cleared():
            for line in lines_of(event):
                yield key_of(line)
                if (rival := rival_of(line)) is not None:
                    yield "workload", rival
                    yield "bid", rival
        case events.TokenAdded(token=token):
            yield "user", token.user
        case (
            events.CapSet(user=name)
            | events.UnixNameSet(user=name)
            | events.UserDisabled(user=name)
            | events.UserRoleSet(user=name)
            | events.UserDeleted(user=name)
        ):
            yield "user", name
        case events.TokenRevoked(token=name):
            yield "token", name
        case events.ClaimSeated(claim=name) | events.Unclaimed(claim=name):
            yield "claim", name
        case events.ReservationChanged(reservation=name) | events.LendingSet(reservation=name):
            yield "reservation", name
        case events.UsePosted(workload=name) | events.WithdrawalCharged(workload=name):
            yield "workload", name
        case events.MoneyMoved():
            pass
        case events.ReservationPaid() | events.ReservationSettled():
            pass
        case events.ReservationDivided(reservation=name):
            yield "reservation", name
        case events.Reserved() | events.Claimed():
            pass
        case events.Submitted() | events.Resubmitted() | events.Forgotten():
            pass
        case events.OrgCreated() | events.OrgDisabled() | events.OrgDeleted():
            pass
        case events.UserCreated() | events.GrantSet():
            pass
        case events.OrgCapSet() | events.OrgBoundsSet() | events.CapNoted():
            pass
        case events.OrgDescribed():
            pass
        case events.EpochOpened() | events.ClockJumped():
            pass
        case events.ClockConfirmed() | events.ClockAdvanced():
            pass
        case _:
            if not isinstance(event, NodeEvent | OfferEvent):
                assert_never(event)


def audience(event: events.AnyEvent, owners: Owners) -> Audience:
    """The orgs that may see it at all; what it tells them may still differ."""
    if isinstance(event, NodeEvent):
        return OPERATORS
    if isinstance(event, OfferEvent):
        return PUBLIC
    match event:
        case events.Cleared():
            return PUBLIC
        case events.EpochOpened() | events.ClockJumped():
            return OPERATORS
        case events.ClockConfirmed() | events.ClockAdvanced():
            return OPERATORS
        case events.Forgotten():
            return OPERATORS
        case (
            events.MoneyMoved(transfers=transfers)
            | events.UsePosted(transfers=transfers)
            | events.WithdrawalCharged(transfers=transfers)
            | events.ReservationPaid(transfers=transfers)
            | events.ReservationSettled(transfers=transfers)
        ):
            return Audience(orgs=frozenset(orgs_of(transfers)))
        case events.OrgCreated(org=org):
            return _of(org.org)
        case (
            events.GrantSet(org=concerned)
            | events.OrgDisabled(org=concerned)
            | events.OrgDeleted(org=concerned)
            | events.OrgCapSet(org=concerned)
            | events.OrgBoundsSet(org=concerned)
            | events.OrgDescribed(org=concerned)
            | events.CapNoted(org=concerned)
        ):
            return _of(concerned)
        case events.UserCreated(user=user):
            return _of(user.org)
        case events.Reserved(reservation=reservation):
            return _of(reservation.org)
        case events.ReservationDivided(reservation=name, part=part):
            return _of(owners.org_of("reservation", name), part.org)
        case events.Claimed(claim=claim):
            return _of(claim.org)
        case events.Submitted(workload=workload) | events.Resubmitted(workload=workload):
            return _of(workload.org)
        case (
            events.TokenAdded()
            | events.TokenRevoked()
            | events.CapSet()
            | events.UnixNameSet()
            | events.UserDisabled()
            | events.UserRoleSet()
            | events.UserDeleted()
            | events.ReservationChanged()
            | events.LendingSet()
            | events.ClaimSeated()
            | events.Unclaimed()
            | events.PhaseChanged()
            | events.DependenciesMet()
            | events.BidChanged()
            | events.BoundsChanged()
            | events.FellBack()
            | events.EntryTaken()
            | events.MembersOpened()
            | events.MembersEnded()
            | events.MembersRetried()
            | events.StopOrdered()
            | events.Launched()
            | events.Started()
            | events.Checkpointed()
            | events.Broken()
            | events.RanksChanged()
            | events.Ended()
            | events.BudgetNoted()
            | events.ExecOpened()
        ):
            return _of(*(owners.org_of(*key) for key in _things_named_in(event)))
        case _:
            assert_never(event)


def is_hidden_money(event: events.AnyEvent, owners: Owners, reader: Reader) -> bool:
    """Whether it tells of the org's money what only its owners see. What a workload of the org
    costs is shown to every member, as with the workload itself."""
    if reader.is_operator or reader.may_see_money:
        return False
    match event:
        case events.UsePosted(workload=name) | events.WithdrawalCharged(workload=name):
            return not owners.is_of(reader.org, ("workload", name))
        case events.GrantSet():
            return True
        case events.ReservationDivided():
            return False
        case _:
            return isinstance(event, events.MoneyEvent)


def asked_by(event: events.AnyEvent, owners: Owners, reader: Reader) -> str | None:
    """The user that asked for it as this reader may know it: by name for operators and within the
    org, `operator` for any operator, and none for users of other orgs."""
    if event.by is None or reader.is_operator:
        return event.by
    org = owners.org_of("by", event.by)
    if org == THE_OPERATOR:
        return "operator"
    return event.by if org == reader.org else None


def orgs_of(transfers: Iterable[Transfer]) -> Iterator[str]:
    """The orgs whose accounts a transfer touches."""
    for transfer in transfers:
        for account in (transfer.debit, transfer.credit):
            org = org_of(account)
            if org is not None:
                yield org


def _of(*orgs: str | None) -> Audience:
    return Audience(orgs=frozenset(org for org in orgs if org is not None))
