"""Whether Mars acts by itself, and within which budgets, as a person says."""

from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.state.world import World
from parkade.core.steps.refusals import Decision


def set_automation(world: World, command: commands.SetAutomation, now_us: int) -> Decision:
    """Stopped or started, and other budgets; nothing that runs is ended by it. What was
    held is asked again at once where Mars starts, or its budgets are lifted."""
    before = world.records.automation
    guards = replace(
        before.guards,
        fabric_share=command.fabric_share or before.guards.fabric_share,
        fleet_share=command.fleet_share or before.guards.fleet_share,
    )
    after = replace(
        before,
        is_on=before.is_on if command.is_on is None else command.is_on,
        is_limited=before.is_limited if command.is_limited is None else command.is_limited,
        reason=command.reason,
        guards=guards,
    )
    if replace(after, reason=before.reason) == before:
        return ()
    after = replace(after, by=command.by, set_us=now_us)
    is_lifted = before.is_limited and not after.is_limited
    asks = after.is_on and (is_lifted or not before.is_on)
    return (events.AutomationSet(at_us=now_us, automation=after, asks_held=asks),)
