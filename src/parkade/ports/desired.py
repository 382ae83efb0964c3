"""What an agent is told: all that shall be so in its pool."""

import msgspec

from parkade.core.fleet.seat import Seat
from parkade.core.healing.incident import RepairOrder
from parkade.core.workloads.saving import TERM_REQUEST, SaveRequest
from parkade.core.workloads.workload import Stop


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """How long an attempt runs on without the control plane: `silence_us` after it was last heard
    the engine gives the notice by itself, TERM `notice_us` later and KILL `kill_us` after that."""

    silence_us: int
    notice_us: int
    kill_us: int


class DesiredRank(msgspec.Struct, frozen=True, kw_only=True):
    """A rank of a live attempt. `rank` and `since`, the count of changes with which it came, name
    it: a number is given again once its rank is gone. `stop`: it is to leave alone, as an attempt
    leaves by its own `stop`; None: it stays."""

    rank: int
    since: int
    seat: Seat
    stop: Stop | None


class DesiredAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that shall run, a rank on each of these seats, until it ends or `stop` says
    otherwise: the notice starts at once, TERM comes at its deadline, KILL at its `kill_us`. A later
    stop of the same attempt may bring both forward, never back. `save` is how each rank is asked to
    save at the notice. `launch_sequence`: the journal's sequence of its launch, None for one
    launched by a version that did not keep it. `ordered_us`: the date of its launch, None likewise.
    An attempt of this name that was launched on another date is another attempt, as after a backup
    was put back. `lease`: None for one that no silence ends. `array_index`, `array_count`: of a
    member of an array, its index and how many members there are. `image`: of the container that
    each rank runs in, None for none. `is_live`: ranks may join and leave while it runs; `members`
    are those that it shall have after so many changes (`resizes`), and `ranks` the seats of all of
    them, those that leave included. An attempt whose ranks never changed has 0 and none."""

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
    is_live: bool = False
    resizes: int = 0
    members: tuple[DesiredRank, ...] = ()


class NodeShape(msgspec.Struct, frozen=True, kw_only=True):
    """A node as an engine knows it."""

    node: str
    gpus: int


class GivenNodes(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes that are free and an owner's, for its job of that name in the engine's own queue."""

    claim: str
    job: str
    nodes: tuple[str, ...]


class DesiredState(msgspec.Struct, frozen=True, kw_only=True):
    """All of a pool. An agent refuses one whose (epoch, sequence) is older than the last. `repairs`
    are under way until their reports are heard.

    `installation` names the marketplace and `lineage` the epoch's writer; both are random.
    `position` and `digest`: an entry of the journal not before `sequence`, and its digest. An agent
    keeps them, and shows them to whichever control plane it meets next: one whose journal lacks
    that entry has lost orders that the agent obeyed.

    `given` are the nodes of owners' jobs. `fence_lapse_us`: how long the fence stands after the
    control plane was last heard; None: there shall be none. `unfenced`: nodes that it leaves out;
    agents of before fence them too.
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
    unfenced: tuple[str, ...] = ()
    position: int | None = None
    digest: str | None = None


class Obeyed(msgspec.Struct, frozen=True, kw_only=True):
    """The newest order that an agent obeyed: its epoch, and an entry of the journal that it came
    from."""

    epoch: int
    position: int
    digest: str
