"""Values that are many are not walked by Python's cycle collector."""

import gc

import msgspec
import pytest

from parkade.core.healing.judge import judge
from parkade.core.healing.memory import empty_memory
from parkade.core.state import commands, events
from parkade.mars.policy_file import shipped_policy
from tests.core.healing.builder import symptom, xid
from tests.core.repairing.sick import verdict


@pytest.mark.parametrize("base", [events.Event, commands.Command])
def test_no_event_and_no_command_is_walked(base: type[msgspec.Struct]) -> None:
    found = [each for about in base.__subclasses__() for each in (about, *about.__subclasses__())]
    assert len(found) > 20
    assert [it.__name__ for it in found if it.__struct_config__.gc] == []


def test_a_verdict_and_all_that_it_holds_are_not_walked() -> None:
    found = verdict("a1", at_us=1)
    given = events.VerdictGiven(at_us=1, node="a1", verdict=found, incident=None)
    for each in (given, found, *found.evidence):
        assert not gc.is_tracked(each), type(each).__name__


def test_what_the_judge_remembers_is_not_walked() -> None:
    seen = symptom(xid(79))
    memory, _ = judge(empty_memory(seen.node), seen, 1, policy=shipped_policy())
    for each in (seen, seen.fact, memory, *memory.tracks, memory.tracks[0].burst):
        assert not gc.is_tracked(each), type(each).__name__
