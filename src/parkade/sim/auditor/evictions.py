"""The audit of evictions: those told to leave for a bid are owed for, by the event alone.

What is judged is each node of whole-node work that was outbid, or of a rank of it that leaves
alone, and the bid that takes it, where that comes before it beyond doubt: at a limit above the
other's with the switching credit.

- It owes for the node where it did not run on others: it arrives, or grows.
- It owes as well where it runs and its own org moves it, or it leaves for a cheaper floor.
- Where another org's bid or on-demand moves it, that one owes at least what those had bid.
- Where an owner of another org or a broken node moves it, none owes.

- Where no winner gets a node of what is outbid whole, one that sits elsewhere owes.

For whom each was moved is in the event; one that was moved for another which was moved itself is
followed on. Where the event names none (floors, the fall-back), or one that does not come before
what it moved beyond doubt, nothing is judged.
"""

from collections.abc import Iterator
from fractions import Fraction

from parkade.sim.auditor.books import Books, Record, gpus_by_node, require
from parkade.sim.auditor.choices import in_market, market_of
from parkade.sim.auditor.live import held_by_node
from parkade.sim.auditor.orders import comes_before

OWN_CHOICE = "cheaper"
OUTBID = "outbid"

Eviction = tuple[str, str, int]
"""What is outbid, where, and with how many GPUs there."""


def judge(books: Books, event: Record) -> None:
    """A clearing, before the books take it in."""
    won = {it["demand"]["workload"]: it for it in event["won"] if "workload" in it["demand"]}
    claims = _moved_claims(event)
    takers: dict[str, list[str]] = {}
    for name, each in won.items():
        for node in gpus_by_node(each["promise"]["seats"]):
            takers.setdefault(node, []).append(name)
    pushed: dict[str, Fraction] = {}
    for name, node, gpus in (*_whole(books, event), *_ranks(books, event)):
        if gpus != books.node_gpus.get(books.places[node]):
            continue
        for taker in takers.get(node, ()):
            arrival = _judge(books, won, claims, taker, name, node)
            if arrival is not None and books.workloads[name]["org"] != _org(books, arrival):
                pushed[arrival] = pushed.get(arrival, Fraction()) + _bid(books, name, gpus)
    _check_swept(books, event, takers)
    for arrival, least in pushed.items():
        _check_pushed(won[arrival]["promise"], arrival, least)


def _whole(books: Books, event: Record) -> Iterator[Eviction]:
    """What leaves whole because it is outbid."""
    for leaving in event["left"]:
        name, stop = leaving["demand"].get("workload"), leaving["stop"]
        if name is not None and stop is not None and stop["cause"] == OUTBID:
            for node, gpus in held_by_node(books.runs[books.live[name]]).items():
                yield name, node, gpus


def _ranks(books: Books, event: Record) -> Iterator[Eviction]:
    """Single ranks that are told so now."""
    for line in event.get("resized") or ():
        name = line["workload"]
        before = books.runs[books.live[name]].ranks
        for rank in line["ranks"]:
            leaving = rank["leaving"]
            is_new = not before[rank["rank"], rank["since"]]["leaving"]
            if leaving and is_new and leaving["stop"]["cause"] == OUTBID:
                yield name, rank["seat"]["node"], rank["seat"]["gpus"]


def _moved_claims(event: Record) -> dict[str, Record]:
    """Why each claim has other nodes, by claim."""
    found = {it["claim"]: it.get("moved") for it in event.get("claims") or ()}
    for each in event["won"]:
        if "claim" in each["demand"]:
            found[each["demand"]["claim"]] = each.get("moved")
    return {claim: moved for claim, moved in found.items() if moved is not None}


def _judge(
    books: Books,
    won: dict[str, Record],
    claims: dict[str, Record],
    taker: str,
    name: str,
    node: str,
) -> str | None:
    """Demands that a taker owes for a node; the arrival that owes in its place, if there is one."""
    record, other = (in_market(books.workloads[it], books.places[node]) for it in (taker, name))
    if record["spec"]["capacity"]["kind"] != "spot" or not comes_before(books, record, other):
        return None
    debt = won[taker]["promise"].get("debt") or {"nodes": ()}
    says = f"{taker} made {name} leave {node} and owes nothing"
    run = books.runs.get(books.live.get(taker, ""))
    if run is not None and run.broken_us is not None:
        return None
    moved = won[taker].get("moved")
    if run is None or run.kill_us is not None or moved is None:
        is_new = run is None or run.kill_us is not None or node not in held_by_node(run)
        require(not is_new or node in debt["nodes"], says)
        return None
    org, arrival = _root(books, won, claims, taker, moved)
    is_own = moved["kind"] == OWN_CHOICE or org == record["org"]
    require(not is_own or node in debt["nodes"], f"{says}, though its own org moved it")
    return None if is_own else arrival


def _root(
    books: Books,
    won: dict[str, Record],
    claims: dict[str, Record],
    taker: str,
    moved: Record,
) -> tuple[str | None, str | None]:
    """(org, arrival or None) at the begin of a chain of moves; (None, None): not known, or a node
    broke."""
    seen: set[str] = set()
    while True:
        if moved["kind"] == "for_claim" and moved["claim"] in claims:
            claim = moved["claim"]
            if claim in seen:
                return None, None
            seen.add(claim)
            moved = claims[claim]
            continue
        if moved["kind"] != "for_workload" or moved["workload"] in seen:
            break
        name = moved["workload"]
        seen.add(name)
        record = books.workloads[name]
        if name in won:
            record = in_market(record, market_of(books, won[name]["promise"]))
        is_right = record["spec"]["capacity"]["kind"] == "reservation"
        is_bid = record["spec"]["capacity"]["kind"] == "spot"
        if is_bid and not comes_before(books, record, books.workloads[taker]):
            return None, None
        before = won.get(name, {}).get("moved")
        if before is None:
            return moved["org"], None if is_right or name not in won else name
        taker, moved = name, before
    return (moved.get("org"), None) if moved["kind"] != "for_workload" else (None, None)


def _check_swept(books: Books, event: Record, takers: dict[str, list[str]]) -> None:
    """What is outbid and whose nodes no winner gets lost the floors or the room that it needs: a
    winner owes for it, until its notice is over at least."""
    ends_us = [
        (it["promise"].get("debt") or {}).get("notice_ends_us", 0)
        for it in event["won"]
        if it["promise"]["displaces"]
    ]
    for leaving in event["left"]:
        name, stop = leaving["demand"].get("workload"), leaving["stop"]
        if name is None or stop is None or stop["cause"] != OUTBID:
            continue
        if takers.keys().isdisjoint(held_by_node(books.runs[books.live[name]])):
            says = f"{name} is outbid, no winner gets its nodes, and none owes for it"
            require(max(ends_us, default=0) >= stop["deadline_us"], says)


def _check_pushed(promise: Record, arrival: str, least: Fraction) -> None:
    debt = promise.get("debt") or {}
    owes = sum(debt.get("outbid_micros") or ())
    says = f"{arrival} made others move that pushed out {float(least):.0f} an hour, and owes {owes}"
    require(bool(promise["displaces"]) and owes >= least, says)


def _org(books: Books, name: str) -> str:
    org: str = books.workloads[name]["org"]
    return org


def _bid(books: Books, name: str, gpus: int) -> Fraction:
    """What it bid an hour for so many GPUs, less the credit, each price in whole micro-units."""
    workload = books.workloads[name]
    credit = books.terms[workload["market"]].get("switching_credit", {})
    share = 1 + Fraction(credit.get("numerator", 0), credit.get("denominator", 1))
    return Fraction(int(workload["spec"]["limit_price_micros"] / share) * gpus)
