"""The watch over a fleet: symptoms in, decisions out, guards between.

A mutable container of frozen records, one a node, reporter, parent and budget, like the world: what
is decided is decided by the pure functions beside it. No clock; the present is passed in and never
runs back. A symptom costs its own node's records and its parents' (at most four), whatever the size
of the fleet; a tick costs the windows that close. Nodes are those of the topology, so nothing grows
with what reporters say.

Where an action takes time and its outcome counts (a drain that is refused spends no budget),
verdicts come undecided (`defers`): `permit` decides one when its turn comes, on all outcomes before
it, and `give_back` follows where the action was not done. What was held is asked for again when
`still_holds` says that it may be.
"""

import heapq
from collections.abc import Iterable
from typing import NamedTuple

from parkade.core.healing.guards import (
    ACTING,
    Breaker,
    GuardLimits,
    HoldReason,
    Rejected,
    Reporter,
    admit,
    ask,
    breaker_of,
    has_room,
    needs_second_source,
    reporter_at,
    taken_before,
)
from parkade.core.healing.judge import close_windows, judge, next_close, next_untold, note_repair
from parkade.core.healing.ladder import Repair
from parkade.core.healing.memory import NodeMemory, empty_memory
from parkade.core.healing.parents import (
    ParentLimits,
    ParentMemory,
    Suspicion,
    note_sick,
    parent_memory,
    suspicion_of,
)
from parkade.core.healing.policy import Policy
from parkade.core.healing.symptom import Source, Symptom
from parkade.core.healing.topology import NodePlace, ParentKind
from parkade.core.healing.verdict import Level, Verdict


class WatchSettings(NamedTuple):
    """`acts` False observes only: every action is held. `defers`: an action is decided by
    `permit`, not with its verdict."""

    policy: Policy
    guards: GuardLimits
    parents: ParentLimits
    acts: bool
    defers: bool


class Decision(NamedTuple):
    """A verdict. `is_allowed`: its action may be carried out; None where it asks for none, or that
    is not decided yet. `held` says why not."""

    verdict: Verdict
    is_allowed: bool | None
    held: HoldReason | None


class Observed(NamedTuple):
    """What follows from a symptom or from the passing of time."""

    decisions: tuple[Decision, ...]
    rejected: Rejected | None


def asks(verdict: Verdict) -> bool:
    """Whether a verdict asks for an action that takes a node or a device out of service."""
    return verdict.level.rank >= Level.DEGRADED.rank and verdict.action in ACTING


class FleetWatch:
    """See the module. `own_nodes` binds reporters that speak for several nodes; every node's own
    reporter has its name."""

    def __init__(
        self,
        places: tuple[NodePlace, ...],
        settings: WatchSettings,
        *,
        own_nodes: dict[str, frozenset[str]] | None = None,
    ) -> None:
        self.settings = settings
        self.rejections = dict.fromkeys(Rejected, 0)
        self._places = {place.node: place for place in places}
        self._own_nodes = own_nodes or {}
        self._memories = {node: empty_memory(node) for node in self._places}
        self._reporters: dict[str, Reporter] = {}
        self._parents: dict[tuple[ParentKind, str, str], ParentMemory] = {}
        self._members: dict[tuple[ParentKind, str], int] = {}
        for place in places:
            for parent in place.parents:
                self._members[parent] = self._members.get(parent, 0) + 1
        guards = settings.guards
        self.fleet = breaker_of(len(self._places), guards.fleet_share)
        self.fabrics: dict[str, Breaker] = {
            name: breaker_of(count, guards.fabric_share)
            for (kind, name), count in self._members.items()
            if kind is ParentKind.FABRIC
        }
        self._before: tuple[Breaker, str, Breaker] | None = None
        self._closes: list[tuple[int, str]] = []
        self._now_us = 0

    def observe(self, symptom: Symptom, now_us: int) -> Observed:
        """Takes a symptom in."""
        self._now_us = max(self._now_us, now_us)
        rejected = self._admit(symptom)
        if rejected is not None:
            self.rejections[rejected] += 1
            return Observed((), rejected)
        memory, verdicts = judge(
            self._memories[symptom.node], symptom, self._now_us, policy=self.settings.policy
        )
        self._keep(memory)
        return Observed(tuple(self._decide(verdict) for verdict in verdicts), None)

    def tick(self, now_us: int) -> tuple[Decision, ...]:
        """What the windows that closed by now found."""
        self._now_us = max(self._now_us, now_us)
        decisions: list[Decision] = []
        while self._closes and self._closes[0][0] <= self._now_us:
            _, node = heapq.heappop(self._closes)
            memory, verdicts = close_windows(
                self._memories[node], self._now_us, policy=self.settings.policy
            )
            if memory is not self._memories[node]:
                self._keep(memory)
            decisions += [self._decide(verdict) for verdict in verdicts]
        return tuple(decisions)

    def next_due_us(self) -> int | None:
        """When `tick` may have something to do."""
        return self._closes[0][0] if self._closes else None

    def next_untold_us(self) -> int | None:
        """See `judge.next_untold`, of all nodes. Costs the open windows."""
        found = (next_untold(self._memories[node]) for _, node in self._closes)
        return min((each for each in found if each is not None), default=None)

    def permit(self, verdict: Verdict, now_us: int) -> HoldReason | None:
        """Whether the action of a verdict may be carried out now: None, or why not. The outcome of
        the one before must be known: `give_back` where it was not done."""
        assert asks(verdict)
        self._now_us = max(self._now_us, now_us)
        fabric = self._places[verdict.node].fabric
        before = (self.fleet, fabric, self.fabrics[fabric])
        held = self._held(verdict)
        self._before = before if held is None else None
        return held

    def still_holds(self, verdict: Verdict, now_us: int) -> HoldReason | None:
        """What would hold an action that was held before; asking leaves no trace. While a verdict
        stands, the sources that led to it count, however long ago they spoke."""
        assert asks(verdict)
        self._now_us = max(self._now_us, now_us)
        doubt = self._held_by_doubt(verdict)
        if doubt is not None:
            return doubt
        limits, node = self.settings.guards, verdict.node
        fabric = self.fabrics[self._places[node].fabric]
        if not has_room(fabric, node, self._now_us, limits):
            return HoldReason.FABRIC_BUDGET
        if not has_room(self.fleet, node, self._now_us, limits):
            return HoldReason.FLEET_BUDGET
        return None

    def acted_before(self, taken: Iterable[tuple[str, int]]) -> None:
        """Nodes on which the program before this one acted, and when: they count in the budgets."""
        known = [(node, at_us) for node, at_us in taken if node in self._places]
        self.fleet = taken_before(self.fleet, known)
        for name, breaker in self.fabrics.items():
            own = [each for each in known if self._places[each[0]].fabric == name]
            self.fabrics[name] = taken_before(breaker, own)

    def stood_before(self, verdicts: Iterable[Verdict]) -> None:
        """Verdicts of the program before this one that stand: their nodes are sick."""
        for verdict in verdicts:
            if verdict.node in self._places and verdict.level.rank >= Level.DEGRADED.rank:
                self._note_sick(verdict, verdict.at_us)

    def give_back(self) -> None:
        """The action that was permitted last was not done: budgets are as before it was asked."""
        assert self._before is not None
        self.fleet, fabric, breaker = self._before
        self.fabrics[fabric], self._before = breaker, None

    def repaired(self, node: str, repair: Repair) -> None:
        """A repair of a known node ended."""
        self._keep(note_repair(self._memories[node], repair))

    def memory(self, node: str) -> NodeMemory:
        """What is remembered of a known node."""
        return self._memories[node]

    def suspicions(self) -> tuple[Suspicion, ...]:
        """Every parent that is suspected now."""
        limits = self.settings.parents
        found = [suspicion_of(each, self._now_us, limits) for each in self._parents.values()]
        return tuple(each for each in found if each is not None)

    def suspected_of(self, verdict: Verdict) -> tuple[Suspicion, ...]:
        """The parents of a verdict's node that are suspected now, for what it tells."""
        limits = self.settings.parents
        found = [
            suspicion_of(self._parents[key], self._now_us, limits)
            for key in self._parents_of(verdict)
            if key in self._parents
        ]
        return tuple(each for each in found if each is not None)

    def _admit(self, symptom: Symptom) -> Rejected | None:
        if symptom.node not in self._places:
            return Rejected.UNKNOWN_NODE
        name, limits = symptom.evidence.reporter, self.settings.guards
        if name not in self._own_nodes and name not in self._places:
            return Rejected.NOT_ITS_NODE
        own = self._own_nodes.get(name, frozenset({name}))
        reporter = self._reporters.get(name) or reporter_at(self._now_us, limits)
        reporter, rejected = admit(reporter, symptom, self._now_us, own_nodes=own, limits=limits)
        self._reporters[name] = reporter
        return rejected

    def _keep(self, memory: NodeMemory) -> None:
        before = next_close(self._memories[memory.node])
        self._memories[memory.node] = memory
        closes_us = next_close(memory)
        if closes_us is not None and closes_us != before:
            heapq.heappush(self._closes, (closes_us, memory.node))

    def _decide(self, verdict: Verdict) -> Decision:
        if verdict.level.rank < Level.DEGRADED.rank:
            return Decision(verdict, None, None)
        self._note_sick(verdict, self._now_us)
        if not asks(verdict) or (self.settings.defers and self.settings.acts):
            return Decision(verdict, None, None)
        held = self._held(verdict)
        return Decision(verdict, held is None, held)

    def _held(self, verdict: Verdict) -> HoldReason | None:
        """What holds an action; where nothing does, the budgets have counted it."""
        if not self.settings.acts:
            return HoldReason.OBSERVE_ONLY
        doubt = self._held_by_doubt(verdict)
        if doubt is not None:
            return doubt
        limits, node = self.settings.guards, verdict.node
        fabric = self._places[node].fabric
        fabric_after, fits_fabric = ask(self.fabrics[fabric], node, self._now_us, limits)
        if not fits_fabric:
            self.fabrics[fabric] = fabric_after
            return HoldReason.FABRIC_BUDGET
        self.fleet, fits_fleet = ask(self.fleet, node, self._now_us, limits)
        if not fits_fleet:
            return HoldReason.FLEET_BUDGET
        self.fabrics[fabric] = fabric_after
        return None

    def _held_by_doubt(self, verdict: Verdict) -> HoldReason | None:
        """Whether it is doubted that the node itself is sick; asking leaves no trace."""
        if self.suspected_of(verdict):
            return HoldReason.PARENT_SUSPECTED
        limits = self.settings.guards
        if needs_second_source(self.fleet, self._sources_of(verdict), self._now_us, limits):
            return HoldReason.SECOND_SOURCE_NEEDED
        return None

    def _sources_of(self, verdict: Verdict) -> frozenset[Source]:
        """The kinds of sensors that led to a verdict, or lately saw something worth a warning on
        its node."""
        return self._sources(verdict.node).union(verdict.sources)

    def _sources(self, node: str) -> frozenset[Source]:
        since_us = self._now_us - self.settings.guards.source_window_us
        return frozenset(
            source
            for track in self._memories[node].tracks
            if track.burst.last_us >= since_us and track.finding.level.rank >= Level.WARN.rank
            for source in track.sources
        )

    def _class_of(self, signal: str) -> str:
        """A signal that has a row, or its family: a reporter cannot invent ever new ones."""
        return signal if signal in self.settings.policy.rules else signal.partition("/")[0]

    def _note_sick(self, verdict: Verdict, at_us: int) -> None:
        """Notes the node with its parents."""
        limits = self.settings.parents
        for key in self._parents_of(verdict):
            kind, name, _ = key
            parent = self._parents.get(key)
            if parent is None:
                parent = parent_memory(kind, name, self._members[kind, name], limits)
            self._parents[key] = note_sick(parent, verdict.node, at_us, limits)

    def _parents_of(self, verdict: Verdict) -> list[tuple[ParentKind, str, str]]:
        """A driver is suspected by kind of signal, all others by whatever befalls their nodes."""
        return [
            (kind, name, self._class_of(verdict.signal) if kind is ParentKind.DRIVER else "")
            for kind, name in self._places[verdict.node].parents
        ]
