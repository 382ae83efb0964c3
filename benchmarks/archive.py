"""What folding the journal saves and costs, on the journal of a simulated marketplace.

    python benchmarks/run.py --only archive

The journal is that of a story of `parkade sim fuzz` without troubles: about 800 acts of people on
100 nodes in 14 hours, decided by the production core and cycle. It is written to SQLite with the
lines of statements. Single entries and types are read by a store that was just opened, so that it
holds no unpacked segment.
"""

import contextlib
import random
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.figures import Figure, Kind
from parkade.core.state.events import Submitted
from parkade.ports import Batch, Segment, StoredSnapshot
from parkade.sim.store import Disk
from parkade.sim.story import Story, StoryPlan
from parkade.store import SqlStore, open_sqlite

SEED = 3
T = TypeVar("T")
_LATER_US = 10**18
_PAGE = 200


def figures(*, quick: bool) -> list[Figure]:
    """Room before and after, and time to fold and to read."""
    nodes, events = (10, 60) if quick else (100, 4_000)
    story = Story(StoryPlan(seed=SEED, events=events, nodes=nodes, families=(), checks=False))
    story.tell()
    with tempfile.TemporaryDirectory(prefix="parkade-bench-") as folder:
        path = Path(folder) / "journal.sqlite3"
        size = 20 if quick else 1_000
        with contextlib.closing(open_sqlite(path)) as store:
            _write(store, story.server.disk)
        return _measured(path, size)


def _write(store: SqlStore, disk: Disk) -> None:
    store.commit(
        Batch(after=0, entries=tuple(disk.entries), transfers=tuple(disk.transfers), answers=())
    )
    last = disk.entries[-1].sequence
    store.keep_snapshot(StoredSnapshot(sequence=last, version=1, body=b""), keep=1)


def _measured(path: Path, size: int) -> list[Figure]:
    before = _reading(path)
    made: list[Segment] = []
    fold_ms = []
    with contextlib.closing(open_sqlite(path, segment_entries=size)) as store:
        while True:
            took_ms, segment = _timed(lambda: store.fold(before_us=_LATER_US))
            if segment is None:
                break
            made.append(segment)
            fold_ms.append(took_ms)
    after = _reading(path)
    rows, folded = sum(it.row_bytes for it in made), sum(it.bytes for it in made)
    entries = sum(it.entries for it in made)
    ratio = Figure(
        name="archive.ratio",
        kind=Kind.DURABLE,
        unit="times",
        values=(rows / folded,),
        what=f"less bytes for {entries} entries than as rows, which have {rows // entries} each",
    )
    fold = _figure("archive.fold", fold_ms, "a segment is packed, checked, and replaces its rows")
    return [ratio, fold, *_both(before, after)]


def _reading(path: Path) -> dict[str, list[float]]:
    chance = random.Random(SEED)
    with contextlib.closing(open_sqlite(path)) as store:
        last = store.last_sequence()
        pages = [
            _timed(partial(store.entries, after=after, limit=_PAGE))[0]
            for after in range(0, last, _PAGE)
        ]
    one = [
        _cold(path, lambda it: it.entries(after=chance.randrange(last), limit=1)) for _ in range(20)
    ]
    kind = Submitted.__name__
    of_kind = [_cold(path, lambda it: it.entries_of(kind, after=0, limit=10**6)) for _ in range(3)]
    return {"page": pages, "one": one, "kind": of_kind}


def _cold(path: Path, read: Callable[[SqlStore], object]) -> float:
    with contextlib.closing(open_sqlite(path)) as store:
        return _timed(lambda: read(store))[0]


def _both(before: dict[str, list[float]], after: dict[str, list[float]]) -> list[Figure]:
    what = {
        "page": f"{_PAGE} entries after another, as a scrub reads them",
        "one": "one entry anywhere, as evidence is read",
        "kind": "all entries of one type",
    }
    return [
        _figure(f"archive.{name}_{state}", times[name], f"{text}: {state}")
        for name, text in what.items()
        for state, times in (("rows", before), ("segments", after))
    ]


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """Milliseconds of the processor's time of this process, and what came of it."""
    began_s = time.process_time()
    found = work()
    return (time.process_time() - began_s) * 1e3, found


def _figure(name: str, values: list[float], what: str) -> Figure:
    return Figure(name=name, kind=Kind.DURABLE, unit="ms", values=tuple(values), what=what)
