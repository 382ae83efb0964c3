"""Calls about reservations, lending and claims."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from parkade.client.call import Call, body_of, checked, get, get_list, path_id, post
from parkade.wire import effects, reservations


def create_reservation(
    reservation: reservations.Reserve | Mapping[str, Any],
) -> Call[reservations.Reservation]:
    """Nodes for a window: a Reserve, or a dict of its keys."""
    body = body_of(reservations.Reserve, reservation)
    return post("/reservations", reservations.Reservation, body)


def plan_reservation(
    reservation: reservations.Reserve | Mapping[str, Any],
) -> Call[reservations.ReservationPlan]:
    """What a reservation would be and cost; nothing is bought."""
    body = body_of(reservations.Reserve, reservation)
    return post("/reservations/plan", reservations.ReservationPlan, body)


def list_reservations() -> Call[reservations.Reservations]:
    """The reservations the caller may see."""
    return get_list("/reservations", reservations.Reservations, "reservations")


def get_reservation(reservation: str) -> Call[reservations.Reservation]:
    """One reservation."""
    return get(f"/reservations/{path_id(reservation)}", reservations.Reservation)


def extend_reservation(
    reservation: str, *, end: str, if_match: str | None = None
) -> Call[reservations.Reservation]:
    """A later end, at the rate that was agreed."""
    body = checked(reservations.Extend, end=end)
    return post(
        f"/reservations/{path_id(reservation)}/extend",
        reservations.Reservation,
        body,
        if_match=if_match,
    )


def plan_extend_reservation(reservation: str, *, end: str) -> Call[reservations.ReservationChange]:
    """What a later end would cost; nothing is changed."""
    body = checked(reservations.Extend, end=end)
    return post(
        f"/reservations/{path_id(reservation)}/extend/plan", reservations.ReservationChange, body
    )


def split_reservation(
    reservation: str,
    *,
    nodes: int,
    name: str | None = None,
    org: str | None = None,
    if_match: str | None = None,
) -> Call[reservations.Reservation]:
    """Nodes of a reservation become one of their own, or, by an operator, another org's."""
    body = checked(reservations.Split, nodes=nodes, name=name, org=org)
    return post(
        f"/reservations/{path_id(reservation)}/split",
        reservations.Reservation,
        body,
        if_match=if_match,
    )


def plan_split_reservation(
    reservation: str, *, nodes: int, name: str | None = None, org: str | None = None
) -> Call[reservations.ReservationChange]:
    """What a part of its own, or another org's, would be and cost; nothing is changed."""
    body = checked(reservations.Split, nodes=nodes, name=name, org=org)
    return post(
        f"/reservations/{path_id(reservation)}/split/plan", reservations.ReservationChange, body
    )


def shrink_reservation(
    reservation: str, *, nodes: int, if_match: str | None = None
) -> Call[reservations.Reservation]:
    """Nodes of a reservation are given up."""
    body = checked(reservations.Shrink, nodes=nodes)
    return post(
        f"/reservations/{path_id(reservation)}/shrink",
        reservations.Reservation,
        body,
        if_match=if_match,
    )


def plan_shrink_reservation(
    reservation: str, *, nodes: int
) -> Call[reservations.ReservationChange]:
    """What is kept of nodes that are given up; nothing is changed."""
    body = checked(reservations.Shrink, nodes=nodes)
    return post(
        f"/reservations/{path_id(reservation)}/shrink/plan", reservations.ReservationChange, body
    )


def end_reservation(
    reservation: str, *, if_match: str | None = None
) -> Call[reservations.Reservation]:
    """An open-ended reservation ends with the period that is paid; one that has not begun, now."""
    return post(
        f"/reservations/{path_id(reservation)}/end", reservations.Reservation, if_match=if_match
    )


def plan_end_reservation(reservation: str) -> Call[reservations.ReservationChange]:
    """When a reservation would end, and what is kept of it; nothing is changed."""
    return post(f"/reservations/{path_id(reservation)}/end/plan", reservations.ReservationChange)


def lend_reservation(
    reservation: str,
    *,
    floor: Decimal | str | None,
    keep: int | None = None,
    if_match: str | None = None,
) -> Call[reservations.Reservation]:
    """The standing offer of a reservation; no floor stops lending."""
    body = checked(reservations.Lend, floor=floor, keep=keep)
    return post(
        f"/reservations/{path_id(reservation)}/lend",
        reservations.Reservation,
        body,
        if_match=if_match,
    )


def plan_lend_reservation(
    reservation: str, *, floor: Decimal | str | None, keep: int | None = None
) -> Call[effects.Effect]:
    """The guests that an offer would tell to leave; nothing is changed."""
    body = checked(reservations.Lend, floor=floor, keep=keep)
    return post(f"/reservations/{path_id(reservation)}/lend/plan", effects.Effect, body)


def claim_nodes(
    reservation: str, *, nodes: int, if_match: str | None = None
) -> Call[reservations.Claim]:
    """The owner keeps nodes of its reservation for itself."""
    body = checked(reservations.MakeClaim, nodes=nodes)
    return post(
        f"/reservations/{path_id(reservation)}/claims", reservations.Claim, body, if_match=if_match
    )


def get_claim(claim: str) -> Call[reservations.Claim]:
    """One claim."""
    return get(f"/claims/{path_id(claim)}", reservations.Claim)


def unclaim_nodes(claim: str, *, if_match: str | None = None) -> Call[reservations.Claim]:
    """The claimed nodes are idle again."""
    return post(f"/claims/{path_id(claim)}/unclaim", reservations.Claim, if_match=if_match)


def list_claims() -> Call[reservations.Claims]:
    """The claims the caller may see."""
    return get_list("/claims", reservations.Claims, "claims")
