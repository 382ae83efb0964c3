"""A clearing as shown: its public part to all, its lines to those whose they are."""

from collections.abc import Iterable
from typing import Any

from parkade.api.translate.scalars import instant
from parkade.api.views.audience import Line, Owners, key_of, lines_of, rival_of
from parkade.api.views.moves import move_details, says_move
from parkade.core.fleet.seat import Seat, by_node
from parkade.core.state.events import Cleared
from parkade.core.state.lines import ClaimKept, Leaving, Repriced, Resized, Waiting, Won
from parkade.core.units.money import format_amount
from parkade.core.units.phrases import some_of
from parkade.core.workloads.life import Cause
from parkade.core.workloads.moves import MoveCause
from parkade.core.workloads.workload import Rank, Stop
from parkade.wire.scalars import format_instant

Detail = dict[str, Any]
MOST_SAID = 8


def cleared(event: Cleared, owners: Owners, org: str | None) -> tuple[str, Detail]:
    """(what to say, detail) for an org; None is an operator, who sees every line."""
    lines = [
        _line(each, org) | _rival(each, owners, org)
        for each in lines_of(event)
        if org is None or owners.is_of(org, key_of(each))
    ]
    own = "; ".join(_says(line) for line in lines[:MOST_SAID])
    rest = f"; and {len(lines) - MOST_SAID} more" if len(lines) > MOST_SAID else ""
    counts = f"{len(event.won)} won, {len(event.left)} left, {len(event.repriced)} repriced"
    detail = {
        "won": len(event.won),
        "left": len(event.left),
        "repriced": len(event.repriced),
        "ladder": _steps(event.ladder),
        "lines": lines,
    }
    if event.linked:
        detail["linked"] = [
            {"market": it.market, "ladder": _steps(it.ladder)} for it in event.linked
        ]
    return f"{', '.join(event.markets)} cleared: {own + rest or counts}", detail


def _steps(ladder: tuple[tuple[int, int | None], ...]) -> list[Detail]:
    return [{"nodes": nodes, "price": _money(price)} for nodes, price in ladder]


def _line(each: Line, org: str | None) -> Detail:
    kind, of = key_of(each)
    name = {kind: of}
    match each:
        case Won(promise=promise):
            price = promise.rates[0].price_micros if promise.rates else 0
            found = {
                **name,
                "change": "won",
                "price": _money(price),
                "seats": seat_details(promise.seats),
            }
            return found | _move(each.moved, org)
        case Leaving(stop=stop, why=why):
            price_to_win = _money(each.price_to_win_micros)
            details = stop_details(stop) if stop else {}
            found = {**name, "change": "left", "why": why, "price_to_win": price_to_win, **details}
            return found | _move(each.moved, org)
        case ClaimKept(seats=seats, replacements=replacements, why=why):
            found = {
                **name,
                "change": "kept",
                "seats": seat_details(seats),
                "promised": seat_details(tuple(it.seat for it in replacements)),
                "why": why,
            }
            return found | _move(each.moved, org)
        case Repriced(rate=rate):
            return {**name, "change": "repriced", "price": _money(rate.price_micros)}
        case Resized(ranks=ranks, rate=rate):
            found = {**name, "change": "resized", "price": _money(rate.price_micros)}
            return {**found, "ranks": rank_details(ranks)}
        case Waiting(why=why):
            price_to_win = _money(each.price_to_win_micros)
            return {**name, "change": "waits", "why": why, "price_to_win": price_to_win}


def _rival(each: Line, owners: Owners, org: str | None) -> Detail:
    """Which bid set the price of a line: by name for operators and within its org, else how large
    it is; null where a floor or an agreed price did."""
    if not isinstance(each, Won | Repriced):
        return {}
    rival = rival_of(each)
    if rival is None:
        return {"set_by": None}
    owner, gpus = owners.org_of("workload", rival), owners.gpus_of(rival)
    bid = "bid" if gpus is None else f"bid of {gpus} GPU{'' if gpus == '1' else 's'}"
    if org is None:
        whose = "" if owner is None else f", {owner}'s {bid}"
        return {"set_by": {"workload": rival, "org": owner, "says": f"{rival}{whose}"}}
    if owner == org:
        return {"set_by": {"workload": rival, "org": owner, "says": f"{rival}, your own {bid}"}}
    return {"set_by": {"workload": None, "org": None, "says": f"another org's {bid}"}}


def _set_by(line: Detail) -> str:
    rival = line.get("set_by")
    return f", set by {rival['says']}" if rival else ""


def _move(cause: MoveCause | None, org: str | None) -> Detail:
    if cause is None:
        return {}
    return {"moved": {**move_details(cause, org), "says": says_move(cause, org)}}


def _says(line: Detail) -> str:
    name = line.get("workload") or line["claim"]
    match line["change"]:
        case "won":
            return f"{name} won at {line['price']}{_set_by(line)}"
        case "kept":
            kept, promised = (
                ", ".join(seat["node"] for seat in line[of]) for of in ("seats", "promised")
            )
            return f"{name} keeps {kept}" + (f", is promised {promised}" if promised else "")
        case "repriced":
            return f"{name} pays {line['price']}{_set_by(line)}"
        case "resized":
            return f"{name} {_goes_on(line['ranks'])}"
        case "left":
            moved = line.get("moved")
            return f"{name} leaves ({moved['says'] if moved else spoken(line['why'])})"
        case _:
            return f"{name} waits ({spoken(line['why'])})"


def _goes_on(ranks: list[Detail]) -> str:
    going = [it for it in ranks if "deadline" in it]
    if not going:
        return "is promised no more than it has"
    some = some_of((it["node"] for it in going), most=6)
    return f"goes on without {some} ({spoken(going[0]['cause'])})"


def spoken(why: str) -> str:
    """A word of the machine for people: `back_off` is `back off`."""
    return why.replace("_", " ")


def _money(micros: int | None) -> str | None:
    return None if micros is None else format_amount(micros)


def stop_details(stop: Stop) -> dict[str, str]:
    """A notice's instants and its cause."""
    return {
        "cause": stop.cause.value,
        "deadline": format_instant(instant(stop.deadline_us)),
        "kill": format_instant(instant(stop.kill_us)),
    }


def leave(stop: Stop) -> str:
    """A notice in words."""
    return f"{stop.cause}, by {instant(stop.deadline_us):%H:%M:%S} UTC"


def seat_details(seats: tuple[Seat, ...]) -> list[Detail]:
    """Seats."""
    return [{"node": seat.node, "gpus": seat.gpus} for seat in seats]


def rank_details(ranks: tuple[Rank, ...]) -> list[Detail]:
    """The ranks of a live attempt, those that leave with their notice."""
    return [
        {"rank": it.rank, "node": it.seat.node, "gpus": it.seat.gpus, "begun": it.has_begun}
        | ({} if it.leaving is None else stop_details(it.leaving.stop))
        for it in ranks
    ]


def has_ranks(ranks: tuple[Rank, ...]) -> str:
    """The same in words."""
    says = f"has the ranks {rank_names(it for it in ranks if it.leaving is None)}"
    late = [it for it in ranks if it.leaving and it.leaving.stop.cause is Cause.NOT_STARTED]
    going = rank_names(it for it in ranks if it.leaving and it not in late)
    says += f"; {going} leave" if going else ""
    return says + (f"; {rank_names(late)} did not begin in time and leave" if late else "")


def rank_names(ranks: Iterable[Rank]) -> str:
    """Ranks by number and node, those that have not begun marked; the first few of many."""
    names = (
        f"{it.rank} on {it.seat.node}{'' if it.has_begun or it.leaving else ' (joining)'}"
        for it in ranks
    )
    return some_of(names, most=6)


def node_names(seats: tuple[Seat, ...]) -> str:
    """The nodes by name, each once, the first few of many."""
    return some_of((seat.node for seat in by_node(seats)), most=6)
