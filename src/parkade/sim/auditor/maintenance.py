"""A second opinion on maintenance windows, from events alone.

- A window begins notice + kill before its start, by the terms when its time was set, or when that
  became known, if that is later: never sooner.
- Once it has begun, no clearing leaves work without a notice on its nodes, and none is promised a
  seat there.
- It ends at its end, and only it lifts its cordons; at its end all of them are lifted.
- No reservation is sold onto nodes that are in a window: with all that is reserved, at no moment.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec.structs import replace

from parkade.core.fleet.maintenance import MAINTENANCE, is_window
from parkade.core.fleet.market import MarketTerms
from parkade.core.reservations.reservation import Reservation
from parkade.core.state import events, lines
from parkade.core.workloads.workload import Rank
from parkade.sim.findings import require

INVARIANT = 39


@dataclass(kw_only=True)
class Planned:
    """A window that is not over. `cordons`: its nodes that have its cordon."""

    nodes: list[str]
    start_us: int
    end_us: int
    known_us: int
    lead_us: int | None
    """Notice and kill when its time was last set; None: those in force, in journals of before."""
    has_begun: bool = False
    cordons: set[str] = field(default_factory=set)


class MaintenanceAuditor:
    """Reads events one by one; Breach at the first thing that must not be."""

    def __init__(self) -> None:
        self._windows: dict[str, Planned] = {}
        self._places: dict[str, tuple[str, str]] = {}
        """By node, its market and fabric."""
        self._terms: dict[str, MarketTerms] = {}
        self._held: dict[str, set[str]] = {}
        """By workload that runs, its nodes; those under notice are not there."""
        self._rights: dict[str, Reservation] = {}

    def read(self, event: events.AnyEvent) -> None:
        """The next event."""
        match event:
            case events.PoolOpened() | events.NodesAdded():
                self._places |= {it.node: (it.market, it.fabric) for it in event.nodes}
                if event.market is not None:
                    self._terms[event.market.market] = event.market.terms
            case events.NodeRemoved(node=node):
                self._remove(node)
            case events.TermsChanged(market=market, terms=terms):
                self._terms[market] = terms
                for window in self._windows.values():
                    if window.lead_us is None:
                        window.known_us = event.at_us
            case events.NodeCordoned(node=node, cordon=cordon):
                self._cordon(node, cordon.holder)
            case events.NodeUncordoned(node=node, holder=holder) if is_window(holder):
                self._windows[holder.removeprefix(MAINTENANCE)].cordons.discard(node)
            case events.Launched(workload=name, attempt=attempt):
                self._held[name] = {seat.node for seat in attempt.seats}
            case events.StopOrdered(workload=name) | events.Ended(workload=name):
                self._held.pop(name, None)
            case events.Broken(workload=name):
                self._held.pop(name, None)
            case events.RanksChanged(workload=name, ranks=ranks) if name in self._held:
                self._held[name] = _staying(ranks)
            case events.Cleared(resized=resized):
                self._clear(event)
                for line in resized:
                    if line.workload in self._held:
                        self._held[line.workload] = _staying(line.ranks)
            case events.Reserved(reservation=right):
                self._rights[right.reservation] = right
                self._check_sale(right)
            case events.ReservationDivided() | events.ReservationChanged():
                self._change_right(event)
            case _ if isinstance(event, events.MaintenanceEvent):
                self._of_window(event)
            case _:
                pass

    def _of_window(self, event: events.MaintenanceEvent) -> None:
        match event:
            case events.MaintenanceScheduled(maintenance=made):
                require(made.maintenance not in self._windows, 22, f"{made.maintenance} is twice")
                self._windows[made.maintenance] = Planned(
                    nodes=list(made.nodes),
                    start_us=made.window.start_us,
                    end_us=made.end_us,
                    known_us=event.at_us,
                    lead_us=None if made.lead_us is None else self._lead_us(made.nodes),
                )
            case events.MaintenanceChanged(maintenance=name, window=window, lead_us=lead_us):
                assert window.end_us is not None
                planned = self._windows[name]
                planned.start_us, planned.end_us = window.start_us, window.end_us
                planned.known_us = event.at_us
                planned.lead_us = None if lead_us is None else self._lead_us(planned.nodes)
            case events.MaintenanceBegun(maintenance=name):
                self._begin(name, event.at_us)
            case events.MaintenanceEnded(maintenance=name, is_cancelled=is_cancelled):
                gone = self._windows.pop(name)
                is_due = is_cancelled or (gone.has_begun and event.at_us == gone.end_us)
                require(is_due, INVARIANT, f"{name} ended at {event.at_us}, not at {gone.end_us}")
                require(not gone.cordons, INVARIANT, f"{name} left {sorted(gone.cordons)} closed")

    def _begin(self, name: str, at_us: int) -> None:
        window = self._windows[name]
        require(not window.has_begun, INVARIANT, f"{name} began twice")
        lead_us = self._lead_us(window.nodes) if window.lead_us is None else window.lead_us
        due_us = max(window.known_us, window.start_us - lead_us)
        require(at_us == due_us, INVARIANT, f"{name} began at {at_us}, not at {due_us}")
        window.has_begun = True

    def _lead_us(self, nodes: Iterable[str]) -> int:
        """The longest notice and kill of these nodes' markets."""
        markets = {self._places[node][0] for node in nodes}
        return max(self._terms[it].notice_us + self._terms[it].kill_us for it in markets)

    def _cordon(self, node: str, holder: str) -> None:
        if not is_window(holder):
            return
        window = self._windows[holder.removeprefix(MAINTENANCE)]
        is_its = window.has_begun and node in window.nodes
        require(is_its, INVARIANT, f"{holder} closes {node}, which it does not empty")
        window.cordons.add(node)

    def _change_right(self, event: events.ReservationDivided | events.ReservationChanged) -> None:
        right = self._rights[event.reservation]
        if isinstance(event, events.ReservationDivided):
            self._rights[event.part.reservation] = event.part
            self._rights[event.reservation] = replace(right, shape=event.shape)
        elif event.state.is_over:
            del self._rights[event.reservation]
        else:
            window = replace(right.window, end_us=event.end_us)
            self._rights[event.reservation] = replace(right, window=window)

    def _remove(self, node: str) -> None:
        del self._places[node]
        for name, window in tuple(self._windows.items()):
            if node in window.nodes:
                window.nodes.remove(node)
                window.cordons.discard(node)
            if not window.nodes:
                del self._windows[name]

    def _clear(self, event: events.Cleared) -> None:
        for leaving in event.left:
            if leaving.stop is not None:
                self._held.pop(lines.name_of(leaving.demand), None)
        for name, window in self._windows.items():
            late = f"{name} stands after its end"
            require(not window.has_begun or event.at_us < window.end_us, INVARIANT, late)
            if not window.has_begun:
                continue
            nodes = set(window.nodes)
            missing = f"{name} has begun and {nodes - window.cordons} is open"
            require(nodes == window.cordons, INVARIANT, missing)
            stay = [who for who, held in self._held.items() if held & nodes]
            require(not stay, INVARIANT, f"{stay} works in {name} without a notice")
            for won in event.won:
                seats = {seat.node for seat in won.promise.seats}
                who = lines.name_of(won.demand)
                require(not seats & nodes, INVARIANT, f"{who} is promised seats in {name}")

    def _check_sale(self, sold: Reservation) -> None:
        """All that is reserved and in windows fits into each of its fabrics over a sold window.
        Other fabrics may lack nodes: a window can be forced onto what is sold. Grows with the
        square of what is reserved."""
        market, span = sold.market, sold.window
        sizes = dict.fromkeys((fabric for fabric, _ in sold.shape), 0)
        for of, fabric in self._places.values():
            if of == market and fabric in sizes:
                sizes[fabric] += 1
        taken: list[tuple[str, int, int, int | None]] = [
            (fabric, nodes, right.window.start_us, right.window.end_us)
            for right in self._rights.values()
            if right.market == market
            for fabric, nodes in right.shape
        ]
        for window in self._windows.values():
            places = (self._places[node] for node in window.nodes)
            taken += [
                (fabric, 1, window.start_us, window.end_us) for of, fabric in places if of == market
            ]
        starts = [max(span.start_us, at) for _, _, at, _ in taken]
        for at_us in (at for at in starts if span.end_us is None or at < span.end_us):
            for fabric, size in sizes.items():
                used = sum(
                    nodes
                    for of, nodes, start, end in taken
                    if of == fabric and start <= at_us and (end is None or at_us < end)
                )
                says = f"{used} of {size} nodes of {fabric} are sold or away at {at_us}"
                require(used <= size, INVARIANT, says)


def _staying(ranks: tuple[Rank, ...]) -> set[str]:
    """The nodes of the ranks that were not told to leave."""
    return {it.seat.node for it in ranks if it.leaving is None}
