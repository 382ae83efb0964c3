"""Who may see an event: everybody, operators only, or the orgs it concerns."""

from collections.abc import Iterable, Iterator

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


class Owners:
    """Whose a workload, claim, reservation, user or token is; learned once, since it never changes.

    Keys are (kind, name). Bounded: when it is full it begins anew.
    """

    def __init__(self) -> None:
        self._org_of: dict[tuple[str, str], str | None] = {}

    def unknown(self, events: Iterable[happened.AnyEvent]) -> tuple[tuple[str, str], ...]:
        """What must be looked up before these events can be told."""
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

    def is_of(self, org: str, name: str) -> bool:
        """Whether a workload or claim is an org's."""
        return org in (self.org_of("workload", name), self.org_of("claim", name))


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


def named_in(event: happened.AnyEvent) -> Iterator[tuple[str, str]]:
    """What an event names whose org it does not tell itself."""
    match event:
        case happened.Cleared():
            lines: tuple[
                happened.Won | happened.Leaving | happened.Repriced | happened.Waiting, ...
            ]
            lines = (*event.left, *event.won, *event.repriced, *event.waiting)
            for line in lines:
                yield "workload", line.workload
                yield "claim", line.workload
        case happened.TokenAdded(token=token):
            yield "user", token.user
        case happened.CapSet(user=name):
            yield "user", name
        case happened.TokenRevoked(token=name):
            yield "token", name
        case happened.ClaimSeated(claim=name) | happened.Unclaimed(claim=name):
            yield "claim", name
        case _:
            for kind in ("workload", "reservation"):
                value = getattr(event, kind, None)
                if isinstance(value, str):
                    yield kind, value


def audience(event: happened.AnyEvent, owners: Owners) -> Audience:
    """Who may see it at all; what it tells them may still differ."""
    match event:
        case (
            happened.PoolOpened()
            | happened.PricesSet()
            | happened.Cleared()
            | happened.ReachabilityChanged()
        ):
            return PUBLIC
        case happened.OrgCreated(org=org):
            return _of(org.org)
        case happened.GrantSet(org=granted):
            return _of(granted)
        case happened.UserCreated(user=user):
            return _of(user.org)
        case (
            happened.MoneyMoved(transfers=transfers) | happened.ReservationPaid(transfers=transfers)
        ):
            return Audience(orgs=frozenset(orgs_of(transfers)))
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
