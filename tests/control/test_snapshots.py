"""Snapshots and answers are bounded however long a server runs, and however little it decides."""

from parkade.control.settings import PlaneSettings
from parkade.control.snapshots import Snapshots
from parkade.core.state.world import Records, World
from parkade.core.units.time import DAY_US, HOUR_US
from parkade.ports import Batch, StoredAnswer
from parkade.sim.store import Disk, MemoryStore
from tests.builders import no_point

SETTINGS = PlaneSettings()
BEGAN_US = 1_000 * DAY_US


def store_with_an_answer() -> MemoryStore:
    store = MemoryStore(Disk(), no_point)
    answer = StoredAnswer(
        principal="ann", key="k", request_digest="d", body=b"{}", sequence=0, at_us=BEGAN_US
    )
    store.commit(Batch(after=0, entries=(), transfers=(), answers=(answer,)))
    return store


def test_three_snapshots_and_a_week_of_answers_are_kept() -> None:
    store = store_with_an_answer()
    snapshots = Snapshots(store, SETTINGS, 0, BEGAN_US)
    for hours in range(1, 8 * 24):
        assert bool(list(store.answers())) == (hours - 1 <= 7 * 24)
        snapshots.follow(World(Records()), hours, BEGAN_US + hours * HOUR_US)
        assert len(list(store.snapshots())) <= 3
    assert list(store.answers()) == []


def test_answers_are_forgotten_where_nothing_happens_too() -> None:
    store = store_with_an_answer()
    snapshots = Snapshots(store, SETTINGS, 0, BEGAN_US)
    snapshots.follow(World(Records()), 0, BEGAN_US + 7 * DAY_US)
    assert len(list(store.answers())) == 1
    snapshots.follow(World(Records()), 0, BEGAN_US + 8 * DAY_US)
    assert list(store.answers()) == []
    assert list(store.snapshots()) == []
