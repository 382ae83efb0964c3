"""Journals to ask what-if questions of: of a random story, in memory or in a data folder."""

import contextlib
from functools import cache
from pathlib import Path

from parkade.core.state import events
from parkade.core.state.codec import decode_event
from parkade.ports import Batch
from parkade.service.wiring import journal_path
from parkade.sim.store import Disk
from parkade.sim.story import Story, StoryPlan
from parkade.store import open_sqlite


@cache
def disk_of(seed: int, count: int = 150) -> Disk:
    """What a story of the shipped server left on its disk."""
    story = Story(StoryPlan(seed=seed, events=count))
    assert not story.tell().findings
    return story.server.disk


def journal_of(disk: Disk) -> list[events.AnyEvent]:
    return [decode_event(entry.body, entry.version) for entry in disk.entries]


def data_folder(folder: Path, disk: Disk) -> Path:
    """The folder with the journal, as a server at rest leaves it."""
    with contextlib.closing(open_sqlite(journal_path(folder))) as store:
        entries, transfers = tuple(disk.entries), tuple(disk.transfers)
        store.commit(Batch(after=0, entries=entries, transfers=transfers, answers=()))
    return folder
