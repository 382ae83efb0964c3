"""The doors between Parkade and the world, as small protocols in our words.

Everything here is level-triggered: an agent is told the whole desired state of its pool and
reports a whole, dated observation. Every call may be repeated harmlessly; identity is the attempt
id, order is (epoch, sequence). Times are microseconds since 1970-01-01 UTC.
"""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Annotated, NamedTuple, Protocol, runtime_checkable

import msgspec

from parkade.core.fleet.pool import TakenNode
from parkade.core.fleet.seat import Seat
from parkade.core.healing.incident import RepairKind, RepairOrder, RepairReport
from parkade.core.healing.symptom import Symptom
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Verdict
from parkade.core.ledger.accounts import Transfer, TransferKind
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.workloads.observed import (
    AttemptName,
    Checkpoint,
    ObservedAttempt,
    RankExit,
    Words,
)
from parkade.core.workloads.observed import EnginePhase as Phase
from parkade.core.workloads.saving import TERM_REQUEST, SaveRequest
from parkade.core.workloads.workload import Stop

__all__ = ["Checkpoint", "ObservedAttempt", "Phase", "RankExit", "SaveRequest", "Seat", "Stop"]


class Sensor(Protocol):
    """Sees symptoms on the machines it watches. It never raises for what it finds or cannot find: a
    sensor that fails says so by a symptom, one that this machine lacks says so in `state`."""

    @property
    def name(self) -> str:
        """What it is called in metrics and answers: `kernel_log`, `nvml`."""
        ...

    @property
    def state(self) -> str:
        """`read`, or why not: `absent: no NVIDIA driver`."""
        ...

    def poll(self, now_us: int) -> Sequence[Symptom]:
        """What it saw since the last call. Returns within its own time-out."""
        ...

    def close(self) -> None:
        """Lets go of files and processes."""
        ...


class Backlog(NamedTuple):
    """What of a log waits to be read: how many bytes, and since how many seconds its end was not
    reached."""

    unread_bytes: int
    behind_s: float


NO_BACKLOG = Backlog(0, 0.0)


class Missed(NamedTuple):
    """The last span of a log that may hold lines which were not read. `why`: which, in words;
    `since_s`: the second of the wall clock when the last line before it was read, 0 unknown;
    `spans`: how many there have been."""

    why: str
    since_s: int
    spans: int


class OtherLines(NamedTuple):
    """Lines of a log that were left out, since they name a machine that is none of those that the
    log is of, or where several write into it, none. `hosts` are the first few names, in the order
    in which they came, "" for none; `machines` is how many, up to a bound. `has_own`: a line named
    the node itself."""

    lines: int
    hosts: tuple[str, ...]
    machines: int
    has_own: bool


NO_OTHERS = OtherLines(0, (), 0, has_own=False)
"""Of a log that one machine alone writes."""


@runtime_checkable
class LogSensor(Sensor, Protocol):
    """A sensor that reads a kernel's log: it is polled about each second, and after a restart it
    goes on where it was."""

    @property
    def reads(self) -> str:
        """What it reads, for people: a path, or whose ring or journal."""
        ...

    @property
    def bookmark(self) -> str | None:
        """How far it has read; None where it cannot say."""
        ...

    @property
    def unknown(self) -> int:
        """How many lines of watched drivers it has read that no rule knows."""
        ...

    @property
    def others(self) -> OtherLines:
        """The lines that it left out as another machine's."""
        ...

    def resume(self, bookmark: str) -> None:
        """To go on behind what was read before. One that is not of this log changes nothing."""
        ...

    @property
    def missed(self) -> Missed | None:
        """What came and was not read; None where all was."""
        ...

    @property
    def backlog(self) -> Backlog:
        """What the last look left unread."""
        ...

    def reread(self, now_us: int) -> Sequence[Symptom]:
        """What the log still holds from before its bookmark and `poll` does not give again; none
        where that is not looked up."""
        ...


class Repairs(Protocol):
    """What an agent can do with a node: a repair or a check, once for each order."""

    @property
    def kinds(self) -> tuple[RepairKind, ...]:
        """What is configured here."""
        ...

    async def carry_out(self, order: RepairOrder) -> RepairReport:
        """Does it, within its own time-out. It never raises for what it finds or cannot do: the
        report says so."""
        ...


class SensorState(msgspec.Struct, frozen=True, kw_only=True):
    """One sensor of a node: `read`, or why not."""

    node: str
    sensor: str
    state: str


class LogStates(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent keeps up with the logs that it reads. `behind_us`: since when the one that is
    most behind was not read to its end; `gaps`: spans that may hold lines which were not read,
    since the agent began; `gap_end_us`: when the last of them was noticed."""

    unread_bytes: int = 0
    behind_us: int = 0
    gaps: int = 0
    gap_end_us: int | None = None


class HealthReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent says of its nodes' health. Repeated until it was heard, which changes nothing:
    verdicts and repairs are known by their names. `symptoms`: (source, how many were seen since
    the agent began). `logs`: None from an agent that reads none, or that says nothing of it."""

    pool: str
    at_us: int
    verdicts: tuple[Verdict, ...]
    repairs: tuple[RepairReport, ...]
    kinds: tuple[RepairKind, ...]
    sensors: tuple[SensorState, ...] = ()
    symptoms: tuple[tuple[str, int], ...] = ()
    surroundings: tuple[Surroundings, ...] = ()
    logs: LogStates | None = None


class Clock(Protocol):
    """Where the present comes from."""

    def now_us(self) -> int:
        """The present instant."""
        ...


class Flag(Protocol):
    """Something that is set once, like `asyncio.Event`, which is too heavy for this module: it is
    loaded by every keeper."""

    def is_set(self) -> bool:
        """Whether it is set."""
        ...

    async def wait(self) -> object:
        """Returns once it is set."""
        ...


class Timer(Protocol):
    """How time is let pass: the server's and agent's by their event loop, a simulator's by hand."""

    async def sleep(self, seconds: float) -> None:
        """Returns after the time given."""
        ...

    async def wait(self, flag: Flag, seconds: float) -> bool:
        """Returns true once the flag is set, or false after the time given."""
        ...


class AlreadyLed(Exception):
    """Another process has the leadership; the message says which, and what to do."""


class Leadership(Protocol):
    """The right to be the only one that writes a journal, or runs a pool, held by one process."""

    def acquire(self) -> None:
        """Takes it at once, or raises AlreadyLed. A process that dies gives it back."""
        ...

    def is_held(self) -> bool:
        """Whether it still is this process's; false for ever once it was lost."""
        ...

    def release(self) -> None:
        """Lets the next one in."""
        ...


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """How long an attempt runs on without the control plane: `silence_us` after it was last heard
    the engine gives the notice by itself, TERM `notice_us` later and KILL `kill_us` after that."""

    silence_us: int
    notice_us: int
    kill_us: int


class DesiredAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that shall run, a rank on each of these seats, until it ends or `stop` says
    otherwise: the notice starts at once, TERM comes at its deadline, KILL at its `kill_us`. A later
    stop of the same attempt may bring both forward, never back. `save` is how each rank is asked to
    save at the notice. `launch_sequence`: the journal's sequence of its launch, None for one
    launched by a version that did not keep it. `ordered_us`: the date of its launch, None likewise.
    An attempt of this name that was launched on another date is another attempt, as after a backup
    was put back. `lease`: None for one that no silence ends. `array_index`, `array_count`: of a
    member of an array, its index and how many members there are. `image`: of the container that
    each rank runs in, None for none."""

    attempt: str
    workload: str
    generation: int
    launch_sequence: int | None
    name: str
    org: str
    unix_user: str | None
    command: str
    workdir: str
    env: tuple[tuple[str, str], ...]
    env_file: str | None
    ranks: tuple[Seat, ...]
    stop: Stop | None
    ordered_us: int | None = None
    save: SaveRequest = TERM_REQUEST
    lease: Lease | None = None
    array_index: int | None = None
    array_count: int | None = None
    image: str | None = None
    heal_notice_us: int | None = None


class NodeShape(msgspec.Struct, frozen=True, kw_only=True):
    """A node as an engine knows it."""

    node: str
    gpus: int


class GivenNodes(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that are free and an owner's, for its job of that name in the engine's own queue."""

    claim: str
    job: str
    nodes: tuple[str, ...]


class OwnerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent sees of jobs in the engine's queue that are not ours: those of owners that wait
    for nodes or have them, and nodes that jobs of others hold. `fence_stands`: whether the nodes
    are closed to such jobs."""

    jobs: tuple[OwnerJob, ...]
    taken: tuple[TakenNode, ...]
    fence_stands: bool


class DesiredState(msgspec.Struct, frozen=True, kw_only=True):
    """All of a pool. An agent refuses one whose (epoch, sequence) is older than the last. `repairs`
    are under way until their reports are heard.

    `installation` names the marketplace and `lineage` the epoch's writer; both are random.
    `position` and `digest`: an entry of the journal not before `sequence`, and its digest. An agent
    keeps them, and shows them to whichever control plane it meets next: one whose journal lacks
    that entry has lost orders that the agent obeyed.

    `given` are the nodes of owners' jobs. `fence_lapse_us`: how long the fence stands after the
    control plane was last heard; None: there shall be none.
    """

    pool: str
    epoch: int
    installation: str | None
    lineage: str | None
    sequence: int
    attempts: tuple[DesiredAttempt, ...]
    nodes: tuple[NodeShape, ...] = ()
    repairs: tuple[RepairOrder, ...] = ()
    given: tuple[GivenNodes, ...] = ()
    fence_lapse_us: int | None = None
    position: int | None = None
    digest: str | None = None


class Obeyed(msgspec.Struct, frozen=True, kw_only=True):
    """The newest order that an agent obeyed: its epoch, and an entry of the journal that it came
    from."""

    epoch: int
    position: int
    digest: str


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine says that it can do. Only the last two are acted on.

    The rest is told for people who read an observation: no submission is refused because of it, and
    servers of earlier versions want it.
    """

    engine: str
    version: str

    isolates_users: bool
    """Whether a workload is kept from the files and processes of another user."""

    has_containers: bool
    """Whether it runs a workload in a container."""

    keeps_memory_limits: bool
    """Whether a workload that takes too much memory is stopped alone."""

    tracks_by_cgroup: bool = False
    """Whether nothing that a workload starts can leave its control group."""

    needs_unix_names: bool = False
    """Whether it refuses workloads of users that have no Unix name."""

    unsupported_keys: tuple[str, ...] = ()
    """Keys of the spec that it cannot carry out, like `env_file`; a submission that has one is
    refused where no engine of its market can."""


MOST_TROUBLES = 100


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps an agent from its work now, in words for people. `attempt`: which is not started
    because of it; None: it concerns the pool. `is_note`: it keeps no workload, and is of interest
    to the pool's operator alone."""

    attempt: AttemptName | None
    says: Words
    is_note: bool = False


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """All of a pool at `at_us`. Nothing follows from an incomplete one.

    `capabilities`, `refused` and `owners` are added by the agent; an engine leaves them out.
    `refused` says why the agent does not obey the desired state that it was told last; None: it
    does. `troubles` are told to people, also of an incomplete one; nothing else follows from them.
    """

    pool: str
    at_us: int
    is_complete: bool
    attempts: tuple[ObservedAttempt, ...]
    capabilities: Capabilities | None = None
    refused: Words | None = None
    owners: OwnerReport | None = None
    troubles: Annotated[tuple[Trouble, ...], msgspec.Meta(max_length=MOST_TROUBLES)] = ()


class LogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A reader wants a rank's output from a byte offset on; the pool's agent sends it chunk by
    chunk. `follow`: it goes on until the attempt has released its seats. An attempt of another org,
    or ordered before `since_us`, is not the one that is meant; None: not looked at."""

    request: str
    attempt: str
    rank: int
    offset: int
    follow: bool
    org: str | None = None
    since_us: int | None = None


class WorkloadFolder(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine keeps on disk of a workload that it runs no attempt of: its checkpoints and
    output. `launches`: the first and the last launch that are known of it, as (attempt, journal's
    sequence or None, date). `until_us`: what was told before of how long it is kept."""

    workload: str
    org: str
    launches: tuple[tuple[str, int | None, int | None], ...]
    until_us: int | None = None


class KeptOfOrg(msgspec.Struct, frozen=True, kw_only=True):
    """How many folders of workloads that have ended an engine keeps of an org, and what they
    hold; `is_counted` false: they hold more, for some are too large to be counted."""

    org: str
    folders: int
    bytes: int
    is_counted: bool


class FolderLook(msgspec.Struct, frozen=True, kw_only=True):
    """Folders that an engine asks about. `kept`: what it keeps in all, where it has looked at
    everything since it was told last."""

    folders: tuple[WorkloadFolder, ...]
    kept: tuple[KeptOfOrg, ...] | None


class FolderReport(msgspec.Struct, frozen=True, kw_only=True):
    """An agent asks until when it shall keep each of some folders. `kept`: None where it has not
    looked at all of them yet."""

    pool: str
    folders: tuple[WorkloadFolder, ...]
    kept: tuple[KeptOfOrg, ...] | None


class FolderAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Until when a folder is kept; None: it is needed, kept for ever, or not of this journal.
    `is_due`: it shall be deleted now."""

    workload: str
    org: str
    until_us: int | None
    is_due: bool


class EngineError(Exception):
    """An engine could not do what it was asked; the subclasses say what may be done about it."""


class InvalidSpec(EngineError):
    """The workload can never run on this engine; the message names the key."""


class Misconfigured(InvalidSpec):
    """Nothing would run on these seats, of any user: the pool's settings do not fit its machines
    or its cluster. The message says what the operator has to look at."""


class Unsupported(EngineError):
    """The engine has no such capability; the message names it."""


class Conflict(EngineError):
    """The attempt is known with another generation or other seats."""


class Transient(EngineError):
    """It may work when repeated."""


class Unreachable(EngineError):
    """The engine cannot be reached; nothing is known."""


class Engine(Protocol):
    """Runs attempts where it is told to. One contract, one suite, for every engine."""

    def capabilities(self) -> Capabilities:
        """What it can do, probed once."""
        ...

    def validate(self, attempt: DesiredAttempt) -> None:
        """Raises InvalidSpec or Unsupported where the attempt could never run here."""
        ...

    def render(self, attempt: DesiredAttempt) -> str:
        """The exact command, script or manifest that `launch` would use; no secrets."""
        ...

    async def launch(self, attempt: DesiredAttempt) -> None:
        """Starts it and returns once it is sure to be found by `observe`. Twice is once."""
        ...

    async def observe(self) -> Observation:
        """One look at everything."""
        ...

    async def stop(self, attempt: str, order: Stop) -> None:
        """Hands over the order and returns at once; the engine escalates by itself."""
        ...

    async def signal(self, attempt: str, name: str) -> None:
        """Sends a named signal to every rank."""
        ...

    async def adopt(self) -> Sequence[str]:
        """Takes up what runs after a restart of the agent; the attempt ids found."""
        ...

    async def forget(self, attempt: str) -> None:
        """Drops the record of a released attempt that is no longer desired."""
        ...

    def logs(self, request: LogRequest) -> AsyncIterator[bytes]:
        """The output that a reader wants; ends when released, or at once without follow."""
        ...

    async def close(self) -> None:
        """Lets go without stopping anything that runs."""
        ...


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event as it is kept for ever: `version` is the encoding's, `body` the encoded event,
    `digest` that of the chain up to it (`core.state.chain`)."""

    sequence: int
    epoch: int
    at_us: int
    type: str
    version: int
    body: bytes
    digest: str


class StatedTransfer(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a statement: the transfer, and the event (`sequence`) that moved the money."""

    sequence: int
    position: int
    at_us: int
    transfer: Transfer


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What an account moved of one kind for one workload, added up over a time. `is_paid`: it paid,
    else it received. `gpu_us`: GPUs times microseconds of the use that it was for."""

    kind: TransferKind
    is_paid: bool
    workload: str | None
    micros: int
    gpu_us: int


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a principal was told under an idempotency key; `body` is the encoded outcome."""

    principal: str
    key: str
    request_digest: str
    body: bytes
    sequence: int
    at_us: int


class StoredSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The world after event `sequence`, encoded."""

    sequence: int
    version: int
    body: bytes


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one transaction adds. `after` is the last sequence that the writer knows of."""

    after: int
    entries: tuple[JournalEntry, ...]
    transfers: tuple[StatedTransfer, ...]
    answers: tuple[StoredAnswer, ...]


class StoreError(Exception):
    """The store could not be read or written; the message says what to do about it."""


class Fenced(StoreError):
    """Another writer went on with this journal; this process must stop."""


class DamagedAnswer(StoreError):
    """An answer kept for repeated requests is not what was written."""


class Store(Protocol):
    """Keeps the journal and what answers and statements need; one suite for every store.

    `commit` is called by the writer's thread alone; the others by any thread.
    """

    def commit(self, batch: Batch) -> None:
        """Adds all of it durably, or nothing. Fenced where `after` is not the journal's end."""
        ...

    def last_sequence(self) -> int:
        """The journal's end, 0 when it is empty."""
        ...

    def entries(self, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """The entries that follow `after`, in order, at most `limit`."""
        ...

    def entries_of(self, kind: str, *, after: int, limit: int) -> Sequence[JournalEntry]:
        """Those of one type that follow `after`, in order, at most `limit`."""
        ...

    def answer(self, principal: str, key: str) -> StoredAnswer | None:
        """What was answered under this key; DamagedAnswer where it is not what was written."""
        ...

    def answers(self) -> Iterator[StoredAnswer]:
        """All that are kept, in order of user and key; DamagedAnswer at one that is not what was
        written."""
        ...

    def statement(
        self, account: str, *, from_us: int | None, to_us: int | None, until: int
    ) -> Sequence[StatedTransfer]:
        """Every transfer of an account in [from_us, to_us) up to entry `until`, in the journal's
        order."""
        ...

    def statement_page(
        self,
        account: str,
        *,
        from_us: int,
        to_us: int,
        after: tuple[int, int],
        until: int,
        limit: int,
    ) -> Sequence[StatedTransfer]:
        """The same from behind a (sequence, position) on, at most `limit`."""
        ...

    def moved(
        self, account: str, *, from_us: int, to_us: int, until: int, limit: int
    ) -> Sequence[Moved]:
        """What an account moved in [from_us, to_us) up to entry `until`, added up by kind and
        workload and in that order; at most `limit` sums."""
        ...

    def balance(self, account: str, *, before_us: int | None, until: int) -> int:
        """What an account had received less what it had paid before an instant, by the entries up
        to `until`, in micro-units."""
        ...

    def stated(self, *, after: int, until: int) -> Sequence[StatedTransfer]:
        """Every transfer of the entries in (after, until], in the journal's order."""
        ...

    def stray_transfer(self) -> int | None:
        """The first sequence of a transfer that belongs to no entry; None where there is none."""
        ...

    def account_sums(self, *, until: int | None = None) -> Mapping[str, int]:
        """What each account received less what it paid, by the transfers that statements show, of
        the entries up to `until`; None: of all."""
        ...

    def keep_snapshot(self, snapshot: StoredSnapshot, *, keep: int) -> None:
        """Adds a snapshot; of the older ones the newest `keep - 1` stay."""
        ...

    def torn_snapshots(self) -> Sequence[int]:
        """The sequences of snapshots whose body is not what was kept, newest first."""
        ...

    def snapshots(self) -> Iterator[StoredSnapshot]:
        """Whole ones, newest first; a torn one is skipped with a line in the log."""
        ...

    def forget_answers(self, *, before_us: int) -> None:
        """Drops the answers that were given before an instant."""
        ...

    def close(self) -> None:
        """Lets go of the files."""
        ...
