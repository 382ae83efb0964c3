"""Commands of a journal on the names that their objects have in another run of it.

Names that the marketplace gives (`w5`, `c2`, a reservation's) may be others there, because what was
accepted in the journal may be refused. `there` is the journal, `here` the run.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.state import commands
from parkade.core.state.world import World
from parkade.core.workloads.dependency import Dependency
from parkade.core.workloads.spec import Capacity, CapacityKind, Spec

OnWorkload = (
    commands.Cancel
    | commands.Hold
    | commands.Release
    | commands.ChangeBid
    | commands.ChangeBounds
    | commands.Retry
    | commands.Resubmit
    | commands.OpenExec
)
OnReservation = (
    commands.Lend
    | commands.MakeClaim
    | commands.EndReservation
    | commands.ExtendReservation
    | commands.SplitReservation
    | commands.ShrinkReservation
)


class NamesHere:
    """Of workloads, claims and reservations, as they come to be."""

    def __init__(self) -> None:
        self._workloads: dict[str, str] = {}
        self._there: dict[str, str] = {}
        self._claims: dict[str, str] = {}
        self._reservations: dict[str, str] = {}

    def add_workload(self, there: str, here: str) -> None:
        """A workload or array that was accepted in both."""
        self._workloads[there], self._there[here] = here, there

    def add_claim(self, there: str, here: str) -> None:
        """A claim that was made in both."""
        self._claims[there] = here

    def add_reservation(self, there: str, here: str) -> None:
        """A reservation that was sold in both."""
        self._reservations[there] = here

    def workload(self, there: str) -> str | None:
        """Of a workload, or of a member of an array, which has the array's name in its own."""
        return _of_array(self._workloads, there)

    def workload_there(self, here: str) -> str | None:
        """The same the other way round."""
        return _of_array(self._there, here)

    def renamed(self, world: World, command: commands.AnyCommand) -> commands.AnyCommand | None:
        """The command on the names of here; None where what it names does not exist here."""
        if isinstance(command, OnWorkload):
            here = self.workload(command.workload)
            return None if here is None else replace(command, workload=here)
        if isinstance(command, OnReservation):
            here = self._reservations.get(command.reservation)
            return None if here is None else replace(command, reservation=here)
        match command:
            case commands.Unclaim(claim=name):
                here = self._claims.get(name)
                is_there = here is not None and here in world.records.claims
                return replace(command, claim=here) if is_there and here is not None else None
            case commands.Submit(spec=spec):
                renamed = self._spec(spec)
                return None if renamed is None else replace(command, spec=renamed)
            case commands.ReportOwnerJobs(jobs=jobs):
                return replace(command, jobs=tuple(self._jobs(jobs)))
            case _:
                return command

    def _spec(self, spec: Spec) -> Spec | None:
        after = [
            Dependency(workload=here, condition=it.condition)
            for it in spec.after
            if (here := self.workload(it.workload)) is not None
        ]
        listed = spec.entries or (spec.capacity,)
        entries = [entry for it in listed if (entry := self._capacity(it)) is not None]
        if len(after) < len(spec.after) or len(entries) < len(listed):
            return None
        return replace(
            spec,
            after=tuple(after),
            capacity=entries[listed.index(spec.capacity)],
            entries=tuple(entries) if spec.entries else (),
        )

    def _capacity(self, capacity: Capacity) -> Capacity | None:
        """With the name that its reservation has here; None where it was not sold here."""
        if capacity.kind is not CapacityKind.RESERVATION:
            return capacity
        here = self._reservations.get(capacity.reservation or "")
        return None if here is None else replace(capacity, reservation=here)

    def _jobs(self, jobs: tuple[OwnerJob, ...]) -> Iterator[OwnerJob]:
        for job in jobs:
            here = self._reservations.get(job.reservation)
            yield job if here is None else replace(job, reservation=here)


def _of_array(names: dict[str, str], name: str) -> str | None:
    array, underscore, index = name.partition("_")
    other = names.get(array)
    return None if other is None else f"{other}{underscore}{index}"
