"""What an agent tells: all that it sees in its pool, and what its engine can do."""

from typing import Annotated

import msgspec

from parkade.core.fleet.pool import TakenNode
from parkade.core.reservations.owner_job import OwnerJob
from parkade.core.workloads.observed import AttemptName, ObservedAttempt, Words


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine says that it can do. Only the last four are acted on.

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

    opens_execs: bool = False
    """Whether it runs commands beside a rank (`parkade exec`)."""

    resizes_live: bool = False
    """Whether it starts and ends single ranks of an attempt that runs (`resize: live`)."""

    unsupported_keys: tuple[str, ...] = ()
    """Keys of the spec that it cannot carry out, like `env_file`; a submission that has one is
    refused where no engine of its market can."""


MOST_TROUBLES = 100


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """What keeps an agent from its work now, in words for people. `attempt`: which is not started
    because of it; None: it concerns the pool. `is_note`: it keeps no workload, and is of interest
    to the pool's operator alone. `since_us`: since when the engine has not answered the agent at
    all, by the agent's clock; None: it is another trouble."""

    attempt: AttemptName | None
    says: Words
    is_note: bool = False
    since_us: int | None = None


class OwnerReport(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent sees of jobs in the engine's queue that are not ours: those of owners that wait
    for nodes or have them, and nodes that jobs of others hold. `fence_stands`: whether the nodes
    are closed to such jobs."""

    jobs: tuple[OwnerJob, ...]
    taken: tuple[TakenNode, ...]
    fence_stands: bool


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
