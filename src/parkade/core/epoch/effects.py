"""Effects on the epoch and on the trust in the clock."""

from parkade.core.state import events
from parkade.core.state.world import World


def open_epoch(world: World, event: events.EpochOpened) -> None:
    """Epochs count up; the installation keeps the id that its first epoch gave it."""
    assert event.epoch > world.records.epoch, "an epoch was repeated"
    world.records.epoch = event.epoch
    world.records.lineage = event.lineage
    if event.accepts_agents:
        world.records.accepting_epoch = event.epoch
    if world.records.installation is None:
        world.records.installation = event.installation


def doubt_clock(world: World) -> None:
    """No clearing runs from here on until a person confirms the clock."""
    world.records.is_clock_doubted = True


def confirm_clock(world: World) -> None:
    """Clearings may run again."""
    world.records.is_clock_doubted = False
