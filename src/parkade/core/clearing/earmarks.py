"""What bids can pay for and may hold: the money they set aside, and the GPUs that caps leave.

Theory of operation
-------------------
Bids of a clearing are asked in one order: those that have seats first, then those that did not lose
the last clearing in which they took part, then those of more priority, then the highest limit, then
the older. So a bid that finds no room keeps the others of its org from theirs for one clearing.
Each sets aside what it needs (`billing.commitments`), and its GPUs, of what those before it left:

    max_spend            of the workload, or of the array that it is a member of
    the org's balance    less what its live workloads owe and may still cost
    caps on money        of its user and its org: less what was spent in their period, and the same
    caps on GPUs         of its user and its org: less what is held and promised

The order in which the world lists them, which a restart may change, decides nothing.

A bid for which one of these has not enough takes no part, with that as its reason; one that has
seats gets its notice, and what that costs is set aside before newcomers are asked. So a cap is
never exceeded by a new start, nor a balance by what is charged until the bid could be gone. An
elastic bid that cannot keep its nodes sets aside what leaving them costs, and the earmark of a new
start on fewer: it shrinks once, to what it can have then.

On-demand and reservation-backed work counts against caps on GPUs as far as it has seats, and is not
kept out by them here: on-demand was bounded when it was sold, and a reservation is its org's own.
A bid with several markets sets aside what the dearest of them asks for, which is where it may win;
one that runs, what leaving costs beside that. One that has seats and too little for this stays
where it is while it wins there, and is asked in no other market.

Work on a reservation that may get its seats in this clearing counts against newcomers already,
unless it lost the last one.
Seats that are being left count until they are free, but for the workload itself, and keep no
workload from staying: where a cap was lowered, the best bids that fit stay, and no new one comes
until the others have left.

Example (`tests/core/clearing/test_earmarks.py`). A cap of 8 GPUs; w1 runs on 4 and w2 leaves 2. w3
bids 3.00 for 4 GPUs and w4 2.00 for 2. w3 would make it 10 and waits; w4 takes part.

Cost grows with the live workloads of the orgs that bid, twice where a cap on GPUs is theirs.
"""

from bisect import bisect_right
from typing import NamedTuple

from parkade.core.billing.commitments import (
    UNCAPPED_MICROS,
    bid_earmark_micros,
    committed_micros,
    committed_without_earmark,
    earmark_micros,
    exit_micros,
    left_of_cap_micros,
    needed_micros,
    owed_micros,
    spending_of_org,
    spending_of_user,
)
from parkade.core.billing.slow_starts import free_slow_start_micros
from parkade.core.clearing.purses import Account, Purse, Room
from parkade.core.clearing.sizes import affordable_nodes
from parkade.core.fleet.market import Market
from parkade.core.ledger.accounts import org_account
from parkade.core.state.people import Cap, Spending
from parkade.core.state.world import World
from parkade.core.steps.holdings import held_gpus, is_standing
from parkade.core.steps.windows import keeps_window, kept_micros
from parkade.core.workloads.choices import as_bid_in, limit_in, markets_of, stands_in
from parkade.core.workloads.life import Phase, Why
from parkade.core.workloads.spec import CapacityKind
from parkade.core.workloads.workload import Workload


class SetAside(NamedTuple):
    """What bids have the means for."""

    excluded: dict[str, str]
    """Those that take no part, and why."""

    affordable: dict[str, int]
    """For how many nodes each elastic one has the means: what it has, or its least, in its turn,
    and more of what all turns left, in the same order."""

    confined: dict[str, Why]
    """Those that have seats, and not the means to leave them for another of their markets; what
    has too little."""


def set_aside(world: World, bidders: list[Workload], now_us: int) -> SetAside:
    """What bids of one market, or of several that are cleared together, have the means for."""
    return _Turns(world, bidders, now_us).decided()


class _Turns:
    """What is left while the bids of a market are asked in turn."""

    def __init__(self, world: World, bidders: list[Workload], now_us: int) -> None:
        self._world = world
        self._now_us = now_us
        self._bidders = sorted(bidders, key=_earmark_order)
        self._names = {it.workload for it in bidders}
        self._accounts: dict[tuple[str, str], Account] = {}
        self._budgets: dict[str, int] = {}
        self._excluded: dict[str, str] = {}
        self._affordable: dict[str, int] = {}
        self._confined: dict[str, Why] = {}
        self._earmarks: dict[tuple[str, int, int], int] = {}
        self._free_holds: dict[str, tuple[str, int]] = {}
        """By org, the user and the amount of a hold that is free while no other gets seats."""

    def decided(self) -> SetAside:
        """As `set_aside`."""
        users: dict[str, dict[str, None]] = {}
        for workload in self._bidders:
            users.setdefault(workload.org, {})[workload.user] = None
        for org, names in users.items():
            self._look_at(org, tuple(names))
        for workload in self._bidders:
            self._ask(workload)
        for workload in self._bidders if self._affordable else ():
            if workload.workload in self._affordable:
                self._ask_for_more(workload)
        return SetAside(self._excluded, self._affordable, self._confined)

    def _market_of(self, workload: Workload) -> Market:
        """The market of a bid, or, of several, the one where it stands."""
        return self._world.records.markets[workload.bids_in]

    def _look_at(self, org: str, users: tuple[str, ...]) -> None:
        """What an org and its users have, less what their live workloads owe and hold."""
        world, now_us = self._world, self._now_us
        by_user: dict[str, int] = {}
        for name in world.live_of_org.get(org, {}):
            workload = world.records.workloads[name]
            # What bids in this market may cost is set aside in their turn; elsewhere it is already.
            is_asked = name in self._names
            if is_asked and workload.attempt is None and not keeps_window(workload):
                # It owes nothing yet, and holds nothing.
                continue
            committed = committed_without_earmark if is_asked else committed_micros
            cost = committed(world, workload, now_us)
            if hold := free_slow_start_micros(world, workload, now_us):
                self._free_holds[org] = (workload.user, hold)
            by_user[workload.user] = by_user.get(workload.user, 0) + cost
        owed = sum(by_user.values())
        balance = Purse(world.ledger.balance(org_account(org)) - owed)
        record = world.records.orgs.get(org)
        cap = None if record is None else record.cap
        of_org, room_of_org = self._capped(cap, spending_of_org(world, org), owed)
        for user in users:
            person = world.records.users.get(user)
            own = None if person is None else person.cap
            spending = spending_of_user(world, user)
            of_user, room = self._capped(own, spending, by_user.get(user, 0))
            purses = [(Why.INSUFFICIENT_FUNDS, balance)]
            purses += [(Why.USER_CAP, of_user)] if of_user is not None else []
            purses += [(Why.ORG_CAP, of_org)] if of_org is not None else []
            rooms = [(Why.USER_GPUS, room)] if room is not None else []
            rooms += [(Why.ORG_GPUS, room_of_org)] if room_of_org is not None else []
            self._accounts[org, user] = Account(purses, rooms)
        if room_of_org is not None or any(self._accounts[org, user].rooms for user in users):
            self._count_gpus(org, room_of_org)

    def _capped(
        self, cap: Cap | None, spending: Spending, owed: int
    ) -> tuple[Purse | None, Room | None]:
        """What a cap leaves of money and of GPUs; None: it bounds no such thing."""
        if cap is None:
            return None, None
        left = left_of_cap_micros(cap, spending, self._now_us) - owed
        purse = None if cap.micros is None else Purse(left)
        return purse, None if cap.most_gpus is None else Room(cap.most_gpus)

    def _count_gpus(self, org: str, room_of_org: Room | None) -> None:
        """Of what is not asked in turn, and of the seats that bids are told to leave."""
        without_bids = [] if room_of_org is None else [(Why.ORG_GPUS, room_of_org)]
        for name in self._world.live_of_org.get(org, {}):
            workload = self._world.records.workloads[name]
            account = self._accounts.get((org, workload.user))
            rooms = without_bids if account is None else account.rooms
            gpus = held_gpus(workload) if rooms else 0
            if rooms and _may_be_seated_by_right(workload):
                gpus = workload.spec.total_gpus
            if gpus == 0:
                continue
            is_seated = is_standing(workload)
            if is_seated and name in self._names:
                continue
            for _, room in rooms:
                if is_seated:
                    room.standing += gpus
                else:
                    room.leaving += gpus

    def _ask(self, workload: Workload) -> None:
        name, nodes = workload.workload, workload.ranks
        account = self._accounts[workload.org, workload.user]
        if _is_plain(workload):
            self._ask_plain(workload, account)
            return
        if not is_standing(workload):
            self._set_free_hold_aside(workload.org)
        there = as_bid_in(workload, workload.bids_in)
        needed = needed_micros(self._world, self._market_of(workload), there, self._now_us)
        if len(workload.spec.choices) > 1:
            dearest = self._dearest(workload, needed)
            short = self._why_not(account, workload, dearest, nodes)
            if short is None:
                needed = dearest
            elif not is_standing(workload):
                self._excluded[name] = short
                return
            else:
                self._confined[name] = short
        if workload.spec.is_elastic:
            fits = self._nodes_that_fit(workload, account, needed)
            if fits >= workload.spec.nodes:
                needed = self._needed_on(workload, fits, needed)
                self._affordable[name] = nodes = fits
        why = self._why_not(account, workload, needed, nodes)
        if why is None:
            self._take(workload, account, needed, nodes)
            return
        self._excluded[name] = why
        self._affordable.pop(name, None)
        if not is_standing(workload):
            return
        leaving = exit_micros(self._world, workload, self._now_us)
        for _, purse in account.purses:
            purse.micros -= leaving
        self._budgets[workload.member_of or name] -= leaving
        for _, room in account.rooms:
            room.leaving += held_gpus(workload)

    def _ask_plain(self, workload: Workload, account: Account) -> None:
        """As `_ask`, of a bid of one size for one market that has and is promised no seats."""
        spec, limit = workload.spec, workload.spec.limit_price_micros
        assert limit is not None, "every bid has a limit"
        if self._free_holds:
            self._set_free_hold_aside(workload.org)
        kind = (workload.market, limit, spec.nodes * spec.gpus)
        needed = self._earmarks.get(kind)
        if needed is None:
            market = self._world.records.markets[workload.market]
            needed = self._earmarks[kind] = bid_earmark_micros(market, limit, kind[2])
        why = self._why_not(account, workload, needed, spec.nodes)
        if why is None:
            self._take(workload, account, needed, spec.nodes)
        else:
            self._excluded[workload.workload] = why

    def _dearest(self, workload: Workload, needed: int) -> int:
        """What the dearest of its markets asks for; `needed`: that in which it stands. One that
        runs leaves for the others."""
        leaving = exit_micros(self._world, workload, self._now_us) if _runs(workload) else 0
        home = stands_in(workload)
        most = 0 if home is None else needed
        for market in markets_of(workload):
            record = self._world.records.markets.get(market)
            if record is None or market == home:
                continue
            limit = limit_in(workload, market)
            assert limit is not None, "every bid has a limit"
            gpus = workload.spec.total_gpus
            most = max(most, leaving + bid_earmark_micros(record, limit, gpus))
        return most

    def _take(self, workload: Workload, account: Account, needed: int, nodes: int) -> None:
        account.take(needed, _more_gpus(workload, nodes) if account.rooms else 0)
        self._budgets[workload.member_of or workload.workload] -= needed

    def _set_free_hold_aside(self, org: str) -> None:
        """A hold of the only workload with seats is not sure to be free once another has some."""
        user, micros = self._free_holds.pop(org, ("", 0))
        if micros == 0:
            return
        purses = dict.fromkeys(
            purse
            for (of, who), account in self._accounts.items()
            if of == org
            for why, purse in account.purses
            if who == user or why is not Why.USER_CAP
        )
        for purse in purses:
            purse.micros -= micros

    def _nodes_that_fit(self, workload: Workload, account: Account, needed: int) -> int:
        """On how many nodes an elastic bid can go on: all that it has, or fewer on which it starts
        anew once it has left these."""
        left = min(account.left_micros(), self._left_to_spend(workload))
        room = _room_nodes(account, workload)
        if not _runs(workload):
            return min(
                workload.ranks, affordable_nodes(self._market_of(workload), workload, left), room
            )
        if left >= needed and room >= workload.ranks:
            return workload.ranks
        left -= exit_micros(self._world, workload, self._now_us)
        paid = affordable_nodes(self._market_of(workload), workload, left, is_new=True)
        return min(workload.ranks - 1, paid, room)

    def _needed_on(self, workload: Workload, nodes: int, needed: int) -> int:
        """What it sets aside for so many nodes; `needed`: for those that it has."""
        if nodes == workload.ranks:
            return needed
        is_new = _runs(workload)
        leaving = exit_micros(self._world, workload, self._now_us) if is_new else 0
        return leaving + earmark_micros(self._market_of(workload), workload, nodes, is_new=is_new)

    def _ask_for_more(self, workload: Workload) -> None:
        """An elastic bid grows on what all turns left."""
        name, market = workload.workload, self._market_of(workload)
        account = self._accounts[workload.org, workload.user]
        nodes = self._affordable[name]
        if name in self._excluded or (_runs(workload) and nodes < workload.ranks):
            return
        spent = earmark_micros(market, workload, nodes)
        leaving = exit_micros(self._world, workload, self._now_us) if _runs(workload) else 0
        left = min(account.left_micros(), self._left_to_spend(workload)) - leaving
        paid = affordable_nodes(market, workload, spent + left, is_new=True)
        gpus = workload.spec.gpus
        rooms = (max(0, room.left(is_seated=False)) // gpus for _, room in account.rooms)
        more = min([paid, *(nodes + room for room in rooms)])
        if more > nodes:
            self._affordable[name] = more
            micros = earmark_micros(market, workload, more, is_new=True) - spent + leaving
            account.take(micros, (more - nodes) * gpus)
            self._budgets[workload.member_of or name] -= micros

    def _why_not(
        self, account: Account, workload: Workload, earmark: int, nodes: int
    ) -> Why | None:
        if self._left_to_spend(workload) < earmark:
            return Why.MAX_SPEND
        why = account.too_little(earmark)
        if why is not None or not account.rooms:
            return why
        is_seated, gpus = is_standing(workload), _more_gpus(workload, nodes)
        for why, room in account.rooms:
            if room.left(is_seated=is_seated) < gpus:
                return why
        return None

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
                owed += kept_micros(self._market_of(workload), workload, self._now_us)
                self._budgets[name] = most - whole.spent_micros - owed
        return self._budgets[name]


def _room_nodes(account: Account, workload: Workload) -> int:
    """For how many nodes of an elastic bid caps on GPUs leave room."""
    is_seated, most = is_standing(workload), workload.spec.most_nodes
    sizes = range(1, most + 1)
    for _, room in account.rooms:
        left = room.left(is_seated=is_seated)
        most = min(most, bisect_right(sizes, left, key=lambda it: _more_gpus(workload, it)))
    return most


def _more_gpus(workload: Workload, nodes: int) -> int:
    """What so many nodes add to what counts already: the seats that it is told to leave do, and
    those of an on-demand window that it may have instead."""
    gpus = nodes * workload.spec.gpus
    if is_standing(workload):
        return max(gpus, held_gpus(workload)) if workload.promise is not None else gpus
    return max(0, gpus - held_gpus(workload))


def _owed(world: World, workload: Workload, now_us: int) -> int:
    """What it owes that is not charged yet; of a member, what all of its array may still cost
    that is no earmark."""
    if workload.member_of is None:
        return owed_micros(world, workload, now_us)
    return sum(
        committed_without_earmark(world, world.records.workloads[name], now_us)
        for name in world.members.of(workload.member_of).names
    )


def _is_plain(workload: Workload) -> bool:
    has_seats = workload.attempt is not None or workload.promise is not None
    return not (has_seats or workload.spec.choices or workload.spec.is_elastic)


def _runs(workload: Workload) -> bool:
    """Whether it has an attempt that need not leave."""
    return workload.attempt is not None and workload.attempt.stop is None


def _may_be_seated_by_right(workload: Workload) -> bool:
    """Whether it waits for seats of a reservation, and did not fail to get them last."""
    is_reserved = workload.spec.capacity.kind is CapacityKind.RESERVATION
    has_none = workload.attempt is None and workload.promise is None
    is_waiting = workload.phase is Phase.QUEUED and workload.array is None
    return is_reserved and has_none and is_waiting and not workload.has_lost


def _earmark_order(workload: Workload) -> tuple[bool, bool, int, int, int, str]:
    """Bids that have seats come first, then those that did not lose last, then those of more
    priority, then the highest limit, then the older. Only bids of one org share what they set
    aside of, so no priority bears on another org."""
    limit = workload.spec.limit_price_micros or 0
    is_new = not is_standing(workload)
    has_lost = is_new and workload.has_lost
    priority = workload.spec.priority
    return (is_new, has_lost, -priority, -limit, workload.submitted_us, workload.workload)
