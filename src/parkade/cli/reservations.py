"""Reservations, lending and claims."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling
from parkade.cli.confirming import Yes, agree, confirm_for_good
from parkade.cli.names import ClaimName, ReservationName

MOST_DIGITS = 9

if TYPE_CHECKING:
    from parkade.wire import reservations as wire


def _whole_nodes(text: str) -> int:
    """A count of nodes, as it stands for `reserve`."""
    if not text.isdecimal() or len(text) > MOST_DIGITS:
        says = f"{text!r} is no count of nodes; write one like 2: parkade reserve 2 --name NAME"
        raise typer.BadParameter(says)
    return int(text)


def reserve(
    nodes: Annotated[
        int, typer.Argument(help="Whole nodes.", parser=_whole_nodes, metavar="NODES")
    ],
    name: Annotated[str | None, typer.Option(help="Name of the reservation.")] = None,
    market: Annotated[str | None, typer.Option(help="Needed if there are several.")] = None,
    org: Annotated[str | None, typer.Option(help="Its owner; operators only.")] = None,
    start: Annotated[
        str, typer.Option("--start", "--from", help="now, +2h, or 2026-01-31T12:00:00Z.")
    ] = "now",
    end: Annotated[
        str | None, typer.Option("--end", "--to", help="Like --start; default: open-ended.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it costs; buy nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Reserve nodes for a window; the whole window is charged."""
    from parkade.cli.screen import show
    from parkade.wire.reservations import Reserve
    from parkade.wire.yaml import check

    given = {"nodes": nodes, "name": name, "market": market, "org": org, "start": start}
    with calling(as_json=as_json) as client:
        request = check({**given, "end": end}, Reserve)
        if plan:
            show(client.plan_reservation(request), _plan, as_json=as_json)
            return
        show(client.create_reservation(request), _one, as_json=as_json)


def reservations(as_json: AsJson = False) -> None:
    """List reservations and what they lend."""
    call(lambda client: client.list_reservations(), _table, as_json=as_json)


Plan = Annotated[bool, typer.Option("--plan", help="Say what it costs; change nothing.")]


def end(
    reservation: ReservationName,
    yes: Yes = False,
    plan: Plan = False,
    as_json: AsJson = False,
) -> None:
    """End an open-ended reservation, or give up one that has not begun.

    The first ends with the period that is paid; the other ends at once, and what is paid for it is
    kept, so that asks before."""
    from parkade.cli.screen import say, show
    from parkade.wire.scalars import format_amount

    with calling(as_json=as_json) as client:
        if plan:
            show(client.plan_end_reservation(reservation), _change, as_json=as_json)
            return
        before = client.get_reservation(reservation)
        is_given_up = before.state == "sold"
        paid = format_amount(before.paid or Decimal())
        is_asked = is_given_up and confirm_for_good(
            f"{before.reservation} has not begun, and is given up; {paid} is paid for it and kept",
            yes=yes,
        )
        ended = client.end_reservation(reservation, if_match=before.etag if is_asked else None)
        if is_given_up and not as_json:
            say(f"{ended.reservation}: given up; {paid} that was paid for it is kept")
        show(ended, _one, as_json=as_json)


def extend(
    reservation: ReservationName,
    end: Annotated[
        str,
        typer.Option(
            "--end", "--to", help="+2h: two hours after its present end; or like 2026-01-31."
        ),
    ],
    plan: Plan = False,
    as_json: AsJson = False,
) -> None:
    """Let a reservation end later, at the rate that was agreed."""
    if plan:
        call(
            lambda client: client.plan_extend_reservation(reservation, end=end),
            _change,
            as_json=as_json,
        )
        return
    call(lambda client: client.extend_reservation(reservation, end=end), _one, as_json=as_json)


def split(
    reservation: ReservationName,
    nodes: Annotated[int, typer.Argument(help="Whole nodes of the part.", min=1)],
    name: Annotated[str | None, typer.Option(help="Name of the part.")] = None,
    org: Annotated[str | None, typer.Option(help="Hand it to this org; operators only.")] = None,
    yes: Yes = False,
    plan: Plan = False,
    as_json: AsJson = False,
) -> None:
    """Make nodes of a reservation one of their own, or hand them over, which asks before."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        if plan:
            change = client.plan_split_reservation(reservation, nodes=nodes, name=name, org=org)
            show(change, _change, as_json=as_json)
            return
        seen = None
        if org is not None:
            before = client.get_reservation(reservation)
            change = client.plan_split_reservation(reservation, nodes=nodes, name=name, org=org)
            seen = before.etag if confirm_for_good("; ".join(change.says), yes=yes) else None
        made = client.split_reservation(reservation, nodes=nodes, name=name, org=org, if_match=seen)
        show(made, _one, as_json=as_json)


def shrink(
    reservation: ReservationName,
    nodes: Annotated[int, typer.Argument(help="Whole nodes to give up.", min=1)],
    yes: Yes = False,
    plan: Plan = False,
    as_json: AsJson = False,
) -> None:
    """Give up nodes of a reservation that is open-ended or has not begun.

    The first leave with the period that is paid; the others at once, and what is paid for them is
    kept, so that asks before."""
    from parkade.cli.screen import show

    with calling(as_json=as_json) as client:
        before = client.get_reservation(reservation)
        change = client.plan_shrink_reservation(reservation, nodes=nodes)
        if plan:
            show(change, _change, as_json=as_json)
            return
        is_asked = change.kept is not None and confirm_for_good("; ".join(change.says), yes=yes)
        seen = before.etag if is_asked else None
        shrunk = client.shrink_reservation(reservation, nodes=nodes, if_match=seen)
        show(shrunk, _one, as_json=as_json)


def lend(
    reservation: ReservationName,
    floor: Annotated[str | None, typer.Option(help="The least you receive per GPU-hour.")] = None,
    keep: Annotated[
        int | None, typer.Option(help="Nodes you never lend; default: as before.", min=0)
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Stop lending.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Lend idle nodes of a reservation until you need them.

    Where guests may have to leave by a new offer, that is said before, and asked."""
    from parkade.cli.screen import show

    if stop is (floor is not None):
        raise typer.BadParameter("give either --floor or --stop")
    with calling(as_json=as_json) as client:
        before = client.get_reservation(reservation)
        is_asked = agree(client.plan_lend_reservation(reservation, floor=floor, keep=keep), yes=yes)
        seen = before.etag if is_asked else None
        changed = client.lend_reservation(reservation, floor=floor, keep=keep, if_match=seen)
        show(changed, _one, as_json=as_json)


def waits(as_json: AsJson = False) -> None:
    """Show waits for seats that others held or just left, and what one more kept node changes."""
    from parkade.cli.screen import table

    def render(answer: "wire.Reservations") -> None:
        table(
            ("RESERVATION", "WAITS", "LONGEST", "IN ALL", "SPARED BY ONE MORE KEPT"),
            [
                (
                    each.reservation,
                    each.waits.times,
                    f"{each.waits.longest.total_seconds():.1f}s",
                    f"{each.waits.total.total_seconds():.1f}s",
                    each.waits.times_one_more_kept,
                )
                for each in answer.reservations
            ],
            empty="No reservations.",
        )

    call(lambda client: client.list_reservations(), render, as_json=as_json)


def claim(
    reservation: ReservationName,
    nodes: Annotated[int, typer.Argument(help="Whole nodes.", min=1)],
    as_json: AsJson = False,
) -> None:
    """Take nodes of your reservation for yourself.

    Guests there get the market's notice."""
    call(lambda client: client.claim_nodes(reservation, nodes=nodes), _claim, as_json=as_json)


def unclaim(claim: ClaimName, as_json: AsJson = False) -> None:
    """Give claimed nodes back to your reservation."""
    from parkade.cli.screen import say

    call(
        lambda client: client.unclaim_nodes(claim),
        lambda gone: say(f"{gone.claim}: given up"),
        as_json=as_json,
    )


def claims(as_json: AsJson = False) -> None:
    """List claims and their nodes."""
    from parkade.cli.screen import table

    def render(answer: "wire.Claims") -> None:
        table(
            ("CLAIM", "RESERVATION", "ORG", "NODES", "STATE", "SEATS"),
            [
                (
                    each.claim,
                    each.reservation,
                    each.org,
                    each.nodes,
                    _state_of(each),
                    " ".join(each.seats),
                )
                for each in answer.claims
            ],
            empty="No claims.",
            right="NODES",
        )

    call(lambda client: client.list_claims(), render, as_json=as_json)


def _state_of(claim: "wire.Claim") -> str:
    """In a word or a few."""
    if not claim.seated:
        return claim.why or "waits"
    if not claim.missing:
        return "yours"
    awaits = f"promised {' '.join(claim.promised)}" if claim.promised else claim.why
    return f"yours but {claim.missing}: {awaits}"


def _claim(claim: "wire.Claim") -> None:
    from parkade.cli.screen import say
    from parkade.core.units.phrases import counted

    state = f"yours: {' '.join(claim.seats)}" if claim.seated else "waits for its nodes"
    if claim.missing:
        state += f"; {counted(claim.missing, 'node')} missing"
    say(f"{claim.claim}: {counted(claim.nodes, 'node')} of {claim.reservation}, {state}")


def _lending(lending: "wire.Lending | None") -> str | None:
    from parkade.wire.scalars import format_amount

    if lending is None:
        return None
    keeps = f", keeps {lending.keep}" if lending.keep else ""
    return f"from {format_amount(lending.floor)}{keeps}"


def _one(answer: "wire.Reservation") -> None:
    from parkade.cli.screen import fields
    from parkade.wire.scalars import format_amount

    shape = " + ".join(f"{nodes} in {fabric}" for fabric, nodes in answer.shape.items())
    fields(
        [
            ("reservation", answer.reservation),
            ("org", answer.org),
            ("state", _state(answer)),
            ("nodes", f"{answer.nodes} × {answer.gpus_per_node} GPUs: {shape}"),
            ("market", answer.market),
            ("window", _window(answer)),
            ("rate", f"{format_amount(answer.rate)} per GPU-hour"),
            ("paid until", answer.paid_until),
            ("paid", answer.paid),
            ("earned", _earned(answer)),
            ("lending", _lending(answer.lending) or "nothing"),
            ("cost", answer.cost.says),
        ]
    )


def _plan(answer: "wire.ReservationPlan") -> None:
    from parkade.cli.screen import fields, say
    from parkade.wire.scalars import format_amount

    shape = " + ".join(f"{nodes} in {fabric}" for fabric, nodes in answer.shape.items())
    until = f"{answer.paid_until:%Y-%m-%d %H:%M:%S}"
    in_all = "by billing period, until it is ended"
    fields(
        [
            ("nodes", f"{answer.nodes} × {answer.gpus_per_node} GPUs: {shape}"),
            ("market", answer.market),
            ("window", _window(answer)),
            ("rate", f"{format_amount(answer.rate)} per GPU-hour"),
            ("now", f"{format_amount(answer.now)}, for its time until {until} UTC"),
            ("in all", in_all if answer.in_all is None else format_amount(answer.in_all)),
            ("cost", answer.cost.says),
        ]
    )
    for each in answer.says:
        say(each)


def _change(answer: "wire.ReservationChange") -> None:
    from parkade.cli.screen import say

    for each in answer.says:
        say(each)


def _earned(answer: "wire.Reservation") -> str | None:
    from parkade.wire.scalars import format_amount

    if answer.earned is None:
        return None
    most = answer.earns_at_most
    cap = "" if most is None else f", at most {format_amount(most)} for what it paid so far"
    says = f"{format_amount(answer.earned + (answer.accrued or 0))} by lending"
    if answer.accrued:
        says += f", of which {format_amount(answer.accrued)} is not posted yet"
    return says + cap


def _state(answer: "wire.Reservation") -> str:
    return "given up" if answer.is_given_up else answer.state


def _window(answer: "wire.Reservation | wire.ReservationPlan") -> str:
    start = f"{answer.start:%Y-%m-%d %H:%M:%S}"
    if getattr(answer, "is_given_up", False):
        return f"given up before it began, {start} UTC"
    end = f" – {answer.end:%Y-%m-%d %H:%M:%S} UTC" if answer.end else " UTC – open"
    return start + end


def _table(answer: "wire.Reservations") -> None:
    from parkade.cli.screen import minute, table

    table(
        (
            "RESERVATION",
            "ORG",
            "STATE",
            "NODES",
            "USED",
            "RATE",
            "START",
            "END",
            "LENDS",
            "PAID",
            "EARNED",
        ),
        [
            (
                each.reservation,
                each.org,
                _state(each),
                each.nodes,
                each.nodes_used,
                each.rate,
                minute(each.start),
                minute(each.end) or "open",
                _lending(each.lending),
                each.paid,
                None if each.earned is None else each.earned + (each.accrued or 0),
            )
            for each in answer.reservations
        ],
        empty="No reservations.",
        right="NODES USED RATE PAID EARNED",
        drops="START RATE ORG USED PAID EARNED",
    )
