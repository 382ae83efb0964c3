"""What bids can pay for and may hold: the money they set aside, and the GPUs that caps leave.

Theory of operation
-------------------
Bids of a clearing are asked in one order: those that have seats first, then the highest limit, then
the older. Each sets aside its earmark (`billing.commitments`), and its GPUs, of what those before
it left:

    max_spend            of the workload, or of the array that it is a member of
    the org's balance    less what its live workloads owe and may still cost
    caps on money        of its user and its org: less what was spent in their period, and the same
    caps on GPUs         of its user and its org: less what is held and promised

A bid for which one of these has not enough takes no part, with that as its reason; one that has
seats gets its notice. So a cap is never exceeded by a new start, nor a balance by what is charged
until the bid could be gone.

On-demand and reservation-backed work counts against caps on GPUs as far as it has seats, and is not
kept out by them here: on-demand was bounded when it was sold, and a reservation is its org's own.
Seats that are being left count until they are free, but for the workload itself, and keep no
workload from staying: where a cap was lowered, the best bids that fit stay, and no new one comes
until the others have left.

Example (`tests/core/clearing/test_means.py`). A cap of 8 GPUs; w1 runs on 4 and w2 leaves 2. w3
bids 3.00 for 4 GPUs and w4 2.00 for 2. w3 would make it 10 and waits; w4 takes part.

Cost grows with the live workloads of the orgs that bid, twice where a cap on GPUs is theirs.
"""

from bisect import bisect_right

from parkade.core.billing.commitments import (
    UNCAPPED_MICROS,
    committed_without_earmark,
    earmark_micros,
    left_of_cap_micros,
    spending_of_org,
    spending_of_user,
)
from parkade.core.billing.metering import accrued_micros
from parkade.core.clearing.sizes import affordable_nodes
from parkade.core.fleet.market import Market
from parkade.core.ledger.accounts import org_account
from parkade.core.state.world import World
from parkade.core.steps.holdings import held_gpus, is_standing
from parkade.core.workloads.life import Why
from parkade.core.workloads.workload import Workload

Purse = tuple[str, str]
"""What has a cap: (user, its name) or (org, its name)."""


class Room:
    """What a cap on GPUs leaves. `standing`: GPUs of what keeps its seats, `leaving`: of what is
    told to leave."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.standing = 0
        self.leaving = 0

    def left(self, *, is_seated: bool) -> int:
        """For a bid that has seats, or for a new one; below zero where a cap was lowered."""
        return self.most - self.standing - (0 if is_seated else self.leaving)


class Means:
    """What is left while the bids of a market are asked in turn."""

    def __init__(self, world: World, market: Market, bidders: list[Workload], now_us: int) -> None:
        self._world = world
        self._market = market
        self._now_us = now_us
        self._bidders = sorted(bidders, key=_earmark_order)
        self._names = {it.workload for it in bidders}
        self._free: dict[str, int] = {}
        self._caps: dict[Purse, int] = {}
        self._budgets: dict[str, int] = {}
        self._rooms: dict[Purse, Room] = {}
        self._excluded: dict[str, str] = {}
        self._affordable: dict[str, int] = {}

    def decided(self) -> tuple[dict[str, str], dict[str, int]]:
        """(bids that take no part, and why; for how many nodes each elastic one has the means:
        what it has, or its least, in its turn, and more of what all turns left)."""
        for org in dict.fromkeys(it.org for it in self._bidders):
            self._look_at(org)
        for workload in self._bidders:
            self._ask(workload)
        for workload in self._bidders:
            if workload.workload in self._affordable:
                self._ask_for_more(workload)
        return self._excluded, self._affordable

    def _look_at(self, org: str) -> None:
        """What an org and its users have, less what their live workloads owe and hold."""
        world, now_us = self._world, self._now_us
        balance = world.ledger.balance(org_account(org))
        by_user: dict[str, int] = {}
        for name in world.live_of_org.get(org, {}):
            workload = world.records.workloads[name]
            cost = committed_without_earmark(world, workload, now_us)
            by_user[workload.user] = by_user.get(workload.user, 0) + cost
        owed = sum(by_user.values())
        self._free[org] = balance - owed
        record = world.records.orgs.get(org)
        cap = None if record is None else record.cap
        if cap is not None:
            left = left_of_cap_micros(cap, spending_of_org(world, org), now_us)
            self._caps["org", org] = left - owed
            if cap.most_gpus is not None:
                self._rooms["org", org] = Room(cap.most_gpus)
        for user in dict.fromkeys(it.user for it in self._bidders if it.org == org):
            person = world.records.users.get(user)
            if person is None or person.cap is None:
                continue
            left = left_of_cap_micros(person.cap, spending_of_user(world, user), now_us)
            self._caps["user", user] = left - by_user.get(user, 0)
            if person.cap.most_gpus is not None:
                self._rooms["user", user] = Room(person.cap.most_gpus)
        if self._rooms:
            self._count_gpus(org)

    def _count_gpus(self, org: str) -> None:
        """Of what is not asked in turn, and of the seats that bids are told to leave."""
        for name in self._world.live_of_org.get(org, {}):
            workload = self._world.records.workloads[name]
            is_seated = is_standing(workload)
            if is_seated and name in self._names:
                continue
            gpus = held_gpus(workload)
            for _, room in self._rooms_of(workload):
                if is_seated:
                    room.standing += gpus
                else:
                    room.leaving += gpus

    def _ask(self, workload: Workload) -> None:
        name, earmark = workload.workload, earmark_micros(self._market, workload)
        nodes = workload.ranks
        if workload.spec.is_elastic:
            paid = affordable_nodes(self._market, workload, self._left_micros(workload))
            nodes = min(workload.ranks, paid, self._room_nodes(workload))
            if nodes >= workload.spec.nodes:
                self._affordable[name] = nodes
                earmark = earmark_micros(self._market, workload, nodes)
            else:
                nodes = workload.ranks
        why = self._why_not(workload, earmark, nodes)
        if why is None:
            self._take(workload, earmark, self._more_gpus(workload, nodes))
            return
        self._excluded[name] = why
        if is_standing(workload):
            for _, room in self._rooms_of(workload):
                room.leaving += held_gpus(workload)

    def _ask_for_more(self, workload: Workload) -> None:
        """An elastic bid grows on what all turns left."""
        name, market = workload.workload, self._market
        nodes = self._affordable[name]
        spent = earmark_micros(market, workload, nodes)
        paid = affordable_nodes(market, workload, spent + self._left_micros(workload), is_new=True)
        gpus = workload.spec.gpus
        rooms = [room.left(is_seated=False) // gpus for _, room in self._rooms_of(workload)]
        more = min([paid, *(nodes + max(0, room) for room in rooms)])
        if more > nodes:
            self._affordable[name] = more
            earmark = earmark_micros(market, workload, more, is_new=True)
            self._take(workload, earmark - spent, (more - nodes) * gpus)

    def _why_not(self, workload: Workload, earmark: int, nodes: int) -> Why | None:
        if self._left_to_spend(workload) < earmark:
            return Why.MAX_SPEND
        if self._free[workload.org] < earmark:
            return Why.INSUFFICIENT_FUNDS
        for purse, why in _purses(workload, Why.USER_CAP, Why.ORG_CAP):
            if self._caps.get(purse, UNCAPPED_MICROS) < earmark:
                return why
        is_seated = is_standing(workload)
        for why, room in self._rooms_of(workload):
            if room.left(is_seated=is_seated) < self._more_gpus(workload, nodes):
                return why
        return None

    def _take(self, workload: Workload, micros: int, gpus: int) -> None:
        self._free[workload.org] -= micros
        for purse, _ in _purses(workload, Why.USER_CAP, Why.ORG_CAP):
            if purse in self._caps:
                self._caps[purse] -= micros
        self._budgets[workload.member_of or workload.workload] -= micros
        for _, room in self._rooms_of(workload):
            room.standing += gpus

    def _left_micros(self, workload: Workload) -> int:
        caps = [
            self._caps.get(purse, UNCAPPED_MICROS)
            for purse, _ in _purses(workload, Why.USER_CAP, Why.ORG_CAP)
        ]
        return min(self._free[workload.org], self._left_to_spend(workload), *caps)

    def _left_to_spend(self, workload: Workload) -> int:
        """What `max_spend` leaves for its next earmark: its own, or that of all members of its
        array."""
        name = workload.member_of or workload.workload
        if name not in self._budgets:
            whole = self._world.records.workloads.get(name, workload)
            most = whole.spec.max_spend_micros
            if most is None:
                self._budgets[name] = UNCAPPED_MICROS
            else:
                owed = _owed(self._world, workload, self._now_us)
                self._budgets[name] = most - whole.spent_micros - owed
        return self._budgets[name]

    def _rooms_of(self, workload: Workload) -> list[tuple[Why, Room]]:
        if not self._rooms:
            return []
        return [
            (why, self._rooms[purse])
            for purse, why in _purses(workload, Why.USER_GPUS, Why.ORG_GPUS)
            if purse in self._rooms
        ]

    def _room_nodes(self, workload: Workload) -> int:
        """For how many nodes of an elastic bid caps on GPUs leave room."""
        is_seated, most = is_standing(workload), workload.spec.most_nodes
        sizes = range(1, most + 1)
        for _, room in self._rooms_of(workload):
            left = room.left(is_seated=is_seated)
            fits = bisect_right(sizes, left, key=lambda it: self._more_gpus(workload, it))
            most = min(most, fits)
        return most

    def _more_gpus(self, workload: Workload, nodes: int) -> int:
        """What so many nodes add to what counts already: the seats that it is told to leave do."""
        gpus = nodes * workload.spec.gpus
        attempt = workload.attempt
        if is_standing(workload):
            return max(gpus, held_gpus(workload)) if workload.promise is not None else gpus
        return gpus if attempt is None else max(0, gpus - attempt.gpus)


def _purses(workload: Workload, of_user: Why, of_org: Why) -> tuple[tuple[Purse, Why], ...]:
    return (("user", workload.user), of_user), (("org", workload.org), of_org)


def _owed(world: World, workload: Workload, now_us: int) -> int:
    """What it owes that is not charged yet; of a member, what all of its array may still cost
    that is no earmark."""
    if workload.member_of is None:
        return accrued_micros(world, workload, now_us)
    return sum(
        committed_without_earmark(world, world.records.workloads[name], now_us)
        for name in world.members.of(workload.member_of).names
    )


def _earmark_order(workload: Workload) -> tuple[bool, int, int, str]:
    """Bids that have seats come first, then the highest limit, then the older."""
    limit = workload.spec.limit_price_micros or 0
    return (not is_standing(workload), -limit, workload.submitted_us, workload.workload)
