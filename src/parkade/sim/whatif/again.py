"""The steps of a journal decided once more in a new world: the proof that nothing else was asked.

The digest is the chain of the journal itself (`core.state.chain`), over events as this program
writes them. For a journal of this version it is the journal's own digest.
"""

from collections.abc import Callable, Iterable

from parkade.core.kernel.deadlines import take_deadline
from parkade.core.kernel.decide import decide
from parkade.core.kernel.evolve import evolve
from parkade.core.state import events
from parkade.core.state.chain import GENESIS, link
from parkade.core.state.codec import encode_event
from parkade.core.state.world import Records, World
from parkade.core.units.refusal import Refusal
from parkade.sim.whatif.explain import Asked, Deadline, Fact, Step


class Chain:
    """The digest of a journal, event by event."""

    def __init__(self) -> None:
        self.digest = GENESIS
        self.sequence = 0

    def add(self, event: events.AnyEvent, epoch: int) -> None:
        """The next one; `epoch` is that of the world right after it, or of its batch."""
        self.sequence += 1
        self.digest = link(
            self.digest,
            sequence=self.sequence,
            epoch=epoch,
            at_us=event.at_us,
            type=type(event).__name__,
            version=events.EVENT_VERSION,
            body=encode_event(event),
        )


def digest_of(journal: Iterable[events.AnyEvent]) -> str:
    """The chain over a journal's events."""
    chain, epoch = Chain(), 0
    for event in journal:
        if isinstance(event, events.EpochOpened):
            epoch = event.epoch
        chain.add(event, epoch)
    return chain.digest


def decide_again(
    steps: Iterable[Step], follow: Callable[[events.AnyEvent, World], None]
) -> tuple[str, World]:
    """Decides every step from an empty world: (the digest of what came of it, the world at the
    end). `follow` is told each event once it was evolved."""
    world, chain = World(Records()), Chain()
    for step in steps:
        for event in _made(world, step):
            evolve(world, event)
            chain.add(event, world.records.epoch)
            follow(event, world)
    return chain.digest, world


def _made(world: World, step: Step) -> tuple[events.AnyEvent, ...]:
    match step:
        case Fact(event=event):
            return (event,)
        case Deadline():
            return take_deadline(world)
        case Asked(now_us=now_us, command=command):
            made = decide(world, command, now_us)
            assert not isinstance(made, Refusal), f"{command} is refused now: {made.detail}"
            return made
