"""What lies in an attempt's folder and how it is written: whole or not at all.

`launch.json` is written once, before the folder appears; `order.json` and `ranks.json` by the
engine; `operator_end.json` by `parkade agent end`, before its order; `state.json`, `notice.json`
and `members.json` by the keeper. No record ever holds a value of the user's `env_file`. Keepers of
an older version live on across an upgrade: a field added later has a default.
"""

import errno
import os
import stat
import time
from pathlib import Path

import msgspec

from parkade.engines.local import spares
from parkade.ports import Checkpoint, DesiredAttempt, Phase, RankBegun, RankLeft, Seat, Stop

LAUNCH = "launch.json"
ORDER = "order.json"
STATE = "state.json"
NOTICE = "notice.json"
RANKS = "ranks.json"
MEMBERS = "members.json"
OPERATOR_END = "operator_end.json"
LOCK = "lock"
KEEPER_LOG = "keeper.log"
CHANGES = "changes"
VERSION = 1
STOPPED_FIRST = "it was stopped before it began"
"""The launch error of what was to leave before any rank ran its command."""
MOST_BYTES = 4 * 1024 * 1024
LOOPBACK = "127.0.0.1"
KEEPERS = 0o640
"""Rights of what a keeper writes, less its umask: on the local engine others have none."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """The Unix user that an attempt runs as."""

    name: str
    uid: int
    gid: int
    home: str


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """Where the ranks of a launch stand in a gang of several machines: `ranks` are their numbers in
    it, `seats` are all of the gang, with an address each."""

    ranks: tuple[int, ...]
    seats: tuple[Seat, ...]
    addresses: tuple[str, ...]


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """All that a keeper needs; `devices` holds the device indexes of each rank.

    `is_other_user` tells the keeper to take on the account's rights before it touches anything
    of the user; else the ranks run as the keeper does. `heard` is the file that tells when the
    control plane was heard last (`leases`); `cgroup` the attempt's group, or empty. `member`: None
    where all ranks of the attempt are on this machine. `agent_reads`: the agent is not root, and
    reads what the user's keeper writes by the group of its folder. `container`: words before those
    of a rank, by which it runs in a container; none for none. `step`: the srun by which Slurm's
    members run, with its options of a container; none for a plain one.
    """

    version: int
    attempt: DesiredAttempt
    devices: tuple[tuple[int, ...], ...]
    master_port: int
    account: Account
    is_other_user: bool
    path: str
    checkpoint_dir: str
    changes: str
    boot_id: str
    prepared_us: int
    heard: str = ""
    cgroup: str = ""
    member: Member | None = None
    agent_reads: bool = False
    container: tuple[str, ...] = ()
    step: tuple[str, ...] = ()


class OrderedRank(msgspec.Struct, frozen=True, kw_only=True):
    """A rank that a live attempt shall have, on these devices; `stop`: it is to leave alone."""

    rank: int
    since: int
    seat: Seat
    devices: tuple[int, ...]
    stop: Stop | None


class Ranks(msgspec.Struct, frozen=True, kw_only=True):
    """The ranks of a live attempt after so many changes (`resizes`). `ordered`: the changes that
    were ordered last; more than `resizes` while a rank of theirs is left out for want of devices.
    """

    version: int
    resizes: int
    ranks: tuple[OrderedRank, ...]
    ordered: int = 0


class MemberState(msgspec.Struct, frozen=True, kw_only=True):
    """Which rank of a live attempt the process at this place of `State.ranks` is, or was. It has
    `begun` once it was let through to its command, at `begun_us`; `left_us`: when nothing of it was
    left after it was told to leave alone, and `is_noticed` once its save command was run for that.
    """

    since: int
    has_begun: bool
    left_us: int | None = None
    is_noticed: bool = False
    begun_us: int | None = None


class RankState(msgspec.Struct, frozen=True, kw_only=True):
    """A rank's main process: identity is the pair of pid and start time, never the pid alone."""

    pid: int
    start_ticks: int
    has_ended: bool
    code: int | None
    signal: int | None


class Signalled(msgspec.Struct, frozen=True, kw_only=True):
    """A trainer process that was sent a signal of ours; it gets none twice."""

    rank: int
    pid: int
    start_ticks: int
    number: int


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """A process that only waits: what loses its keeper becomes its child."""

    pid: int
    start_ticks: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper knows; `ranks` is empty until every rank stands ready to run.

    `is_noticed` says that the notice was given, and `signalled` to which trainers a signal went, so
    that the next keeper repeats neither. `is_signalled`: a signal or command of ours reached a rank
    during the notice. `is_keeper_lost`: another keeper had to take over. `guards` are of all its
    keepers, in order. `lapsed_us`: when the keeper gave the notice by itself (`leases`), and
    `broken_us` when it gave the heal notice because a rank failed.
    `report_problem`: of the last checkpoint report, once released. Of a live attempt: `resizes` is
    the count of changes that were taken in, `members` says what each of `ranks` is (None: no rank
    has that number), and `members_files` counts those that were written.
    """

    version: int
    attempt: str
    generation: int
    phase: Phase
    keeper_pid: int
    keeper_start_ticks: int
    ranks: tuple[RankState, ...]
    started_us: int | None
    released_us: int | None
    checkpoint: Checkpoint | None
    is_noticed: bool
    launch_error: str | None
    engine_state: str
    written_us: int
    signalled: tuple[Signalled, ...] = ()
    is_signalled: bool = False
    is_keeper_lost: bool = False
    guards: tuple[Guard, ...] = ()
    lapsed_us: int | None = None
    report_problem: str | None = None
    broken_us: int | None = None
    resizes: int = 0
    members: tuple[MemberState | None, ...] = ()
    members_files: int = 0


class OperatorEnd(msgspec.Struct, frozen=True, kw_only=True):
    """A person ended the attempt at its machine, without the control plane: the notice began at
    `at_us`. The next agent reports it."""

    version: int
    at_us: int


def keepers_umask(launch: Launch) -> int:
    """What the rights of a keeper's files lack: all but its own user's, and the agent's to read."""
    return 0o027 if launch.agent_reads else 0o077


def nothing_yet(launch: Launch) -> State:
    """Before any keeper spoke."""
    return State(
        version=VERSION,
        attempt=launch.attempt.attempt,
        generation=launch.attempt.generation,
        phase=Phase.STARTING,
        keeper_pid=0,
        keeper_start_ticks=0,
        ranks=(),
        started_us=None,
        released_us=None,
        checkpoint=None,
        is_noticed=False,
        launch_error=None,
        engine_state="starting",
        written_us=0,
    )


def write(path: Path, value: object, *, mode: int = 0o600, owner: Account | None = None) -> None:
    """Replaces the file atomically; readers see the old content or the new, never a part. On a full
    disk it is replaced by means of its spare, if it has one."""
    content = msgspec.json.encode(value) + b"\n"
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_beside(beside, content, mode, owner)
    except OSError as error:
        beside.unlink(missing_ok=True)
        if error.errno not in spares.FULL:
            raise
        spares.replace(path, content, owner=None if owner is None else (owner.uid, owner.gid))
    else:
        beside.replace(path)


def _write_beside(beside: Path, content: bytes, mode: int, owner: Account | None) -> None:
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
    try:
        if os.write(descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(beside))
        if owner is not None:
            os.fchown(descriptor, owner.uid, owner.gid)
    finally:
        os.close(descriptor)


def read_bounded(path: Path, *, most_bytes: int = MOST_BYTES) -> bytes | None:
    """The content of a regular file of bounded size, or None; never follows a link, never waits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > most_bytes:
            return None
        return os.read(descriptor, most_bytes)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_launch(folder: Path) -> Launch | None:
    """How the attempt was launched, or None where that cannot be read."""
    content = read_bounded(folder / LAUNCH)
    try:
        return None if content is None else msgspec.json.decode(content, type=Launch)
    except msgspec.DecodeError:
        return None


def read_state(folder: Path) -> State | None:
    """The keeper's last word, or None where it has not spoken or cannot be read."""
    content = read_bounded(folder / STATE)
    try:
        return None if content is None else msgspec.json.decode(content, type=State)
    except msgspec.DecodeError:
        return None


def read_order(folder: Path) -> Stop | None:
    """The order given last, or None where there is none that can be read."""
    content = read_bounded(folder / ORDER)
    try:
        return None if content is None else msgspec.json.decode(content, type=Stop)
    except msgspec.DecodeError:
        return None


def read_operator_end(folder: Path) -> int | None:
    """When a person ended the attempt at its machine; None where no person did."""
    try:
        content = read_bounded(folder / OPERATOR_END)
        kind = OperatorEnd
        at_us = None if content is None else msgspec.json.decode(content, type=kind).at_us
    except (msgspec.DecodeError, OSError):
        return None
    is_past = at_us is not None and 0 < at_us <= time.time_ns() // 1000
    return at_us if is_past else None


def read_ranks(folder: Path) -> Ranks | None:
    """The ranks ordered last, or None where they never changed, or cannot be read."""
    content = read_bounded(folder / RANKS)
    try:
        return None if content is None else msgspec.json.decode(content, type=Ranks)
    except msgspec.DecodeError:
        return None


def first_ranks(launch: Launch) -> Ranks:
    """Those that a live attempt begins with."""
    each = zip(launch.attempt.ranks, launch.devices, strict=True)
    return Ranks(
        version=VERSION,
        resizes=0,
        ranks=tuple(
            OrderedRank(rank=number, since=0, seat=seat, devices=devices, stop=None)
            for number, (seat, devices) in enumerate(each)
        ),
    )


def with_ranks(launch: Launch, ranks: Ranks) -> Launch:
    """The launch as if it had begun with these ranks, each at the place of its number: places
    without one have a rank's seat and no devices."""
    by_number = {one.rank: one for one in ranks.ranks}
    some = ranks.ranks[0]
    places = range(max(by_number) + 1)
    seats = tuple(by_number.get(number, some).seat for number in places)
    devices = tuple(by_number[number].devices if number in by_number else () for number in places)
    attempt = msgspec.structs.replace(launch.attempt, ranks=seats)
    present = tuple(by_number[number].seat for number in sorted(by_number))
    member = Member(ranks=tuple(places), seats=present, addresses=tuple(LOOPBACK for _ in present))
    return msgspec.structs.replace(launch, attempt=attempt, devices=devices, member=member)


def held_ranks(ranks: Ranks, state: State | None) -> tuple[OrderedRank, ...]:
    """Those whose seats are not free yet."""
    left = {} if state is None else {(one.rank, one.since): one for one in left_ranks(state)}
    return tuple(one for one in ranks.ranks if (one.rank, one.since) not in left)


def is_present(state: State, number: int) -> bool:
    """Whether there is such a rank: of a live attempt some left alone, and numbers have gaps."""
    if not state.members:
        return True
    member = state.members[number] if number < len(state.members) else None
    return member is not None and member.has_begun and member.left_us is None


def left_ranks(state: State) -> tuple[RankLeft, ...]:
    """The ranks that left alone and whose numbers were not given again."""
    return tuple(
        RankLeft(rank=number, since=one.since, left_us=one.left_us)
        for number, one in enumerate(state.members)
        if one is not None and one.left_us is not None
    )


def begun_ranks(state: State) -> tuple[RankBegun, ...]:
    """The ranks that joined and run their command, or did. A keeper of before kept no date."""
    return tuple(
        RankBegun(
            rank=number,
            since=one.since,
            begun_us=state.written_us if one.begun_us is None else one.begun_us,
        )
        for number, one in enumerate(state.members)
        if one is not None and one.since and one.has_begun and state.ranks[number].pid
    )


def poke(changes: str) -> None:
    """Notifies a listening engine of a change; without a listener it does nothing."""
    try:
        descriptor = os.open(changes, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        os.write(descriptor, b".")
    except OSError:
        pass
    finally:
        os.close(descriptor)
