"""A small market for one story: people act at once, time goes on when told, and seats, stops and
money are noted. Times are seconds from the opening."""

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from parkade.core.fleet.market import MarketTerms
from parkade.core.state import commands, events, lines
from parkade.core.state.world import World
from parkade.core.units.money import MICROS
from parkade.core.units.refusal import Refusal
from parkade.core.units.time import HOUR_US, SECOND_US
from parkade.sim.dynamics.day import START_US, Day
from parkade.sim.dynamics.demand import GPUS, Claim, Demand, Job, Outage, Owner
from parkade.sim.dynamics.opening import TERMS, Fabrics, fund, open_pool, sell

MINUTE = 60
HOUR = 3600
QUIET = Demand(jobs=(), claims=(), outages=())


class Scene:
    """One market with a public floor of 1 and no buffer. A refused command ends the program."""

    def __init__(
        self,
        fabrics: dict[str, int],
        *,
        orgs: tuple[str, ...],
        owners: tuple[Owner, ...] = (),
        turnaround: int = 0,
    ) -> None:
        self.seated_us: dict[str, int] = {}
        self.stops: dict[str, list[str]] = {}
        self._refusals: list[Refusal] = []
        self._jobs = 0
        terms = replace(
            TERMS,
            turnaround_us=turnaround * SECOND_US,
            buffer_nodes=0,
            public_floor_micros=MICROS,
            retention_us=100 * HOUR_US,
        )
        names = {
            fabric: tuple(f"{fabric}{number:02}" for number in range(1, nodes + 1))
            for fabric, nodes in fabrics.items()
        }
        self.day = Day(QUIET, (self,), opens=_opening(names, terms, orgs, owners))

    def until(self, seconds: float) -> None:
        """Time goes on."""
        self.day.run(round(seconds * SECOND_US))

    def later(self, seconds: float, action: Callable[[], object]) -> None:
        """Something happens at an instant to come."""
        self.day.at(START_US + round(seconds * SECOND_US), action)

    def bid(
        self,
        org: str,
        limit: float,
        *,
        nodes: int = 1,
        gpus: int = GPUS,
        work: float = 48 * HOUR,
        **options: str | bool,
    ) -> str:
        """A spot workload; `options` are fields of the spec that not every version knows."""
        return self._submit(
            org,
            "spot",
            shape=(nodes, gpus),
            limit_micros=round(limit * MICROS),
            work=work,
            options=tuple(options.items()),
        )

    def window(self, org: str, *, hours: float = 8) -> str:
        """An on-demand workload of one node."""
        return self._submit(org, "on-demand", shape=(1, GPUS), work=hours * HOUR / 2)

    def claim(self, reservation: str, nodes: int) -> str:
        """The owner's claim, for two days."""
        claim = Claim(at_us=0, reservation=reservation, nodes=nodes, span_us=48 * HOUR_US)
        name = self.day.claim(claim)
        assert name is not None, self._refusals
        return name

    def cordon(self, node: str, *, hours: float) -> None:
        """No new work on a node, for so long."""
        self._break(node, hours, is_failure=False)

    def fail(self, node: str, *, hours: float) -> None:
        """A node breaks, for so long."""
        self._break(node, hours, is_failure=True)

    def minutes_from(self, name: str, seconds: float) -> float | None:
        """From an instant until a workload or claim first had its seats; None: never."""
        seated_us = self.seated_us.get(name)
        if seated_us is None:
            return None
        return (seated_us - START_US) / SECOND_US / MINUTE - seconds / MINUTE

    def revenue_per_hour(self) -> float:
        """What all that runs now pays per hour, in whole units."""
        return sum(
            attempt.rates[-1].price_micros * attempt.gpus / MICROS
            for name in self.day.world.live
            if (attempt := self.day.world.records.workloads[name].attempt) is not None
        )

    def gpu_hours_by_org(self) -> dict[str, float]:
        """GPU-hours that were billed so far."""
        found: dict[str, float] = {}
        for org, use in self.day.world.records.use_by_day.items():
            found[org] = sum(use.values()) / HOUR_US
        return found

    def happened(self, event: events.AnyEvent, _world: World) -> None:
        """Notes seats and stops."""
        match event:
            case events.Launched(workload=name) | events.ClaimSeated(claim=name):
                self.seated_us.setdefault(name, event.at_us)
            case events.StopOrdered(workload=name, stop=stop):
                self.stops.setdefault(name, []).append(stop.cause.value)
            case events.Cleared(left=left):
                for leaving in left:
                    if leaving.stop is not None:
                        name = lines.name_of(leaving.demand)
                        self.stops.setdefault(name, []).append(leaving.stop.cause.value)
            case _:
                pass

    def passed(self, _world: World, _now_us: int) -> None:
        """Nothing is added up."""

    def cleared(self, _cpu_s: float) -> None:
        """Nothing is timed."""

    def refused(self, _command: commands.AnyCommand, refusal: Refusal) -> None:
        """Kept for the message of an assertion."""
        self._refusals.append(refusal)

    def _submit(
        self,
        org: str,
        capacity: str,
        *,
        shape: tuple[int, int],
        work: float,
        limit_micros: int | None = None,
        options: tuple[tuple[str, str | bool], ...] = (),
    ) -> str:
        self._jobs += 1
        job = Job(
            number=self._jobs,
            at_us=0,
            org=org,
            capacity=capacity,
            nodes=shape[0],
            gpus=shape[1],
            limit_micros=limit_micros,
            work_us=round(work * SECOND_US),
            starting_us=5 * SECOND_US,
            saving_us=20 * SECOND_US,
            patience_us=100 * HOUR_US,
            options=options,
        )
        name = self.day.submit(job)
        assert name is not None, self._refusals
        return name

    def _break(self, node: str, hours: float, *, is_failure: bool) -> None:
        span_us = round(hours * HOUR_US)
        self.day.break_node(Outage(at_us=0, node=node, is_failure=is_failure, span_us=span_us))


def _opening(
    names: Fabrics, terms: MarketTerms, orgs: tuple[str, ...], owners: tuple[Owner, ...]
) -> Iterator[commands.AnyCommand]:
    yield commands.OpenEpoch(by=None, installation="i" * 32, lineage="l" * 32)
    yield open_pool(names, terms)
    for org in orgs:
        yield from fund(org)
    for owner in owners:
        yield from fund(owner.org)
        yield from sell(owner)
