"""What agents of this machine run that the journal does not know, and their acceptance.

After a backup was put back, agents have obeyed orders that the journal lacks: they refuse it, and
an attempt whose launch is not in it is *foreign*. An operator looks at the list and accepts: the
next start opens an epoch above every one that these agents obeyed and says in it that they shall
obey. The acceptance names the end of the journal that was looked at, and is void for any other: for
a later restore, and once a server has written. Foreign attempts are then ended (TERM, and KILL
after 30 s) and are never taken for others.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from parkade.agent import memory
from parkade.core.state.codec import decode_event
from parkade.core.state.events import Launched
from parkade.engines.local import records
from parkade.ports import DesiredAttempt, Obeyed, Store, StoreError
from parkade.service.folders import write_owner_only
from parkade.service.settings import ServiceSettings
from parkade.service.wiring import (
    MARK,
    RESTORED,
    Acceptance,
    end_of,
    file_leadership,
    open_to_read,
    whole_leadership,
)


class ForeignAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that runs and whose launch the journal lacks."""

    pool: str
    org: str
    attempt: str
    name: str


class AgentsFound(msgspec.Struct, frozen=True, kw_only=True):
    """Of the pools of this machine: those whose agent has obeyed what the journal lacks, the
    attempts that it lacks, the newest epoch that any agent has obeyed, and where the journal that
    was looked at ended: its last sequence and digest."""

    refusing: tuple[str, ...]
    foreign: tuple[ForeignAttempt, ...]
    newest_epoch: int
    end: tuple[int, str]


def look(settings: ServiceSettings) -> AgentsFound:
    """Reads the agents' memories and the engines' folders. Costs one look-up an attempt."""
    data_folder = settings.data_folder
    with contextlib.closing(open_to_read(settings)) as store:
        refusing: list[str] = []
        foreign: list[ForeignAttempt] = []
        newest = 0
        for folder in sorted((data_folder / "pools").glob("*")):
            kept = _memory(folder / "agent")
            if kept is not None:
                newest = max(newest, kept.last[0] if kept.last else 0)
                if kept.obeyed is not None and not _has(store, kept.obeyed):
                    refusing.append(folder.name)
            foreign += [
                ForeignAttempt(pool=folder.name, org=one.org, attempt=one.attempt, name=one.name)
                for one in _live(folder / "engine" / "live")
                if not _was_launched(store, one)
            ]
        end = end_of(store)
    return AgentsFound(
        refusing=tuple(refusing), foreign=tuple(foreign), newest_epoch=newest, end=end
    )


@contextlib.contextmanager
def stopped(settings: ServiceSettings) -> Iterator[None]:
    """While no server runs, and none starts. AlreadyLed where one does; StoreError where there is
    no journal, and then no lock is made in a folder that was named by mistake."""
    open_to_read(settings).close()
    leadership = whole_leadership(settings, file_leadership)
    leadership.acquire()
    try:
        yield
    finally:
        leadership.release()


def accept(settings: ServiceSettings, found: AgentsFound) -> None:
    """The next start opens an epoch that accepts the agents, if the journal is then still the one
    that was looked at. StoreError where nothing refuses it. Call it while `stopped`."""
    folder = settings.data_folder
    is_restored = (folder / RESTORED).exists()
    if not (found.refusing or found.foreign or is_restored):
        raise StoreError(
            f"{folder}: nothing refuses this journal, and no backup was put back since agents were"
            " last accepted: there is nothing to accept; start the server"
        )
    sequence, digest = found.end
    mark = Acceptance(least=found.newest_epoch + 1, sequence=sequence, digest=digest)
    write_owner_only(folder / MARK, msgspec.json.encode(mark).decode())


def _memory(folder: Path) -> memory.Memory | None:
    try:
        return msgspec.json.decode((folder / memory.FILE).read_bytes(), type=memory.Memory)
    except (OSError, msgspec.MsgspecError):
        return None


def _has(store: Store, obeyed: Obeyed) -> bool:
    entries = store.entries(after=obeyed.position - 1, limit=1)
    found = [(entry.sequence, entry.digest) for entry in entries]
    return found == [(obeyed.position, obeyed.digest)]


def _live(folder: Path) -> Iterator[DesiredAttempt]:
    for link in sorted(folder.glob("*")):
        launch = records.read_launch(link)
        if launch is not None:
            yield launch.attempt


def _was_launched(store: Store, attempt: DesiredAttempt) -> bool:
    if attempt.launch_sequence is None:
        return False
    entries = store.entries(after=attempt.launch_sequence - 1, limit=1)
    if not entries or entries[0].sequence != attempt.launch_sequence:
        return False
    event = decode_event(entries[0].body, entries[0].version)
    return (
        isinstance(event, Launched)
        and event.attempt.attempt == attempt.attempt
        and event.attempt.ordered_us == attempt.ordered_us
    )
