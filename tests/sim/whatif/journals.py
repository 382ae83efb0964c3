"""Journals to ask what-if questions of: of a random story, in memory or in a data folder."""

import contextlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import msgspec

from parkade.core.kernel.evolve import evolve
from parkade.core.state import events
from parkade.core.state.codec import decode_event, encode_event
from parkade.core.state.world import Records, World
from parkade.ports import Batch, JournalEntry
from parkade.service.journal_place import journal_path
from parkade.sim.store import Disk
from parkade.sim.story import Story, StoryPlan
from parkade.sim.whatif.again import Chain
from parkade.sim.whatif.change import parse_change
from parkade.sim.whatif.comparing import compare
from parkade.sim.whatif.figures import WhatIfReport
from parkade.store import open_sqlite
from tests.core.kernel.story import Parkade

KEPT = Path(__file__).parents[2] / "core" / "state" / "kept"
"""Journals that older programs wrote."""


class _Kept(msgspec.Struct):
    version: int
    events: tuple[msgspec.Raw, ...]


def kept_journal(file: Path) -> list[events.AnyEvent]:
    kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    return [decode_event(bytes(event), kept.version) for event in kept.events]


@cache
def disk_of(seed: int, count: int = 150) -> Disk:
    """What a story of the shipped server left on its disk."""
    story = Story(StoryPlan(seed=seed, events=count))
    assert not story.tell().findings
    return story.server.disk


def journal_of(disk: Disk) -> list[events.AnyEvent]:
    return [decode_event(entry.body, entry.version) for entry in disk.entries]


def what_if(journal: Sequence[events.AnyEvent], *changes: str) -> WhatIfReport:
    change = parse_change(changes)
    return compare(journal, change, own_digest=None, progress=lambda _: None)


def rivals() -> list[events.AnyEvent]:
    """One node. `lab` has it for 9 until `rich` bids 20, ends after an hour, and `lab` goes on."""
    parkade = Parkade(fabrics={"a": 1}, buffer_nodes=0)
    for org in ("lab", "rich"):
        parkade.org(org)
    poor = parkade.bid("lab", 9)
    parkade.run(900)
    rich = parkade.bid("rich", 20)
    parkade.run(3600)
    parkade.ended(rich)
    parkade.run(1800)
    parkade.ended(poor)
    parkade.run(60)
    return parkade.journal


def disk_with(journal: Sequence[events.AnyEvent]) -> Disk:
    """The disk of a server that has written these events."""
    disk, chain, world = Disk(), Chain(), World(Records())
    for event in journal:
        evolve(world, event)
        chain.add(event, world.records.epoch)
        disk.entries.append(
            JournalEntry(
                sequence=chain.sequence,
                epoch=world.records.epoch,
                at_us=event.at_us,
                type=type(event).__name__,
                version=events.EVENT_VERSION,
                body=encode_event(event),
                digest=chain.digest,
            )
        )
    return disk


def data_folder(folder: Path, disk: Disk) -> Path:
    """The folder with the journal, as a server at rest leaves it."""
    with contextlib.closing(open_sqlite(journal_path(folder))) as store:
        entries, transfers = tuple(disk.entries), tuple(disk.transfers)
        store.commit(Batch(after=0, entries=entries, transfers=transfers, answers=()))
    return folder
