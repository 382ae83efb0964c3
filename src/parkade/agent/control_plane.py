"""The control plane as an agent sees it: what it asks for, and what it reports.

Every call may be repeated harmlessly. The agent never assumes that it is heard.
"""

from pathlib import Path
from typing import Protocol, runtime_checkable

from parkade.ports import (
    DesiredState,
    ExecInput,
    ExecOutput,
    ExecRequest,
    HealthReport,
    LogRequest,
    Obeyed,
    Observation,
)


class ControlPlaneError(Exception):
    """The control plane could not be reached or did not understand; repeat it later."""


class Refused(ControlPlaneError):
    """The token is not good for this pool, or there is no such pool: repeating it will not help."""


class ReaderGone(ControlPlaneError):
    """The reader of the output has gone; stop sending."""


@runtime_checkable
class ChecksJournals(Protocol):
    """An optional capability of a control plane: it says whether its journal is the one that the
    agent obeyed before, and answers nothing else where it is not."""

    def obeys(self, obeyed: Obeyed | None) -> None:
        """What the agent obeyed last."""
        ...


@runtime_checkable
class KnowsAgents(Protocol):
    """An optional capability of a control plane: it keeps two agents of one pool apart."""

    def is_asked_by(self, agent: str, folder: Path) -> None:
        """The agent's own random name, and the folder that it keeps its memory in."""
        ...


@runtime_checkable
class CarriesExecs(Protocol):
    """An optional capability of a control plane: it carries commands beside ranks (`ports.execs`).
    Each method raises ReaderGone where the session is over."""

    async def exec_requests(self, wait_s: float) -> list[ExecRequest]:
        """Those not begun yet, after at most `wait_s`; ReaderGone: it knows no sessions."""
        ...

    async def exec_input(self, session: str, after: int, windows: int, wait_s: float) -> ExecInput:
        """The input from a byte on, and the window where it changed more often than `windows`."""
        ...

    async def exec_output(self, session: str, output: ExecOutput, wait_s: float) -> bool:
        """Hands over output; false where there was no room for it in time."""
        ...


class ControlPlane(Protocol):
    """Each method raises ControlPlaneError, and nothing else, when it fails."""

    async def desired(self, after: tuple[int, int] | None, wait_s: float) -> DesiredState | None:
        """The desired state once it is newer than (epoch, sequence); None when unchanged."""
        ...

    async def report(self, observation: Observation) -> None:
        """Hands over a whole observation."""
        ...

    async def report_health(self, report: HealthReport) -> None:
        """Hands over what was found and done; heard once it returns."""
        ...

    async def log_requests(self, wait_s: float) -> list[LogRequest]:
        """Requests that are not served yet, after at most `wait_s`."""
        ...

    async def send_log(self, request_id: str, chunk: bytes, is_last: bool) -> None:
        """A piece of output; raises ReaderGone when it is no longer wanted."""
        ...
