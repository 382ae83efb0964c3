"""What owners waited for: nodes of their claims, and seats that were promised to them or to their
work on reservations while others held them."""

from parkade.core.reservations.reservation import Replacement
from parkade.core.state import events, lines
from parkade.core.state.world import World
from parkade.sim.whatif.timeline import Timeline


class Owners:
    """Follows the claims and reservations of a run."""

    def __init__(self, timeline: Timeline) -> None:
        self.claim_waits_us: list[int] = []
        """From a claim to its seats, or to its end without them."""

        self.waits_us: list[int] = []
        """For promised seats to be free, of claims and of work on reservations."""

        self.claimed = timeline.zeros()
        self._timeline = timeline
        self._claims: dict[str, tuple[int, int]] = {}
        """Of each claim, its GPUs that were handed over, and since when these."""

        self._waiting: dict[str, int] = {}
        """Since when a claim waits that never had nodes."""

        self._replacements: dict[str, tuple[Replacement, ...]] = {}
        self._waited: dict[str, tuple[int, int]] = {}

    def follow(self, event: events.AnyEvent, world: World) -> None:
        """The next event; `world` is that after it."""
        match event:
            case events.Launched(workload=name):
                self._has_waited(world, world.records.workloads[name].spec.capacity.reservation)
            case events.Claimed(claim=it):
                self._waiting[it.claim] = event.at_us
            case events.ClaimSeated(claim=name, nodes=nodes):
                if nodes is not None and not event.runs_there:
                    self._handed_over(name, nodes, event.at_us)
                self._has_waited(
                    world, world.records.claims[name].reservation, is_counted=nodes is None
                )
                self._look(world, name, event.at_us)
            case events.Unclaimed(claim=name):
                self._look(world, name, event.at_us)
                self._replacements.pop(name, None)
            case events.Cleared(claims=claims):
                for kept in claims:
                    self._replacements[kept.claim] = kept.replacements
                    self._look(world, kept.claim, event.at_us)
                moved = (*(it.demand for it in event.left), *(it.demand for it in event.won))
                for demand in moved:
                    if isinstance(demand, lines.ClaimDemand):
                        self._look(world, demand.claim, event.at_us)
            case _:
                pass

    def close(self) -> None:
        """What stands at the end is counted until then."""
        for gpus, since_us in self._claims.values():
            self._timeline.fill(self.claimed, gpus, since_us, self._timeline.end_us)

    def _look(self, world: World, name: str, at_us: int) -> None:
        """How many GPUs a claim has now."""
        claim = world.records.claims.get(name)
        is_seated = claim is not None and claim.seated_us is not None
        gpus = sum(seat.gpus for seat in claim.seats) if claim is not None and is_seated else 0
        if (is_seated or claim is None) and name in self._waiting:
            self.claim_waits_us.append(at_us - self._waiting.pop(name))
        before, since_us = self._claims.pop(name, (0, at_us))
        if gpus == before:
            at_us = since_us
        else:
            self._timeline.fill(self.claimed, before, since_us, at_us)
        if gpus:
            self._claims[name] = gpus, at_us

    def _handed_over(self, name: str, nodes: tuple[str, ...], at_us: int) -> None:
        """Of nodes in place of lost ones, each waits by itself."""
        self.waits_us += [
            at_us - it.promised_us
            for it in self._replacements.get(name, ())
            if it.is_busy and it.seat.node in nodes
        ]

    def _has_waited(
        self, world: World, reservation: str | None, *, is_counted: bool = True
    ) -> None:
        """Counts the wait that an event has added to a reservation's, if it has."""
        record = world.records.reservations.get(reservation or "")
        if record is None:
            return
        times, total_us = self._waited.get(record.reservation, (0, 0))
        waits = record.waits
        if waits.times > times and is_counted:
            self.waits_us.append(waits.total_us - total_us)
        self._waited[record.reservation] = (waits.times, waits.total_us)
