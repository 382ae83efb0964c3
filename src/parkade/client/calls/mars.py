"""Calls about the repair of sick nodes; operators only."""

from parkade.client.call import Call, get, get_list, path_id, post
from parkade.wire import mars


def mars_status() -> Call[mars.Status]:
    """What Mars sees and may do; operators only."""
    return get("/mars", mars.Status)


def set_automation(
    request: mars.SetAutomation, *, if_match: str | None = None
) -> Call[mars.Status]:
    """Stop or start all automatic action, or change its budgets."""
    return post("/mars/automation", mars.Status, request, if_match=if_match)


def incidents(node: str | None = None, *, open: bool | None = None) -> Call[mars.Incidents]:
    """Open incidents and the last closed ones, the newest first."""
    return get_list("/mars/incidents", mars.Incidents, "incidents", node=node, open=open)


def incident(name: str) -> Call[mars.Incident]:
    """One incident: the whole story."""
    return get(f"/mars/incidents/{path_id(name)}", mars.Incident)
