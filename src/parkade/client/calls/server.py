"""Calls about the server itself: how it stands, its clock, and every node at a glance."""

from parkade.client.call import Call, get, post
from parkade.wire import feed
from parkade.wire import lot as lots


def get_server() -> Call[feed.Standing]:
    """How the server stands: its clock, and what does not work now."""
    return get("/server", feed.Standing)


def confirm_clock() -> Call[feed.Confirmed]:
    """The clock's jump was right; clearing goes on."""
    return post("/clock/confirm", feed.Confirmed)


def get_lot() -> Call[lots.Lot]:
    """Every node with what sits or waits there: for an operator all of it, else the own org's."""
    return get("/lot", lots.Lot)
