"""What an engine may do beyond its contract: all of it, and nowhere else.

An agent asks `isinstance`, which looks at the methods' names.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from parkade.ports import (
    DesiredAttempt,
    DesiredState,
    ExecRequest,
    ExecSession,
    FolderAnswer,
    FolderLook,
    LogRequest,
    OwnerReport,
    WorkloadFolder,
)


@runtime_checkable
class TellsChanges(Protocol):
    """An optional capability of an engine: it says when something changed."""

    async def wait_changed(self, timeout_s: float) -> None:
        """Returns at a change, or after the time given."""
        ...


@runtime_checkable
class ServesOwners(Protocol):
    """An optional capability of an engine with a queue of its own: it fences the pool's nodes,
    tells of other jobs there, and lets owners' jobs run on the nodes that they were given."""

    async def serve_owners(self, desired: DesiredState) -> OwnerReport | None:
        """As of the last look at everything; None where that is not known."""
        ...


@runtime_checkable
class KeepsLeases(Protocol):
    """An optional capability of an engine: it ends guests that the control plane cannot reach."""

    async def renew_leases(self) -> None:
        """The control plane was heard: no lease lapses before its span from now."""
        ...


@runtime_checkable
class ResizesLive(Protocol):
    """An optional capability of an engine: it starts and ends single ranks of an attempt that
    runs."""

    async def resize(self, attempt: DesiredAttempt) -> None:
        """Makes its ranks those of `attempt.members`, and returns at once; observations tell how
        far it is. Twice is once, and an older one changes nothing."""
        ...


@runtime_checkable
class OpensExecs(Protocol):
    """An optional capability of an engine: it runs a command beside a rank."""

    async def open_exec(self, request: ExecRequest) -> ExecSession:
        """Returns once it runs. EngineError where it does not."""
        ...


@runtime_checkable
class KnowsLogTimes(Protocol):
    """An engine that knows when the output of its attempts came."""

    async def log_offset(self, request: LogRequest) -> int | None:
        """Where output begins that came at `request.at_us` or later; early by at most a second, and
        a 4,096th of the time for which that segment has been written. None where that is not known
        of this attempt. Raises InvalidSpec as `logs`."""
        ...


@runtime_checkable
class KeepsFolders(Protocol):
    """An optional capability of an engine: it keeps folders of workloads and can delete them."""

    async def idle_folders(self, now_us: int) -> FolderLook:
        """Those among the next part of all that run nothing, and of which is not known until when
        they are kept, or whose time has come."""
        ...

    async def settle_folders(
        self, asked: Sequence[WorkloadFolder], answers: Sequence[FolderAnswer]
    ) -> Sequence[str]:
        """Keeps what was answered, and has those go that are due; which they are."""
        ...

    async def delete_folders(self) -> Sequence[str]:
        """Deletes a part of what is to go; what cannot be deleted, and why."""
        ...
