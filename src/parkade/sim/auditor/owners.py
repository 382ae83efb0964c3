"""An auditor of what owners were promised, from events alone and with books of its own.

For claims and for workloads on a reservation it holds two rules of the design. An owner waits for
its seats at most notice + kill + turnaround, counted from when the last of them was chosen for it,
also where it gives up before it has them. And a seat in its own fabrics that it was promised or
holds is chosen anew only when a node of it left play: it failed, became suspect, was cordoned or
drained. What its reservation has beyond its own shape, with all its demands together, may be taken
back where another right needs the room.

It reads no record of the world: nodes, rights and seats are its own, so that a fault of the core's
indexes does not hide one of the core's decisions.
"""

from collections.abc import Callable, Iterable

import msgspec

from parkade.core.fleet.node import Health
from parkade.core.state import events, lines
from parkade.core.workloads.life import Cause, Phase, Why
from parkade.core.workloads.spec import Capacity, CapacityKind
from parkade.sim.auditor.waits import Lost, Wait, lost_by


def _nothing_excused(_from_us: int, _to_us: int) -> int:
    return 0


FINAL = (Cause.EXPIRED, Cause.CANCELLED)
"""Its right or its own will ended it: nothing was taken back."""

BEYOND_ITS_RIGHT = (
    Why.RESERVATION_FULL,
    Why.RESERVATION_NOT_IN_FORCE,
    Why.RESERVATION_ENDED,
    Why.MAX_SPEND,
)
"""What asks for more than its reservation has waits for its own org."""

RIGHT_IS_OVER = (Why.RESERVATION_NOT_IN_FORCE, Why.RESERVATION_ENDED)


class OwnersAudit(msgspec.Struct, kw_only=True):
    """Counts; and each breach in words, the first few of them."""

    bound_us: int = 0
    """Notice + kill + turnaround, of the last market opened."""

    seated: int = 0
    """How often seats were handed over."""

    waits_us: list[int] = msgspec.field(default_factory=list)
    """From asking to seats in hand, of all that were seated at least once; and until they gave up,
    of those that did so after more than the bound and asked for what they had a right to."""

    gave_up: dict[str, int] = msgspec.field(default_factory=dict)
    """By the last reason given: those that gave up after more than the bound, without seats."""

    over_bound: int = 0
    """How often the last chosen seat came later than the bound, while all its nodes were well."""

    longest_us: int = 0
    """The longest wait from when the last seat was chosen, while all its nodes were well."""

    rechosen: int = 0
    """How often seats that were promised or held were taken back or exchanged."""

    promised_well: int = 0
    """Of these: promised only, and all their nodes were well."""

    held_well: int = 0
    """Of these: held already, and all their nodes were well."""

    kept_waiting: dict[str, int] = msgspec.field(default_factory=dict)
    """By the last reason given: those that were promised nothing for longer than `bound_us`."""

    breaches: list[str] = msgspec.field(default_factory=list)


class OwnersAuditor:
    """Reads events one by one. `excused_us` says how much of a span is not Parkade's own: what a
    simulation broke on purpose."""

    def __init__(self, excused_us: Callable[[int, int], int] = _nothing_excused) -> None:
        self.audit = OwnersAudit()
        self._excused_us = excused_us
        self._bounds_us: dict[str, int] = {}
        self._markets: dict[str, str] = {}
        self._pools: dict[str, str] = {}
        self._fabrics: dict[str, str] = {}
        self._own: dict[str, tuple[tuple[str, int], ...]] = {}
        self._silent: set[str] = set()
        self._waits: dict[str, Wait] = {}
        self._was_seated: set[str] = set()
        self._health: dict[str, Health] = {}
        self._cordons: dict[str, set[str]] = {}
        self._draining: set[str] = set()
        self._runs_on: dict[str, tuple[str, ...]] = {}
        self._started: dict[str, tuple[str, tuple[str, ...]]] = {}
        """By claim: of which reservation, and where its job runs that the engine started."""

    def read(self, event: events.AnyEvent) -> None:
        """The next event."""
        match event:
            case events.PoolOpened() | events.NodesAdded():
                self._add_nodes(event)
            case events.TermsChanged(market=market, terms=terms):
                self._bounds_us[market] = max(self._bounds_us[market], terms.leave_us)
            case events.Reserved(reservation=reservation):
                self._markets[reservation.reservation] = reservation.market
                self._own[reservation.reservation] = reservation.shape
            case events.ReservationDivided(reservation=name, shape=shape, part=part):
                self._markets[part.reservation] = part.market
                self._own |= {name: shape, part.reservation: part.shape}
                for wait in self._waits.values():
                    wait.own_shape = self._own.get(wait.reservation, ())
            case events.ReachabilityChanged(pool=pool, is_reachable=is_reachable):
                self._silent.discard(pool) if is_reachable else self._silent.add(pool)
                if not is_reachable:
                    self._excuse({node for node, of in self._pools.items() if of == pool})
            case events.NodeHealthSet(node=node, health=health):
                self._health[node] = health
                self._excuse({node} if health is not Health.HEALTHY else set())
            case events.NodeCordoned(node=node, cordon=cordon):
                self._cordons.setdefault(node, set()).add(cordon.holder)
                self._excuse({node})
            case events.NodeUncordoned(node=node, holder=holder):
                self._cordons[node].discard(holder)
            case events.NodeDraining(node=node):
                self._draining.add(node)
                self._excuse({node})
            case events.NodeUndrained(node=node):
                self._draining.discard(node)
            case events.Claimed(claim=claim) if claim.runs_on:
                # It waits for nothing: its job runs. Others on its nodes are given other ones.
                self._started[claim.claim] = (claim.reservation, claim.runs_on)
                self._excuse(set(claim.runs_on))
            case events.Claimed(claim=claim):
                market = self._markets.get(claim.reservation, "")
                self._ask(claim.claim, market, claim.reservation, event.at_us)
            case events.Unclaimed(claim=name):
                self._started.pop(name, None)
                self._give_up(name, event.at_us)
                self._waits.pop(name, None)
            case events.EntryTaken(workload=name, capacity=capacity):
                self._take_entry(name, capacity, event.at_us)
            case events.Submitted(workload=workload) | events.Resubmitted(workload=workload):
                capacity = workload.spec.capacity
                if capacity.kind is CapacityKind.RESERVATION:
                    of = capacity.reservation or ""
                    self._ask(workload.workload, workload.market, of, event.at_us)
                    self._waits[workload.workload].is_paused = workload.phase is Phase.HELD
            case events.Cleared():
                self._clear(event)
            case events.ClaimSeated(runs_there=True):
                pass
            case events.ClaimSeated(claim=name, nodes=tuple(nodes)):
                self._complete(name, nodes, event.at_us)
            case events.ClaimSeated(claim=name):
                self._seat(name, event.at_us)
            case events.Launched(workload=name, attempt=attempt):
                self._runs_on[name] = tuple(seat.node for seat in attempt.seats)
                self._seat(name, event.at_us)
            case events.StopOrdered(workload=name, stop=stop) if stop.cause is Cause.OPERATOR:
                # A drain took its seats, however well they are by the time that others are chosen.
                self._end(name, event.at_us, is_over=False)
            case events.Ended(workload=name, phase=phase):
                self._end(name, event.at_us, is_over=phase.is_ended)
            case events.PhaseChanged(workload=name, phase=phase) if phase.is_ended:
                self._give_up(name, event.at_us)
                self._waits.pop(name, None)
            case events.PhaseChanged(workload=name) | events.DependenciesMet(workload=name) if (
                name in self._waits
            ):
                self._turn(name, event)
            case _:
                pass

    def close(self, at_us: int) -> OwnersAudit:
        """The day is over: who still waits longer than the bound is counted."""
        for name, wait in self._waits.items():
            self._judge_unseated(name, wait, at_us)
        return self.audit

    def _ask(self, name: str, market: str, reservation: str, at_us: int) -> None:
        self._waits[name] = Wait(
            asked_us=at_us,
            market=market,
            reservation=reservation,
            own_shape=self._own.get(reservation, ()),
        )

    def _take_entry(self, name: str, capacity: Capacity, at_us: int) -> None:
        """What waits asks anew; what runs has what it holds by its right from now on."""
        self._give_up(name, at_us)
        before = self._waits.pop(name, None)
        if capacity.kind is not CapacityKind.RESERVATION:
            return
        of = capacity.reservation or ""
        self._ask(name, self._markets.get(of, ""), of, at_us)
        wait = self._waits[name]
        wait.is_paused = before is not None and before.is_paused
        if name in self._runs_on:
            wait.chosen_us = dict.fromkeys(self._runs_on[name], at_us)
            wait.promised_us, wait.is_held = at_us, True

    def _turn(self, name: str, event: events.PhaseChanged | events.DependenciesMet) -> None:
        """Held or let go: what it was promised falls away, and it asks anew."""
        self._give_up(name, event.at_us)
        wait = self._waits[name]
        wait.asked_us, wait.chosen_us, wait.promised_us = event.at_us, {}, None
        wait.is_paused = event.phase is Phase.HELD

    def _give_up(self, name: str, at_us: int) -> None:
        """An owner does not wait any longer; what it waited until now counts."""
        wait = self._waits.get(name)
        if wait is None or wait.is_paused:
            return
        self._judge_unseated(name, wait, at_us)
        waited_us = at_us - wait.asked_us
        if wait.is_held or name in self._was_seated or waited_us <= self._bound_us(wait):
            return
        self.audit.gave_up[wait.why] = self.audit.gave_up.get(wait.why, 0) + 1
        if wait.why not in BEYOND_ITS_RIGHT:
            self.audit.waits_us.append(waited_us)

    def _judge_unseated(self, name: str, wait: Wait, at_us: int) -> None:
        """What an owner waits for and does not have."""
        if wait.is_paused:
            return
        for node, chosen_us in wait.replacing_us.items():
            self._judge_span(name, [node], chosen_us, self._bound_us(wait), at_us)
        if wait.chosen_us and not wait.is_held:
            self._judge_wait(name, wait, at_us)
        elif not wait.chosen_us:
            self._judge_delay(wait, at_us)

    def _add_nodes(self, event: events.PoolOpened | events.NodesAdded) -> None:
        if event.market is not None:
            self.audit.bound_us = event.market.terms.leave_us
            self._bounds_us[event.market.market] = event.market.terms.leave_us
        self._health.update((node.node, node.health) for node in event.nodes)
        self._pools.update((node.node, node.pool) for node in event.nodes)
        self._fabrics.update((node.node, node.fabric) for node in event.nodes)

    def _excuse(self, nodes: set[str]) -> None:
        for wait in self._waits.values():
            if not nodes.isdisjoint(wait.chosen_us):
                wait.is_excused = True
            for node in nodes:
                wait.replacing_us.pop(node, None)

    def _bound_us(self, wait: Wait) -> int:
        return self._bounds_us.get(wait.market, self.audit.bound_us)

    def _clear(self, event: events.Cleared) -> None:
        won = {lines.name_of(it.demand): it.promise for it in event.won}
        lost: list[Lost] = []
        for leaving in event.left:
            name = lines.name_of(leaving.demand)
            wait = self._waits.get(name)
            if wait is None or name in won:
                continue
            has_right = leaving.why not in RIGHT_IS_OVER
            if has_right and (leaving.stop is None or leaving.stop.cause not in FINAL):
                lost += lost_by(name, wait, set())
            wait.chosen_us, wait.is_held, wait.why = {}, False, leaving.why
            wait.replacing_us = {}
        for kept in event.claims:
            self._keep(kept, event.at_us)
        for waiting in event.waiting:
            wait = self._waits.get(lines.name_of(waiting.demand))
            if wait is not None:
                wait.why = waiting.why
        for name, promise in won.items():
            wait = self._waits.get(name)
            if wait is None:
                continue
            nodes = {seat.node for seat in promise.seats}
            lost += lost_by(name, wait, nodes)
            if wait.promised_us is None:
                wait.promised_us = event.at_us
                self._judge_delay(wait, event.at_us)
            wait.chosen_us = {node: wait.chosen_us.get(node, event.at_us) for node in nodes}
            wait.is_held = False
            wait.replacing_us = {}
            wait.is_excused = not all(map(self._is_well, nodes))
        for one in lost:
            self._judge_choice(one, event.at_us)

    def _keep(self, kept: lines.ClaimKept, at_us: int) -> None:
        """A claim that holds nodes loses those that are not well, and none besides."""
        name, wait = kept.claim, self._waits[kept.claim]
        nodes = {seat.node for seat in kept.seats}
        lost = wait.chosen_us.keys() - nodes
        self.audit.rechosen += bool(lost)
        if self._is_own(name, wait.chosen_us.keys()) and any(map(self._is_well, lost)):
            self.audit.held_well += 1
            self._tell(f"{name} lost {sorted(lost)}, which it held, at {at_us}: some were well")
        for node, chosen_us in wait.replacing_us.items():
            if self._is_well(node) and node not in {it.seat.node for it in kept.replacements}:
                self.audit.promised_well += 1
                self._tell(f"{name} lost {node}, promised at {chosen_us}, at {at_us}: it was well")
        wait.chosen_us = {node: wait.chosen_us[node] for node in nodes}
        wait.replacing_us = {
            it.seat.node: wait.replacing_us.get(it.seat.node, at_us)
            for it in kept.replacements
            if self._is_well(it.seat.node)
        }

    def _complete(self, name: str, nodes: tuple[str, ...], at_us: int) -> None:
        """Nodes in place of lost ones are handed over."""
        wait = self._waits[name]
        for node in nodes:
            chosen_us = wait.replacing_us.pop(node, None)
            wait.chosen_us[node] = at_us if chosen_us is None else chosen_us
            if chosen_us is not None:
                self._judge_span(name, [node], chosen_us, self._bound_us(wait), at_us)

    def _judge_choice(self, lost: Lost, at_us: int) -> None:
        """Seats that it had are gone: was a node of them not well? All that others have after the
        clearing is known here."""
        self.audit.rechosen += 1
        if self._is_own(lost.name, lost.nodes) and all(map(self._is_well, lost.nodes)):
            self.audit.held_well += lost.was_held
            self.audit.promised_well += not lost.was_held
            had = "held" if lost.was_held else "was promised"
            self._tell(
                f"{lost.name} lost {list(lost.lost)}, which it {had}, at {at_us}: all were well"
            )

    def _is_own(self, name: str, nodes: Iterable[str]) -> bool:
        """Whether all these nodes of a demand are in its own fabrics, and no more of each than its
        reservation has left beside what its other demands have, and its jobs that run."""
        wait, nodes = self._waits[name], tuple(nodes)
        if not wait.own_shape:
            return True
        left = self._left_of(wait)
        others = [
            node
            for other, it in self._waits.items()
            if other != name and it.reservation == wait.reservation
            for node in it.chosen_us
        ]
        for node in (*nodes, *others):
            left[self._fabrics[node]] = left.get(self._fabrics[node], 0) - 1
        return all(left[self._fabrics[node]] >= 0 for node in nodes)

    def _left_of(self, wait: Wait) -> dict[str, int]:
        """Its reservation's shape without jobs that the engine started: where they run, and what of
        them is in no fabric of the shape, in any."""
        left, elsewhere = dict(wait.own_shape), 0
        for reservation, nodes in self._started.values():
            for node in nodes if reservation == wait.reservation else ():
                if left.get(self._fabrics[node], 0):
                    left[self._fabrics[node]] -= 1
                else:
                    elsewhere += 1
        return {fabric: count - elsewhere for fabric, count in left.items()}

    def _is_well(self, node: str) -> bool:
        """A node on which a job runs that the engine started is as one that broke."""
        return (
            self._health[node] is Health.HEALTHY
            and not self._cordons.get(node)
            and node not in self._draining
            and self._pools.get(node) not in self._silent
            and not any(node in nodes for _, nodes in self._started.values())
        )

    def _seat(self, name: str, at_us: int) -> None:
        wait = self._waits.get(name)
        if wait is None:
            return
        self._judge_wait(name, wait, at_us)
        wait.is_held = True
        self.audit.seated += 1
        if name not in self._was_seated:
            self._was_seated.add(name)
            self.audit.waits_us.append(at_us - wait.asked_us)

    def _judge_delay(self, wait: Wait, at_us: int) -> None:
        if at_us - wait.asked_us > self._bound_us(wait):
            kept = self.audit.kept_waiting
            kept[wait.why] = kept.get(wait.why, 0) + 1

    def _judge_wait(self, name: str, wait: Wait, at_us: int) -> None:
        assert wait.chosen_us, f"{name} waits for no seats"
        chosen_us = max(wait.chosen_us.values())
        if not wait.is_excused:
            self._judge_span(name, sorted(wait.chosen_us), chosen_us, self._bound_us(wait), at_us)

    def _judge_span(
        self, name: str, nodes: list[str], chosen_us: int, bound_us: int, at_us: int
    ) -> None:
        waited_us = at_us - chosen_us
        waited_us -= self._excused_us(chosen_us, at_us) if waited_us > bound_us else 0
        self.audit.longest_us = max(self.audit.longest_us, waited_us)
        if waited_us > bound_us:
            self.audit.over_bound += 1
            self._tell(
                f"{name} waited {waited_us / 1e6:g} s for {nodes} until {at_us},"
                f" the bound is {bound_us / 1e6:g} s"
            )

    def _end(self, name: str, at_us: int, *, is_over: bool) -> None:
        self._runs_on.pop(name, None)
        wait = self._waits.get(name)
        if wait is None:
            return
        if is_over:
            del self._waits[name]
        elif wait.is_held:
            # Its seats are gone, what it was promised meanwhile stays.
            wait.asked_us, wait.chosen_us, wait.is_held, wait.promised_us = at_us, {}, False, None

    def _tell(self, text: str) -> None:
        if len(self.audit.breaches) < 20:
            self.audit.breaches.append(text)
