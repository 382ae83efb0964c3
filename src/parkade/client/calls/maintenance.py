"""Calls about windows in which nodes are out of use."""

from collections.abc import Mapping
from typing import Any

from parkade.client.call import Call, body_of, checked, get, get_list, path_id, post
from parkade.wire import maintenance


def schedule_maintenance(
    window: maintenance.ScheduleMaintenance | Mapping[str, Any],
) -> Call[maintenance.Maintenance]:
    """Nodes are emptied in time for a window, and take work again at its end: a
    ScheduleMaintenance, or a dict of its keys."""
    body = body_of(maintenance.ScheduleMaintenance, window)
    return post("/maintenance", maintenance.Maintenance, body)


def list_maintenance() -> Call[maintenance.Maintenances]:
    """The maintenance windows that are not over."""
    return get_list("/maintenance", maintenance.Maintenances, "maintenance")


def get_maintenance(window: str) -> Call[maintenance.Maintenance]:
    """One maintenance window that is not over."""
    return get(f"/maintenance/{path_id(window)}", maintenance.Maintenance)


def change_maintenance(
    window: str,
    *,
    start: str | None = None,
    end: str | None = None,
    force: bool = False,
    if_match: str | None = None,
) -> Call[maintenance.Maintenance]:
    """Another start or end of a maintenance window."""
    body = checked(maintenance.ChangeMaintenance, start=start, end=end, force=force)
    return post(
        f"/maintenance/{path_id(window)}/change", maintenance.Maintenance, body, if_match=if_match
    )


def cancel_maintenance(
    window: str, *, if_match: str | None = None
) -> Call[maintenance.Maintenance]:
    """A window is given up, or ends now; the window as it was."""
    return post(
        f"/maintenance/{path_id(window)}/cancel", maintenance.Maintenance, if_match=if_match
    )
