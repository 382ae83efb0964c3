"""What runs attempts: the one contract of every engine, and how it refuses."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from parkade.core.workloads.workload import Stop
from parkade.ports.desired import DesiredAttempt
from parkade.ports.folders import LogRequest
from parkade.ports.observed import Capabilities, Observation


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
