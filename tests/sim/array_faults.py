"""Faults planted into what the shipped program does with arrays, for the fuzz to find."""

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

import parkade.core.running.arrays as arrays
import parkade.core.steps.members as members
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units import indexes
from parkade.core.workloads.array import ArrayTerms
from parkade.core.workloads.life import Phase
from parkade.core.workloads.workload import Workload
from tests.sim.faults import in_decisions

Patch = pytest.MonkeyPatch


def opens_one_member_too_many(patch: Patch) -> None:
    """An array has one more open member than it asked for."""
    room = arrays._room

    def greedy(world: World, array: Workload) -> int:
        terms = array.spec.array
        assert terms is not None
        if terms.most_running is None:
            return room(world, array)
        more = ArrayTerms(members=terms.members, most_running=terms.most_running + 1)
        return room(world, replace(array, spec=replace(array.spec, array=more)))

    patch.setattr(arrays, "_room", greedy)


def forgets_an_end(patch: Patch) -> None:
    """A member that was cancelled counts as one that succeeded."""
    ended = members.with_ended

    def kind(array: Workload, of: Any, phase: Any) -> Workload:
        is_cancelled = phase is Phase.CANCELLED
        return ended(array, of, Phase.SUCCEEDED if is_cancelled else phase)

    patch.setattr(members, "with_ended", kind)


def opens_the_first_member_twice(patch: Patch) -> None:
    """The least index of an array stays among those that wait, so it is opened again."""

    def change(world: World, event: events.AnyEvent) -> Any:
        yield event
        if isinstance(event, events.Submitted) and event.workload.spec.array is not None:
            first = indexes.least(event.workload.spec.array.members, 1)
            name = event.workload.workload
            yield events.MembersRetried(at_us=event.at_us, workload=name, members=first)

    in_decisions(patch, change)


ARRAY_FAULTS: dict[str, tuple[Callable[[Patch], None], tuple[str, ...]]] = {
    fault.__name__: (fault, ())
    for fault in (opens_one_member_too_many, forgets_an_end, opens_the_first_member_twice)
}
"""By name: the fault, and the troubles of stories that can meet it (none)."""
