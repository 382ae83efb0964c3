"""The open members of each array, counted as their records change, so that no look goes over all of
them. It follows from the records, like every index of the world."""

from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload


class OpenMembers:
    """Of one array. `names`: its open members in the order they were opened; `seated`: how many of
    them have seats or are promised some; `unstarted`: how many had no first process yet; `phases`:
    how many are in each."""

    __slots__ = ("names", "phases", "seated", "unstarted")

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self.seated = 0
        self.unstarted = 0
        self.phases: dict[Phase, int] = {}

    def copy(self) -> "OpenMembers":
        """One of its own."""
        made = OpenMembers()
        made.names = self.names.copy()
        made.seated, made.unstarted = self.seated, self.unstarted
        made.phases = self.phases.copy()
        return made

    def note(self, member: Workload, by: int) -> None:
        """A record of a member that has not ended came (1) or went (-1)."""
        assert not member.phase.is_ended
        if by > 0:
            self.names[member.workload] = None
        self.seated += by * (member.attempt is not None or member.promise is not None)
        self.unstarted += by * (member.first_started_us is None)
        left = self.phases.get(member.phase, 0) + by
        assert left >= 0 and self.seated >= 0 and self.unstarted >= 0
        if left:
            self.phases[member.phase] = left
        else:
            del self.phases[member.phase]


class MembersOfArrays:
    """By array; none where it has no open member."""

    def __init__(self) -> None:
        self._of: dict[str, OpenMembers] = {}

    def copy(self) -> "MembersOfArrays":
        """One of its own. Cost grows with the open members."""
        made = MembersOfArrays()
        made._of = {name: it.copy() for name, it in self._of.items()}
        return made

    def of(self, array: str) -> OpenMembers:
        """Those of an array, not to be changed."""
        return self._of.get(array) or OpenMembers()

    def put(self, before: Workload | None, after: Workload) -> None:
        """A record in place of another. Only those of members count."""
        array = after.member_of
        if array is None:
            return
        counted = self._of.setdefault(array, OpenMembers())
        if before is not None and not before.phase.is_ended:
            counted.note(before, -1)
        if not after.phase.is_ended:
            counted.note(after, 1)
        else:
            counted.names.pop(after.workload, None)
        if not counted.names:
            del self._of[array]
