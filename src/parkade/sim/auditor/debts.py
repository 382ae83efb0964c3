"""What is owed for making others leave: promises that are given up, lost, lowered, launched."""

from parkade.sim.auditor import live, own_waits
from parkade.sim.auditor.books import (
    HOUR_US,
    Books,
    Record,
    gpus_by_node,
    has_no_more,
    late_from_us,
    minimum_of,
    outbid_per_hour,
    overlap,
    per_hour,
    require,
)
from parkade.sim.auditor.choices import in_market, market_of, with_limit
from parkade.sim.auditor.orders import comes_before

OWN_FAULT = frozenset(
    {"insufficient_funds", "max_spend", "user_cap", "org_cap", "user_gpus", "org_gpus"}
)
"""Why a bid leaves the market that its org alone keeps from winning."""


def check_withdrawal(books: Books, event: Record) -> None:
    """The minimum of a promise, or what is missing to it of an attempt whose bid is lowered."""
    name, at_us = event["workload"], event["at_us"]
    least_us = books.terms[event["market"]]["minimum_charge_us"]
    limit_micros = in_market(books.workloads[name], event["market"])["spec"]["limit_price_micros"]
    kinds = ("minimum_charge", "late_start")
    paid = sum(it["micros"] for it in event["transfers"] if it["kind"] in kinds)
    attempt = event.get("attempt")
    if attempt is None and live.check_rank(books, event):
        return
    if attempt is None:
        says = f"{name} was charged {paid}, which no rank of it owes, and it has no promise"
        require(name in books.promises, says)
        promise = _growth(books, name, books.promises[name])
        waited_us = own_waits.waited_us(books, name, promise, at_us)
        if not promise["displaces"] or is_settled(promise):
            _check_idle(books, name, promise, waited_us, paid)
            return
        least_us = max(least_us, waited_us)
        require(name not in books.paid_promises, f"{name} was charged twice")
        books.paid_promises.add(name)
        node_gpus = gpus_by_node(promise["seats"])
        outbid = outbid_per_hour(node_gpus, promise.get("debt"), limit_micros)
        priced = per_hour(promise["rates"][-1], sum(node_gpus.values()))
        missing_us, rate = minimum_of(least_us, 0, 0, priced=priced, outbid=outbid)
        set_aside = rate * min(missing_us, books.terms[event["market"]]["minimum_charge_us"])
        if set_aside // HOUR_US <= paid < rate * missing_us // HOUR_US:
            # Idle seats cost more than the minimum that was set aside for it.
            require(has_no_more(books, name), f"{name} was charged {paid} and could pay more")
            return
    else:
        run = books.runs[attempt]
        require(run.displaced and not run.is_minimum_paid, f"{name} was charged twice")
        terms = books.terms[event["market"]]
        starts_us = min(run.started_us or at_us, late_from_us(run, terms))
        ends_us = min(end for end in (at_us, run.kill_us, run.broken_us) if end is not None)
        used = sum(
            per_hour(rate, run.gpus) * overlap(run.rates, place, starts_us, ends_us)
            for place, rate in enumerate(run.rates)
        )
        missing_us, rate = minimum_of(
            least_us,
            max(0, ends_us - starts_us),
            used // HOUR_US,
            priced=per_hour(run.rates[-1], run.gpus),
            outbid=outbid_per_hour(run.node_gpus, run.debt, limit_micros),
        )
        run.is_minimum_paid = True
    due = rate * missing_us // HOUR_US
    require(paid == due, f"{name} was charged {paid} and owed {due} for having made others leave")


def _growth(books: Books, name: str, promise: Record) -> Record:
    """Of a promise beside a live attempt, what it has not got yet, at the dearest prices."""
    run = books.runs.get(books.live.get(name, ""))
    if run is None or not run.ranks or run.kill_us is not None or run.broken_us is not None:
        return promise
    has = {it["seat"]["node"] for it in run.ranks.values() if not it["leaving"]}
    seats = [it for it in promise["seats"] if it["node"] not in has]
    rate = promise["rates"][-1]
    prices = rate["node_prices"][len(rate["node_prices"]) - len(seats) :]
    mean = -(-sum(prices) // len(prices)) if prices else 0
    part = {**rate, "node_prices": prices, "price_micros": mean}
    return {**promise, "seats": seats, "rates": [{**part, "gpus": live.gpus_of(seats)}]}


def _check_idle(books: Books, name: str, promise: Record, waited_us: int, paid: int) -> None:
    """What a promise owes that is given up and made none leave: its idle seats, as far as its org
    and its `max_spend` have it."""
    due = _idle_due(promise, waited_us)
    is_right = waited_us > 0 and (paid == due or (paid < due and has_no_more(books, name)))
    require(is_right, f"{name} was charged {paid} and owed {due} for idle seats")


def _idle_due(promise: Record, waited_us: int) -> int:
    gpus = sum(gpus_by_node(promise["seats"]).values())
    due: int = per_hour(promise["rates"][-1], gpus) * waited_us // HOUR_US
    return due


def is_settled(promise: Record) -> bool:
    """Whether the minimum was paid before the promise was taken over."""
    debt = promise.get("debt") or {}
    return bool(debt.get("is_paid", False))


def _costs_nothing(books: Books, name: str, promise: Record) -> bool:
    """Whether its price is 0, and so is what those that it outbid had bid; on-demand, which bids
    nothing, owes its price alone."""
    debt = promise.get("debt") or {}
    is_bid = books.workloads[name].get("spec", {}).get("limit_price_micros") is not None
    is_more = is_bid and any(debt.get("outbid_micros") or ())
    return promise["rates"][-1]["price_micros"] == 0 and not is_more


def _is_broken(books: Books, name: str) -> bool:
    """Whether a node of its attempt left play, which excuses what its promise owes."""
    attempt = books.live.get(name)
    return attempt is not None and books.runs[attempt].broken_us is not None


def give_up(books: Books, name: str, what: str, at_us: int) -> None:
    """A promise that made others leave, or held idle seats, falls away by its holder's own doing:
    it must be paid. What was charged for idle seats is not told again here."""
    promise = books.promises.pop(name, None)
    if promise is not None and not _is_broken(books, name):
        waited_us = own_waits.waited_us(books, name, promise, at_us)
        # Of a price that fell to 0 meanwhile nothing is due.
        require(not _idle_due(promise, waited_us), f"{name} gave up idle seats, by {what}")
    books.own_waits.pop(name, None)
    is_paid = name in books.paid_promises
    books.paid_promises.discard(name)
    if promise is None or not promise["displaces"] or is_paid or is_settled(promise):
        return
    if _is_broken(books, name):
        return
    minimum_us = books.terms[market_of(books, promise)]["minimum_charge_us"]
    is_free = minimum_us == 0 or _costs_nothing(books, name, promise)
    require(is_free, f"{name} gave up a promise for which others left, by {what}")


def lose(books: Books, leaving: Record, event: Record) -> None:
    """A promise lost in a clearing is free unless it is lost to its own org: to a bid, or to a
    claim or workload on a reservation, or for want of money or by a cap; and where its debt goes on
    with others, who owe it then. What only fills up the room that a lost promise leaves, because it
    comes later in the order, has taken nothing."""
    name = leaving["demand"]["workload"]
    promise = books.promises.pop(name, None)
    books.own_waits.pop(name, None)
    is_paid = name in books.paid_promises
    books.paid_promises.discard(name)
    if promise is None or not promise["displaces"] or is_paid or is_settled(promise):
        return
    here = market_of(books, promise)
    minimum_us = books.terms[here]["minimum_charge_us"]
    if minimum_us == 0 or _costs_nothing(books, name, promise) or _is_broken(books, name):
        return
    why = leaving["why"]
    require(why not in OWN_FAULT, f"{name} lost a promise for which others left by {why}, unpaid")
    nodes = {seat["node"] for seat in promise["seats"]}
    if _nodes_of(promise.get("debt")) <= _carried(event) != set():
        return
    org = books.workloads[name]["org"]
    for kept in event.get("claims") or ():
        takes = nodes & {each["seat"]["node"] for each in kept["replacements"]}
        is_own_right = takes and books.claims.get(kept["claim"]) == org
        require(not is_own_right, f"{name} lost its promise to its own org's right, unpaid")
    for won in event["won"]:
        takes = nodes & {seat["node"] for seat in won["promise"]["seats"]}
        is_own_right = takes and _owner(books, won["demand"]) == org
        require(not is_own_right, f"{name} lost its promise to its own org's right, unpaid")
        taker = books.workloads.get(won["demand"].get("workload", ""))
        if taker is None or taker["spec"]["capacity"]["kind"] == "reservation":
            continue
        taker, loser = in_market(taker, here), in_market(books.workloads[name], here)
        limit, other = taker["spec"]["limit_price_micros"], loser["spec"]
        is_weaker = other["capacity"]["kind"] == "on-demand" and limit is not None
        is_above = limit is None or comes_before(books, taker, loser)
        if is_weaker:
            continue
        runs_elsewhere = taker["workload"] in books.live
        is_own = taker["org"] == org and takes and is_above and not runs_elsewhere
        require(not is_own, f"{name} lost its promise to its own org's and paid nothing")


def _nodes_of(debt: Record | None) -> set[str]:
    return set() if debt is None else set(debt["nodes"])


def _carried(event: Record) -> set[str]:
    """The nodes of unpaid debts that winners of this clearing hold."""
    debts = [won["promise"].get("debt") for won in event["won"]]
    unpaid = [debt for debt in debts if debt is not None and not debt["is_paid"]]
    return {node for debt in unpaid for node in debt["nodes"]}


def _owner(books: Books, demand: Record) -> str | None:
    """The org of what takes seats by the right of a reservation."""
    if demand["kind"] == "claim":
        return books.claims.get(demand["claim"])
    workload = books.workloads[demand["workload"]]
    if workload["spec"]["capacity"]["kind"] != "reservation":
        return None
    org: str = workload["org"]
    return org


def rebid(books: Books, event: Record) -> None:
    workload, market = books.workloads[event["workload"]], event.get("market")
    before = workload if market is None else in_market(workload, market)
    spec = with_limit(workload, market, event["limit_price_micros"])
    limit = before["spec"]["limit_price_micros"]
    is_lower = limit is not None and event["limit_price_micros"] < limit
    promise = books.promises.get(event["workload"])
    is_owing = promise is not None and promise["displaces"]
    is_owing = is_owing and (market is None or market_of(books, promise or {}) == market)
    require(not (is_lower and is_owing), f"{event['workload']} was lowered before it started")
    books.workloads[event["workload"]] = {**workload, "spec": spec}
