"""What a process needs of its surroundings: the time, waiting, and being the only one."""

from typing import Protocol


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
