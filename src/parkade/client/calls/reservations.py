"""Calls about reservations, lending and claims."""

from decimal import Decimal

from parkade.client.call import Call, checked, get, get_list, path_id, post
from parkade.wire import effects, reservations


def reserve(request: reservations.Reserve) -> Call[reservations.Reservation]:
    """Nodes for a window."""
    return post("/reservations", reservations.Reservation, request)


def plan_reservation(request: reservations.Reserve) -> Call[reservations.ReservationPlan]:
    """What a reservation would be and cost; nothing is bought."""
    return post("/reservations/plan", reservations.ReservationPlan, request)


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


def plan_extend(reservation: str, *, end: str) -> Call[reservations.ReservationChange]:
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


def plan_split(
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


def plan_shrink(reservation: str, *, nodes: int) -> Call[reservations.ReservationChange]:
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


def plan_end(reservation: str) -> Call[reservations.ReservationChange]:
    """When a reservation would end, and what is kept of it; nothing is changed."""
    return post(f"/reservations/{path_id(reservation)}/end/plan", reservations.ReservationChange)


def lend(
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


def plan_lend(
    reservation: str, *, floor: Decimal | str | None, keep: int | None = None
) -> Call[effects.Effect]:
    """The guests that an offer would tell to leave; nothing is changed."""
    body = checked(reservations.Lend, floor=floor, keep=keep)
    return post(f"/reservations/{path_id(reservation)}/lend/plan", effects.Effect, body)


def claim(reservation: str, *, nodes: int, if_match: str | None = None) -> Call[reservations.Claim]:
    """The owner keeps nodes of its reservation for itself."""
    body = checked(reservations.MakeClaim, nodes=nodes)
    return post(
        f"/reservations/{path_id(reservation)}/claims", reservations.Claim, body, if_match=if_match
    )


def get_claim(claim: str) -> Call[reservations.Claim]:
    """One claim."""
    return get(f"/claims/{path_id(claim)}", reservations.Claim)


def unclaim(claim: str, *, if_match: str | None = None) -> Call[reservations.Claim]:
    """The claimed nodes are idle again."""
    return post(f"/claims/{path_id(claim)}/unclaim", reservations.Claim, if_match=if_match)


def claims() -> Call[reservations.Claims]:
    """The claims the caller may see."""
    return get_list("/claims", reservations.Claims, "claims")
