"""Jobs that engines started by themselves, and users whom they do not let in, from events alone.

- No more of a reservation is claimed than it has, whichever way a claim was made, and a node on
  which such a job runs is of one claim.
- After the engine took no job of a user, work of that user that has no seats gets none before the
  wait is over: 30 s, twice as long each further time within a day, at most 16 minutes. Then one at
  a time is tried, at the public floor at most for another 16 minutes. A start ends that.

The spans are reckoned here anew. Bids with several markets wait in the first of them, which is not
known of each instant here: of them nothing is asked.
"""

from dataclasses import dataclass

from parkade.core.state import events, lines
from parkade.core.workloads.workload import Workload
from parkade.sim.findings import require

FIRST_US, MOST_US, DAY_US = 30_000_000, 960_000_000, 86_400_000_000

User = tuple[str, str, str]
"""Market, org and user."""


@dataclass
class Refused:
    """A user of whom the engine took no job."""

    times: int
    at_us: int
    until_us: int
    has_started: bool = False


class JobAuditor:
    """Follows one journal from its first entry. Raises Breach. Cost of an event grows with the
    claims and with what is placed."""

    def __init__(self) -> None:
        self.refused: dict[User, Refused] = {}
        self.tried = 0
        """How often work of a refused user was given seats."""

        self._nodes: dict[str, int] = {}
        self._claims: dict[str, tuple[str, int, tuple[str, ...]]] = {}
        self._users: dict[str, User] = {}
        self._placed: set[str] = set()
        """What is promised seats, or launched and has not begun."""
        self._runs: set[str] = set()
        self._floors: dict[str, int] = {}

    def read(self, event: events.AnyEvent) -> None:
        """Takes the next event in."""
        match event:
            case events.PoolOpened(market=market) | events.NodesAdded(market=market) if market:
                self._floors[market.market] = market.terms.public_floor_micros
            case events.PricesSet(market=name, public_floor_micros=floor_micros):
                self._floors[name] = floor_micros
            case events.Reserved(reservation=right):
                self._nodes[right.reservation] = right.nodes
            case events.ReservationDivided(reservation=name, part=part):
                self._nodes[name] -= part.nodes
                self._nodes[part.reservation] = part.nodes
            case events.Claimed(claim=claim):
                self._claims[claim.claim] = (claim.reservation, claim.nodes, claim.runs_on)
                self._check_claims(claim.reservation, claim.runs_on)
            case events.Unclaimed(claim=name):
                self._claims.pop(name, None)
            case events.Submitted(workload=workload) | events.Resubmitted(workload=workload):
                self._submit(workload)
            case events.Cleared():
                self._clear(event)
            case events.Launched(workload=name):
                self._placed.add(name)
            case events.Started(workload=name):
                self._placed.discard(name)
                self._runs.add(name)
                if name in self._users and self._users[name] in self.refused:
                    self.refused[self._users[name]].has_started = True
            case events.Ended(workload=name):
                self._runs.discard(name)
                if event.phase != "placed":
                    self._placed.discard(name)
                if event.is_unadmitted:
                    self._refuse(name, event.at_us)
            case events.PhaseChanged(workload=name):
                self._placed.discard(name)
            case _:
                pass

    def _check_claims(self, reservation: str, runs_on: tuple[str, ...]) -> None:
        claimed = sum(nodes for of, nodes, _ in self._claims.values() if of == reservation)
        says = f"{claimed} nodes of {reservation} are claimed, and it has"
        require(claimed <= self._nodes[reservation], 44, f"{says} {self._nodes[reservation]}")
        all_nodes = [node for _, _, nodes in self._claims.values() for node in nodes]
        for node in runs_on:
            require(all_nodes.count(node) == 1, 44, f"{node} is of two claims whose jobs run there")

    def _submit(self, workload: Workload) -> None:
        if not workload.spec.choices:
            user = (workload.market, workload.org, workload.user)
            self._users[workload.workload] = user

    def _refuse(self, name: str, at_us: int) -> None:
        user = self._users.get(name)
        if user is None:
            return
        known = self.refused.get(user)
        if known is not None and not known.has_started and at_us < known.until_us:
            return
        times = 0 if known is None or at_us - known.at_us >= DAY_US else known.times
        span_us = min(FIRST_US * 2**times, MOST_US)
        self.refused[user] = Refused(times=times + 1, at_us=at_us, until_us=at_us + span_us)

    def _clear(self, event: events.Cleared) -> None:
        had_seats = self._placed | self._runs
        for leaving in event.left:
            self._placed.discard(lines.name_of(leaving.demand))
        for won in event.won:
            name = lines.name_of(won.demand)
            user = self._users.get(name)
            known = None if user is None else self.refused.get(user)
            if known is not None and not known.has_started and name not in had_seats:
                self._check_try(name, known, won, event.at_us)
            if name in self._users:
                self._placed.add(name)

    def _check_try(self, name: str, known: Refused, won: lines.Won, at_us: int) -> None:
        self.tried += 1
        is_over = at_us >= known.until_us
        require(is_over, 45, f"{name} is given seats before the wait of its user is over")
        user = self._users[name]
        waiting = self._placed - self._runs - {name}
        others = [it for it in waiting if self._users[it] == user]
        require(not others, 45, f"{name} is tried while {sorted(others)} of its user is")
        rate = won.promise.rates[-1]
        is_cheap = rate.price_micros <= self._floors[user[0]] or rate.floor_micros is None
        is_late = at_us >= known.until_us + MOST_US
        require(is_cheap or is_late, 45, f"{name} is tried at {rate.price_micros}, above the floor")
