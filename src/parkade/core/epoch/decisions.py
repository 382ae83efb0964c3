"""A writer begins an epoch; a person confirms the clock after a jump."""

from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision
from parkade.core.units.time import SECOND_US


def open_epoch(world: World, command: commands.OpenEpoch, now_us: int) -> Decision:
    """A new writer's first event; the installation keeps the id of its first.

    The number is the date in seconds since 1970, or one more than the last: a server whose data
    was put back from a backup begins above every epoch that its agents remember, though it has
    forgotten some.
    """
    installation = world.records.installation or command.installation
    assert installation and command.lineage, "a journal's ids are drawn before it is opened"
    return (
        events.EpochOpened(
            at_us=now_us,
            epoch=max(world.records.epoch + 1, now_us // SECOND_US, command.least),
            installation=installation,
            lineage=command.lineage,
            accepts_agents=command.accepts_agents,
        ),
    )


def confirm_clock(world: World, now_us: int) -> Decision:
    """Clearing goes on after a jump of the clock."""
    if not world.records.is_clock_doubted:
        return ()
    return (events.ClockConfirmed(at_us=now_us),)
