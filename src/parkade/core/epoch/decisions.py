"""A writer begins an epoch; a person confirms the clock after a jump."""

from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision


def open_epoch(world: World, command: commands.OpenEpoch, now_us: int) -> Decision:
    """A new writer's first event; the installation keeps the id of its first."""
    installation = world.records.installation or command.installation
    assert installation and command.lineage, "a journal's ids are drawn before it is opened"
    return (
        events.EpochOpened(
            at_us=now_us,
            epoch=world.records.epoch + 1,
            installation=installation,
            lineage=command.lineage,
        ),
    )


def confirm_clock(world: World, now_us: int) -> Decision:
    """Clearing goes on after a jump of the clock."""
    if not world.records.is_clock_doubted:
        return ()
    return (events.ClockConfirmed(at_us=now_us),)
