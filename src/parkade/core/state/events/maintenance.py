"""Events about windows in which nodes are out of use."""

from parkade.core.fleet.maintenance import Maintenance
from parkade.core.state.events.event import Event
from parkade.core.units.time import Window


class AboutMaintenance(Event, frozen=True, kw_only=True):
    """All events about windows of maintenance."""


class MaintenanceScheduled(AboutMaintenance, frozen=True, kw_only=True):
    """Nodes will be out of use over a window."""

    maintenance: Maintenance


class MaintenanceChanged(AboutMaintenance, frozen=True, kw_only=True):
    """A maintenance window is at another time."""

    maintenance: str
    window: Window

    lead_us: int | None = None
    """So long before its start its nodes are emptied; None in journals of before it was kept."""


class MaintenanceBegun(AboutMaintenance, frozen=True, kw_only=True):
    """The nodes of a window are being emptied; their cordons and notices are events beside."""

    maintenance: str


class MaintenanceEnded(AboutMaintenance, frozen=True, kw_only=True):
    """A window is over, or was cancelled."""

    maintenance: str
    is_cancelled: bool


MaintenanceEvent = MaintenanceScheduled | MaintenanceChanged | MaintenanceBegun | MaintenanceEnded
"""About windows in which nodes are out of use."""
