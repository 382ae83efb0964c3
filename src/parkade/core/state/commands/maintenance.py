"""Commands about windows in which nodes are out of use."""

from parkade.core.state.commands.command import Command


class AboutMaintenance(Command, frozen=True, kw_only=True):
    """All commands about windows of maintenance."""


class ScheduleMaintenance(AboutMaintenance, frozen=True, kw_only=True):
    """Empty nodes in time for a window, and let them take work again at its end. `start_us` None:
    now. `is_forced`: also where owners are short of nodes for it."""

    nodes: tuple[str, ...]
    start_us: int | None
    end_us: int
    reason: str
    is_forced: bool


class ChangeMaintenance(AboutMaintenance, frozen=True, kw_only=True):
    """Another start or end of a window; None leaves it as it is."""

    maintenance: str
    start_us: int | None
    end_us: int | None
    is_forced: bool


class CancelMaintenance(AboutMaintenance, frozen=True, kw_only=True):
    """A window is given up, or ends now where it has begun."""

    maintenance: str


MaintenanceCommand = ScheduleMaintenance | ChangeMaintenance | CancelMaintenance
"""About windows in which nodes are out of use."""
