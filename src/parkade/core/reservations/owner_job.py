"""A job that an owner has in an engine's own queue, as its pool's agent tells of it."""

from typing import Annotated

import msgspec

Word = Annotated[str, msgspec.Meta(max_length=200)]
MOST_OWNER_JOBS = 10_000


class OwnerJob(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A job that waits for nodes, or has them, by the right of a reservation."""

    job: Word
    """The engine's name of it, never used twice while Parkade knows it."""

    reservation: Word

    nodes: int
    """Whole nodes that it can use."""

    least: int
    """With fewer it cannot begin."""

    runs_on: tuple[Word, ...] = ()
    """Nodes on which the engine started it by itself, and not where its owner was given nodes."""
