"""A second opinion on Mars, from events alone: sick nodes, their incidents, repairs and returns.

Apart from what it audits: it reads no record of the world and asks no rule of the core. A node is
*in service* where it is healthy and Mars does not cordon it. It comes back into service only by a
validation that passed after its last fatal fault, or by a person's word where the pool has no
check; and it changes its org only after a sanitising, where its agent can sanitise.

An incident has one beginning and one end. While it is open, something goes on, or something that
can be named keeps it: an order under way, work on the node, a guard, a person. What it waits for
by itself is done within `PATIENCE_US`.
"""

from parkade.core.fleet.maintenance import is_window
from parkade.core.fleet.node import MARS, OTHERS, Health
from parkade.core.healing.incident import (
    IncidentOutcome,
    Next,
    RepairKind,
    RepairOrder,
    RepairReport,
)
from parkade.core.healing.verdict import Level
from parkade.core.state import events, lines
from parkade.core.units.time import MINUTE_US
from parkade.sim.auditor.guards import GuardsAuditor
from parkade.sim.auditor.node_books import Book, NodeBook
from parkade.sim.findings import require

IN_PLAY = frozenset({Health.HEALTHY, Health.SUSPECT})
A_PERSONS = frozenset({Health.FAILED, Health.RETIRED})
"""Nodes whose faults are noted only."""
PATIENCE_US = 10 * MINUTE_US
"""What may go on goes on within this; the server may be down for minutes."""


class MarsAuditor:
    """Reads events one by one; Breach at the first thing that must not be."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeBook] = {}
        self.fatal = 0
        """Fatal faults of watched nodes."""

        self.outcomes: dict[str, int] = {}
        self.orders: set[tuple[str, int]] = set()
        self.done: set[tuple[str, int]] = set()
        """Orders that the journal says were done, by name and instant."""

        self._ordered: dict[str, RepairOrder] = {}
        self._kinds: dict[str, frozenset[RepairKind]] = {}
        self._closed: set[str] = set()
        self._opened: set[str] = set()
        self._shared: dict[str, bool] = {}
        self._orgs: dict[str, str] = {}
        self._seats: dict[str, tuple[str, ...]] = {}
        self._promised: dict[str, tuple[str, ...]] = {}
        self._is_on = True
        self._owed: tuple[str, str] | None = None
        """(node, incident) that a fatal verdict said it belongs to, and that must open now."""

        self._guards = GuardsAuditor()

    def read(self, event: events.AnyEvent) -> None:
        """The next event."""
        if self._owed is not None:
            node, incident = self._owed
            is_opened = isinstance(event, events.IncidentOpened) and event.node == node
            require(is_opened, 23, f"a verdict of {node} names {incident}, which does not begin")
            self._owed = None
        self._guards.read(event)
        match event:
            case (
                events.PoolOpened(nodes=nodes, market=market)
                | events.NodesAdded(nodes=nodes, market=market)
            ):
                if market is not None:
                    self._shared[market.market] = market.terms.shared_nodes
                for each in nodes:
                    self.nodes[each.node] = NodeBook(
                        pool=each.pool, market=each.market, health=each.health
                    )
            case events.TermsChanged(market=name, terms=terms):
                self._shared[name] = terms.shared_nodes
            case events.NodeRemoved(node=name):
                del self.nodes[name]
            case events.RepairsKnown(pool=pool, kinds=kinds):
                self._kinds[pool] = frozenset(kinds)
            case events.AutomationSet(automation=automation):
                self._is_on = automation.is_on
                self._touch_all(event.at_us)
            case events.NodeHealthSet():
                self._set_health(event)
            case events.NodeCordoned(node=name, cordon=cordon):
                self._cordon(name, cordon.holder, event.at_us)
            case events.NodeUncordoned():
                self._uncordon(event)
            case events.VerdictGiven():
                self._hear(event)
            case events.IncidentOpened():
                self._open(event)
            case events.IncidentHeld(node=name, held=held, retry_us=retry_us):
                book = self._book(name, event.incident)
                book.is_held, book.retry_us = held is not None, retry_us
                book.next, book.changed_us = event.next or book.next, event.at_us
            case events.IncidentTurned(node=name, next=following):
                book = self._book(name, event.incident)
                book.next, book.changed_us = following, event.at_us
            case events.RepairOrdered():
                self._order(event)
            case events.RepairEnded():
                self._end(event)
            case events.IncidentClosed():
                self._close(event)
            case events.TurnaroundOrdered(node=name, order=order):
                self._turn(name, order)
            case events.TurnaroundEnded(node=name, report=report):
                self._end_turn(name, report, event.at_us)
            case events.NodeSanitised(node=name):
                self._clean(name, event.at_us)
            case _:
                self._read_seats(event)

    def close(self, now_us: int) -> None:
        """The story is over: what is open has a reason to be."""
        for name, node in self.nodes.items():
            why = self._stuck(node, now_us)
            require(why is None, 23, f"{node.open and node.open.incident} of {name} {why}")

    def left(self) -> list[str]:
        """The incidents that are open."""
        return [node.open.incident for node in self.nodes.values() if node.open is not None]

    def can(self, node: str, kind: RepairKind) -> bool:
        """Whether the agent of its pool has said that it can do this."""
        return kind in self._kinds.get(self.nodes[node].pool, ())

    def are_shared(self, node: str) -> bool:
        """Whether orgs may sit on it together."""
        return self._shared[self.nodes[node].market]

    # Nodes.

    def _set_health(self, event: events.NodeHealthSet) -> None:
        node, before = self.nodes[event.node], self.nodes[event.node].health
        is_acting = node.open is not None and not node.open.is_held and event.by is None
        if event.health in IN_PLAY:
            pass
        elif event.health not in A_PERSONS and event.by is None:
            require(is_acting, 23, f"{event.node} became {event.health} without an incident")
        if event.health in (Health.QUARANTINED, Health.FAILED):
            node.passed_us = None
        was_in_service = node.is_in_service
        node.health = event.health
        if node.is_in_service and not was_in_service:
            self._return(event.node, node, before, event.by)

    def _return(self, name: str, node: NodeBook, before: Health, by: str | None) -> None:
        """The node is in service from now on: why may it be?"""
        is_acting = node.open is not None and not node.open.is_held
        is_closed_only = before is Health.SUSPECT and not is_acting
        is_a_word = by is not None and (
            before is Health.SUSPECT or not self.can(name, RepairKind.VALIDATE)
        )
        is_valid = node.passed_us is not None and node.passed_us >= node.fatal_us
        is_right = is_closed_only or is_a_word or is_valid
        require(is_right, 16, f"{name} is back in service unvalidated")
        if is_valid and by is None and not is_closed_only:
            is_free = self._is_on and not node.is_a_persons
            require(is_free, 25, f"{name} was returned while a person holds it")

    def _cordon(self, name: str, holder: str, at_us: int) -> None:
        node = self.nodes[name]
        require(holder not in node.cordons, 17, f"{name} was cordoned twice by {holder}")
        if holder == MARS:
            is_acting = node.open is not None and not node.open.is_held
            require(is_acting, 24, f"{name} was cordoned by Mars without an incident that may act")
            require(self._is_on, 25, f"{name} was cordoned while Mars is stopped")
        node.cordons.add(holder)
        self._touch(node, at_us)

    def _uncordon(self, event: events.NodeUncordoned) -> None:
        node, holder = self.nodes[event.node], event.holder
        require(holder in node.cordons, 17, f"{holder} does not cordon {event.node}")
        if holder == MARS:
            is_mars = event.by is not None or node.open is not None
            require(is_mars, 17, f"the cordon of Mars on {event.node} was lifted by nothing")
        elif not is_window(holder):
            # Those of maintenance windows are judged by `auditor.maintenance`.
            is_its_own = event.by == (None if holder == OTHERS else holder)
            require(is_its_own, 17, f"{holder}'s cordon of {event.node} was lifted by {event.by}")
        was_in_service = node.is_in_service
        node.cordons.discard(holder)
        if node.is_in_service and not was_in_service:
            self._return(event.node, node, node.health, event.by)
        self._touch(node, event.at_us)

    # Incidents.

    def _hear(self, event: events.VerdictGiven) -> None:
        node, verdict = self.nodes[event.node], event.verdict
        if verdict.level is not Level.FATAL:
            return
        if node.health not in A_PERSONS:
            self.fatal += 1
            require(event.incident is not None, 23, f"{verdict.signal} of {event.node} has no end")
        node.fatal_us = event.at_us
        if event.incident is not None and node.open is None:
            self._owed = (event.node, event.incident)
        elif node.open is not None:
            is_its = event.incident == node.open.incident
            require(is_its, 23, f"{verdict.signal} of {event.node} is not {node.open.incident}'s")

    def _open(self, event: events.IncidentOpened) -> None:
        node, incident = self.nodes[event.node], event.incident
        require(node.open is None, 23, f"{event.node} has {incident.incident} beside an open one")
        is_new = incident.incident not in self._opened
        require(is_new, 22, f"{incident.incident} began twice")
        self._opened.add(incident.incident)
        node.open = Book(
            incident=incident.incident,
            is_held=incident.held is not None,
            retry_us=incident.retry_us,
            next=incident.next,
            changed_us=event.at_us,
        )

    def _order(self, event: events.RepairOrdered) -> None:
        name, order = event.node, event.order
        node, book = self.nodes[name], self._book(event.node, event.order.incident)
        is_ticket = order.kind is RepairKind.TICKET
        require(not book.is_held, 24, f"{order.order} was ordered while a guard holds it")
        is_alone = book.order is None and node.turning is None
        require(is_alone, 22, f"{order.order} was ordered beside another")
        require(self.can(name, order.kind), 22, f"{name}'s agent cannot {order.kind.value}")
        is_empty = not node.holders and node.health not in IN_PLAY
        require(is_empty or is_ticket, 23, f"{order.kind.value} of {name}, which is in use")
        is_free = self._is_on and not node.is_a_persons
        require(is_free, 25, f"{order.order} was ordered while a person holds {name}")
        book.order, book.changed_us = order, event.at_us
        self._name(order)

    def _end(self, event: events.RepairEnded) -> None:
        name, report = event.node, event.report
        node = self.nodes[name]
        order = self._ordered.get(report.order)
        require(order is not None, 22, f"{report.order} ended and was not ordered")
        assert order is not None
        self._report(report.order, report.is_done)
        if order.kind is RepairKind.SANITISE and report.is_done:
            # Also of an incident that a person ended meanwhile.
            node.cleaned_us = event.at_us
        book = node.open
        if book is None or book.incident != event.incident:
            is_over = event.incident in self._closed
            require(is_over, 23, f"{report.order} ended of an incident that is not open")
            return
        book.order, book.changed_us = None, event.at_us
        book.next = event.next or book.next
        if order.kind is RepairKind.VALIDATE and report.is_done:
            node.passed_us = order.ordered_us

    def _close(self, event: events.IncidentClosed) -> None:
        name, node = event.node, self.nodes[event.node]
        require(event.incident not in self._closed, 23, f"{event.incident} ended twice")
        book = self._book(name, event.incident)
        self._closed.add(event.incident)
        self.outcomes[event.outcome.value] = self.outcomes.get(event.outcome.value, 0) + 1
        node.open = None
        match event.outcome:
            case IncidentOutcome.RETURNED:
                require(node.is_in_service, 23, f"{name} was returned and is not in service")
                is_clean = not node.orgs or not self.can(name, RepairKind.SANITISE)
                require(is_clean, 16, f"{name} was returned with what {sorted(node.orgs)} left")
            case IncidentOutcome.RETIRED:
                is_gone = node.health is Health.RETIRED
                require(is_gone, 23, f"{name} was retired and is {node.health}")
            case IncidentOutcome.EXPIRED:
                is_untouched = book.is_held and MARS not in node.cordons
                require(is_untouched, 23, f"{event.incident} expired and was acted on")
            case IncidentOutcome.WAIVED:
                pass

    def _turn(self, name: str, order: RepairOrder) -> None:
        node = self.nodes[name]
        is_free = not node.holders and node.turning is None and node.health is Health.HEALTHY
        require(is_free, 16, f"{order.order}: {name} was sanitised while it is in use")
        require(self.can(name, order.kind), 22, f"{name}'s agent cannot {order.kind.value}")
        node.turning = order.order
        self._name(order)

    def _end_turn(self, name: str, report: RepairReport, at_us: int) -> None:
        node = self.nodes[name]
        is_known = node.turning == report.order
        require(is_known, 22, f"{report.order} of {name} ended and was not ordered")
        node.turning = None
        self._report(report.order, report.is_done)
        if report.is_done:
            node.cleaned_us = at_us

    def _clean(self, name: str, at_us: int) -> None:
        node = self.nodes[name]
        is_clean = node.cleaned_us == at_us and not node.holders
        require(is_clean, 16, f"{name} counts as clean, and no sanitising passed")
        node.orgs.clear()

    def _name(self, order: RepairOrder) -> None:
        require(order.order not in self._ordered, 22, f"{order.order} was ordered twice")
        self._ordered[order.order] = order
        self.orders.add((order.order, order.ordered_us))

    def _report(self, name: str, is_done: bool) -> None:
        order = self._ordered[name]
        if is_done:
            self.done.add((order.order, order.ordered_us))

    def _book(self, node: str, incident: str) -> Book:
        book = self.nodes[node].open
        is_it = book is not None and book.incident == incident
        require(is_it, 23, f"{incident} of {node} is not open")
        assert book is not None
        return book

    def _stuck(self, node: NodeBook, now_us: int) -> str | None:
        """Why the node's incident should have gone on by now; None where it need not have."""
        book = node.open
        if book is None:
            return None
        if book.is_held:
            is_late = book.retry_us is None or now_us - book.retry_us > PATIENCE_US
            return "is held, and the guards were not asked again" if is_late else None
        waits = (
            node.is_a_persons,
            not self._is_on,
            book.order is not None,
            node.turning is not None,
            book.next is Next.PERSON,
            bool(node.holders),
        )
        if any(waits) or now_us - book.changed_us <= PATIENCE_US:
            return None
        return f"waits for nothing since {book.changed_us}: {book.next.value}"

    def _touch(self, node: NodeBook, at_us: int) -> None:
        """Something that may have kept it is over."""
        if node.open is not None:
            node.open.changed_us = max(node.open.changed_us, at_us)

    def _touch_all(self, at_us: int) -> None:
        for node in self.nodes.values():
            self._touch(node, at_us)

    # Who sits where.

    def _read_seats(self, event: events.AnyEvent) -> None:
        match event:
            case events.Submitted(workload=workload):
                self._orgs[workload.workload] = workload.org
            case events.Claimed(claim=claim):
                self._orgs[claim.claim] = claim.org
            case events.Cleared(won=won, left=left, claims=claims):
                for kept in claims:
                    self._keep(kept.claim, {seat.node for seat in kept.seats}, event.at_us)
                for demand in (*(it.demand for it in left), *(it.demand for it in won)):
                    if isinstance(demand, lines.ClaimDemand):
                        self._leave(demand.claim, event.at_us)
                for line in won:
                    seats = line.promise.seats
                    self._promised[lines.name_of(line.demand)] = tuple(it.node for it in seats)
            case events.Launched(workload=name, attempt=attempt):
                self._seat(name, tuple(seat.node for seat in attempt.seats))
            case events.RanksChanged(workload=name, ranks=ranks):
                has = {it.seat.node for it in ranks}
                new = has - {*self._seats[name]}
                self._keep(name, has, event.at_us)
                self._seat(name, tuple(sorted(new)))
            case events.ClaimSeated(claim=name, nodes=tuple(nodes), runs_there=True):
                self._take_over(name, nodes)
            case events.ClaimSeated(claim=name, nodes=tuple(nodes)):
                self._seat(name, nodes)
            case events.ClaimSeated(claim=name):
                self._seat(name, self._promised[name])
            case events.Ended(workload=name) | events.Unclaimed(claim=name):
                self._leave(name, event.at_us)
            case _:
                pass

    def _seat(self, name: str, nodes: tuple[str, ...]) -> None:
        org = self._orgs[name]
        nodes = tuple(dict.fromkeys(nodes))
        self._seats[name] = (*self._seats.get(name, ()), *nodes)
        for each in nodes:
            node = self.nodes[each]
            is_joining = bool(node.holders) and self._shared[node.market]
            others = node.orgs - {org}
            is_clean = not others or is_joining or not self.can(each, RepairKind.SANITISE)
            require(is_clean, 16, f"{name} of {org} got {each} with what {sorted(others)} left")
            require(node.turning is None, 16, f"{name} got {each} while it is sanitised")
            node.orgs = {*node.orgs, org} if node.holders else {org}
            node.holders.add(name)

    def _take_over(self, name: str, nodes: tuple[str, ...]) -> None:
        """An owner's job was started there by its engine, whatever others left."""
        self._seats[name] = (*self._seats.get(name, ()), *nodes)
        for each in nodes:
            node = self.nodes[each]
            require(node.turning is None, 16, f"{name} got {each} while it is sanitised")
            node.orgs = {self._orgs[name]}
            node.holders.add(name)

    def _keep(self, name: str, kept: set[str], at_us: int) -> None:
        """Of the nodes that it holds it keeps these."""
        had = self._seats.pop(name, ())
        self._seats[name] = tuple(each for each in had if each in kept)
        for each in had:
            node = self.nodes.get(each)
            if node is not None and each not in kept:
                node.holders.discard(name)
                self._touch(node, at_us)

    def _leave(self, name: str, at_us: int) -> None:
        self._keep(name, set(), at_us)
        del self._seats[name]
