"""Calls about the repair of sick nodes; operators only."""

from collections.abc import Mapping
from typing import Any

from parkade.client.call import Call, body_of, get, get_list, path_id, post
from parkade.wire import mars


def get_mars() -> Call[mars.Status]:
    """What Mars sees and may do; operators only."""
    return get("/mars", mars.Status)


def set_automation(
    change: mars.SetAutomation | Mapping[str, Any], *, if_match: str | None = None
) -> Call[mars.Status]:
    """Stop or start all automatic action, or change its budgets: a SetAutomation, or a dict of its
    keys; what is left out stays."""
    body = body_of(mars.SetAutomation, change)
    return post("/mars/automation", mars.Status, body, if_match=if_match)


def list_incidents(node: str | None = None, *, open: bool | None = None) -> Call[mars.Incidents]:
    """Open incidents and the last closed ones, the newest first."""
    return get_list("/mars/incidents", mars.Incidents, "incidents", node=node, open=open)


def get_incident(incident: str) -> Call[mars.Incident]:
    """One incident: the whole story."""
    return get(f"/mars/incidents/{path_id(incident)}", mars.Incident)
