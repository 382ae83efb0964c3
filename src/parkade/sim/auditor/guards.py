"""A second opinion on the guards of automatic action, from events alone.

A *take* is a cordon that Mars sets: the node goes out of service on a sensor's word. While the
budgets hold, counted anew here:

- Within an hour no more nodes of a fabric, a pool or the fleet are taken than its share of the
  nodes, at least one, and one more: the node that a breaker lets through after half an hour. A
  node that was taken within the hour is not counted again.
- From three taken nodes of a pool (the fleet, where there is one pool) on, two kinds of sensors
  saw the fault of the next within ten minutes.
- None is taken while three nodes of its fabric, rack, switch or, by the same signal, driver fell
  sick within five minutes (six, where more than a hundred share it).

Worked example. A fleet of 24 nodes in two fabrics of 12, shares 1/10 and 1/20: one node of each
fabric, one of the fleet. n1 is taken at 10:00, n2 at 10:31 as the probe: two within the hour. A
third before 11:00 is a breach.
"""

from collections import deque
from dataclasses import dataclass, field

from parkade.core.fleet.node import MARS
from parkade.core.healing.symptom import Source
from parkade.core.healing.verdict import Level
from parkade.core.state import events
from parkade.core.units.fraction import Fraction
from parkade.core.units.time import HOUR_US, MINUTE_US
from parkade.sim.findings import require

PROBES = 1
MASS = 3
SEEN_US = 10 * MINUTE_US
TOGETHER_US = 5 * MINUTE_US
SICK, SICK_OF_MANY = 3, 6
MANY = 100


@dataclass(kw_only=True)
class Place:
    """Where a node stands."""

    pool: str
    fabric: str
    shared: tuple[tuple[str, str], ...] = ()
    """(kind, name within the pool) of its rack, switch and driver."""


@dataclass(kw_only=True)
class Budget:
    """What was taken of one budget. `most`: the largest that held within the last hour, since
    `most_us`."""

    taken: dict[str, int] = field(default_factory=dict)
    sizes: deque[tuple[int, int]] = field(default_factory=deque)


class GuardsAuditor:
    """Reads events one by one; Breach where a take is one too many."""

    def __init__(self) -> None:
        self._places: dict[str, Place] = {}
        self._budgets: dict[str, Budget] = {}
        self._seen: dict[str, deque[tuple[int, frozenset[Source]]]] = {}
        self._sick: dict[tuple[str, ...], dict[str, int]] = {}
        self._signals: dict[str, set[str]] = {}
        self._is_limited = True
        self._fabric = Fraction(numerator=1, denominator=10)
        self._fleet = Fraction(numerator=1, denominator=20)

    def read(self, event: events.AnyEvent) -> None:
        """The next event."""
        match event:
            case events.PoolOpened(nodes=nodes) | events.NodesAdded(nodes=nodes):
                for node in nodes:
                    fabric = f"{node.market}/{node.fabric}"
                    self._places[node.node] = Place(pool=node.pool, fabric=fabric)
                self._size(event.at_us)
            case events.NodeRemoved(node=name):
                self._places.pop(name, None)
                self._size(event.at_us)
            case events.SurroundingsKnown(pool=pool, nodes=known):
                for place in self._places.values():
                    place.shared = () if place.pool == pool else place.shared
                for each in known:
                    named = (("rack", each.rack), ("switch", each.switch), ("driver", each.driver))
                    self._places[each.node].shared = tuple(
                        (kind, f"{pool}/{name}") for kind, name in named if name is not None
                    )
            case events.AutomationSet(automation=automation):
                self._is_limited = automation.is_limited
                self._fabric = automation.guards.fabric_share
                self._fleet = automation.guards.fleet_share
                self._size(event.at_us)
            case events.VerdictGiven(node=name, verdict=verdict):
                self._seen.setdefault(name, deque(maxlen=64)).append(
                    (event.at_us, frozenset(verdict.sources))
                )
                if verdict.level.rank >= Level.DEGRADED.rank:
                    self._signals.setdefault(name, set()).add(verdict.signal)
                    for key in self._parents(name, verdict.signal):
                        self._sick.setdefault(key, {})[name] = event.at_us
            case events.IncidentOpened(node=name, incident=incident):
                self._signals[name] = {incident.signal}
            case events.NodeCordoned(node=name, cordon=cordon):
                if cordon.holder == MARS:
                    self._take(name, event.at_us)
            case _:
                pass

    def _take(self, name: str, at_us: int) -> None:
        if not self._is_limited:
            return
        place = self._places[name]
        self._check_parents(name, at_us)
        pools = {each.pool for each in self._places.values()}
        of_sources = f"pool {place.pool}" if len(pools) > 1 else "fleet"
        under_action = self._within(of_sources, at_us)
        sources = {
            source
            for seen_us, some in self._seen.get(name, ())
            if at_us - seen_us <= SEEN_US
            for source in some
        }
        is_sure = len(under_action) < MASS or len(sources) >= 2
        require(is_sure, 24, f"{name} was taken on the word of one kind of sensor: {under_action}")
        for budget in ("fleet", f"pool {place.pool}", f"fabric {place.fabric}"):
            book = self._budgets[budget]
            taken = self._within(budget, at_us)
            if name in taken:
                continue
            most = max(size for _, size in book.sizes)
            is_within = len(taken) < most + PROBES
            words = f"{name} was taken after {sorted(taken)} of {budget}, whose budget is {most}"
            require(is_within, 24, words)
            book.taken[name] = at_us

    def _within(self, budget: str, at_us: int) -> dict[str, int]:
        """The nodes that were taken of a budget within the last hour."""
        book = self._budgets[budget]
        book.taken = {it: when for it, when in book.taken.items() if at_us - when < HOUR_US}
        while len(book.sizes) > 1 and book.sizes[1][0] <= at_us - HOUR_US:
            book.sizes.popleft()
        return book.taken

    def _check_parents(self, name: str, at_us: int) -> None:
        for signal in self._signals.get(name, ()):
            for key in self._parents(name, signal):
                if key[0] == "driver" and len(self._signals[name]) > 1:
                    continue
                sick = self._sick.get(key, {})
                together = {it for it, when in sick.items() if at_us - when < TOGETHER_US} | {name}
                members = sum(key[1] in dict.fromkeys(self._names(it)) for it in self._places)
                least = SICK if members <= MANY else SICK_OF_MANY
                is_alone = len(together) < least
                words = f"{name} was taken while {sorted(together)} of {key[0]} {key[1]} are sick"
                require(is_alone, 24, words)

    def _parents(self, name: str, signal: str) -> list[tuple[str, ...]]:
        place = self._places[name]
        found: list[tuple[str, ...]] = [("fabric", place.fabric)]
        for kind, shared in place.shared:
            found.append((kind, shared, signal) if kind == "driver" else (kind, shared))
        return found

    def _names(self, node: str) -> list[str]:
        place = self._places[node]
        return [place.fabric, *(name for _, name in place.shared)]

    def _size(self, at_us: int) -> None:
        """The budgets as the nodes and shares are from now on."""
        fabrics: dict[str, int] = {}
        pools: dict[str, int] = {}
        for place in self._places.values():
            fabrics[place.fabric] = fabrics.get(place.fabric, 0) + 1
            pools[place.pool] = pools.get(place.pool, 0) + 1
        sizes = {f"fabric {it}": _part(nodes, self._fabric) for it, nodes in fabrics.items()}
        parts = {f"pool {it}": _part(nodes, self._fleet) for it, nodes in pools.items()}
        fleet = _part(len(self._places), self._fleet)
        sizes |= parts
        sizes["fleet"] = max(fleet, sum(parts.values())) if len(pools) > 1 else fleet
        for name, size in sizes.items():
            self._budgets.setdefault(name, Budget()).sizes.append((at_us, size))


def _part(nodes: int, share: Fraction) -> int:
    """A share of the nodes, at least one."""
    return max(1, nodes * share.numerator // share.denominator)
