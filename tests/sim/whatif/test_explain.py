"""A journal's commands are found from its events, and give the same events again."""

import inspect
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from parkade.core.state import commands, events
from parkade.sim.whatif import guesses, others, reported
from parkade.sim.whatif.again import decide_again, digest_of
from parkade.sim.whatif.explain import Asked, explain, facts_of
from tests.sim.whatif.journals import KEPT, disk_of, journal_of, kept_journal

CLOCK = {"ClockJumped", "ClockAdvanced"}


@pytest.mark.parametrize("seed", [*range(1, 13), pytest.param(19, marks=pytest.mark.slow)])
def test_commands_of_a_random_story_give_its_own_digest_again(seed: int) -> None:
    disk = disk_of(seed)
    journal = journal_of(disk)
    steps = explain(journal)
    assert set(facts_of(steps)) <= CLOCK
    assert decide_again(steps, lambda *_: None)[0] == disk.entries[-1].digest


@pytest.mark.parametrize("file", sorted(KEPT.glob("*.json")), ids=lambda file: str(file.stem))
def test_a_kept_journal_gives_its_digest_again(file: Path) -> None:
    journal = kept_journal(file)
    assert decide_again(explain(journal), lambda *_: None)[0] == digest_of(journal)


def test_what_an_older_program_decided_otherwise_is_told_apart() -> None:
    """The journal of the first version has clearings that are decided otherwise now."""
    journal = kept_journal(KEPT / "journal-v1.json")
    steps = explain(journal)
    assert facts_of(steps)["Cleared"] > 0
    assert sum(isinstance(step, Asked) for step in steps) > len(journal) / 3


def test_a_changed_event_is_explained_by_no_command() -> None:
    journal = journal_of(disk_of(3))
    place, event = next(
        (place, it)
        for place, it in enumerate(journal)
        if isinstance(it, events.Submitted) and it.by is not None
    )
    other = msgspec.structs.replace(event.workload, generation=1)
    changed = [*journal[:place], msgspec.structs.replace(event, workload=other)]
    assert facts_of(explain(changed))["Submitted"] == 1
    assert digest_of(changed) != digest_of(journal[: place + 1])


@pytest.mark.parametrize("kind", get_args(commands.AnyCommand), ids=lambda kind: kind.__name__)
def test_each_kind_of_command_is_guessed(kind: type[commands.Command]) -> None:
    source = "".join(inspect.getsource(it) for it in (guesses, others, reported))
    assert f"commands.{kind.__name__}(" in source
