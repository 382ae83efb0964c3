"""The table of a workload's life: every phase can be reached, and every life can end."""

from parkade.core.workloads.life import ENDED, TRANSITIONS, Phase, is_allowed


def reachable(start: Phase) -> set[Phase]:
    found, left = {start}, [start]
    while left:
        for phase in TRANSITIONS[left.pop()]:
            if phase not in found:
                found.add(phase)
                left.append(phase)
    return found


def test_every_phase_is_reached_from_the_queue() -> None:
    assert reachable(Phase.QUEUED) == set(Phase)


def test_every_phase_can_end_and_an_end_is_for_ever() -> None:
    for phase in Phase:
        assert reachable(phase) & ENDED
        assert (not TRANSITIONS[phase]) == phase.is_ended


def test_a_notice_alone_never_fails_a_workload() -> None:
    assert is_allowed(Phase.PREEMPTING, Phase.QUEUED)
    assert is_allowed(Phase.PREEMPTING, Phase.PLACED)
    assert not is_allowed(Phase.SUCCEEDED, Phase.QUEUED)
