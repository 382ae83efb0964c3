"""A second opinion on money: every charge recomputed from the journal's events alone.

Apart from what it audits: it reads the events as plain JSON, imports nothing of the core, and keeps
its own books. `audit` raises `Discrepancy` at the first thing that does not add up, and returns
what it found. The rules it holds:

- An attempt owes floor(sum of price x GPUs x microseconds / 3.6e9) over what it may be billed for:
  from its first process (or, where it made others leave, from the start grace after the end of
  their notice, silence of its agent apart) to its release, never before it was ordered nor after
  its kill, its node's failure, or, where it is not known how it ended, the last checkpoint within
  the hour.
- An attempt under notice keeps its rate: a later one is for the seats that it moves to.
- An attempt that made others leave owes at least the minimum charge, unless the platform or a
  stronger right ended it; what is used before its first process is a late start.
- What is told to leave for a bid is owed for: by that bid, or by what moved it (`evictions`).
- Seats of a promise that are idle while work of its own org, or what it made leave, leaves the
  others count as held (`own_waits`); where it is given up they are charged at once.
- An attempt that its own org ended owes for the time before its first process beyond a quarter of
  its run; what is beyond the start grace too where another attempt of the org had held seats so
  that day.
- A promise that made others leave and is given up, or lost to a bid of its own org, is charged the
  minimum at once, and the lowered bid of such an attempt what is missing to it.
- Reservations owe their rate for the whole window, paid ahead and without a gap. What they are
  short of is credited at that rate, once and whichever way it ends; the rest is delivered.
- What a market took in was paid to the accounts that earned it, whole micro-units, or waits in its
  account.
- What an org or a workload's `max_spend` cannot pay is not charged, and is counted.
- No account but the outside falls below zero, and all together are zero.
- What ranks of live attempts may have used unheard is kept while their org gets seats (`unheard`).
- Caps of users and orgs hold for what bids get (`caps`).
- A deleted user or org had nothing, and nothing begins for it again (`deleted`).
"""

import json
from collections.abc import Iterable

from parkade.sim.auditor import (
    caps,
    deleted,
    evictions,
    live,
    own_waits,
    reservations,
    unheard,
)
from parkade.sim.auditor.books import (
    HOUR_US,
    Books,
    Discrepancy,
    Record,
    Run,
    gpus_by_node,
    per_hour,
    require,
)
from parkade.sim.auditor.choices import settle
from parkade.sim.auditor.debts import check_withdrawal, give_up, lose, rebid
from parkade.sim.auditor.dues import due_of, is_lost
from parkade.sim.auditor.live import held_by_node
from parkade.sim.auditor.slow_starts import note_slow_start

__all__ = ["Auditor", "Books", "Discrepancy", "audit"]


class Auditor:
    """Reads the journal entry by entry, from its first on."""

    def __init__(self) -> None:
        self.books = Books()
        self._number = 0

    def read(self, body: bytes) -> None:
        """The next entry; Discrepancy where it does not add up."""
        self._number += 1
        event = json.loads(body)
        try:
            _read(self.books, event)
            balances = self.books.balances
            if event.get("transfers"):
                require(sum(balances.values()) == 0, "all accounts together are not zero")
        except Discrepancy as found:
            raise Discrepancy(f"event {self._number} ({event['type']}): {found}") from None

    def close(self) -> Books:
        """What was found; Discrepancy where a market did not share out what it took."""
        for market, taken in self.books.taken.items():
            _check_split(self.books, market, taken)
        return self.books


def audit(bodies: Iterable[bytes]) -> Books:
    """Reads the whole journal; Discrepancy where something does not add up."""
    auditor = Auditor()
    for body in bodies:
        auditor.read(body)
    return auditor.close()


def _read(books: Books, event: Record) -> None:
    kind = event["type"]
    reader = READERS.get(kind)
    if reader is not None:
        reader(books, event)
    for transfer in event.get("transfers", ()):
        _post(books, event, transfer)
    if kind == "Ended":
        _settle(books, event["attempt"])
        settle(books, event["workload"])
    elif kind == "UsePosted":
        if (run := books.runs.get(event["attempt"] or "")) is not None:
            run.charged_until_us = event["charged_until_us"]
    elif kind == "WithdrawalCharged":
        check_withdrawal(books, event)
    elif kind == "ReservationSettled":
        reservations.settle(books, event)


def _post(books: Books, event: Record, transfer: Record) -> None:
    debit, credit, micros = transfer["debit"], transfer["credit"], transfer["micros"]
    require(micros > 0, f"a transfer of {micros}")
    deleted.move(books, transfer)
    books.balances[debit] -= micros
    books.balances[credit] += micros
    require(debit == "external" or books.balances[debit] >= 0, f"{debit} fell to below zero")
    if transfer["kind"] in ("usage", "minimum_charge", "late_start"):
        market = credit.removeprefix("clearing/")
        books.taken[market] += micros
        books.spent[_budget_of(books, transfer["workload"])] += micros
        caps.spend(books.caps, books.workloads[transfer["workload"]], micros, event["at_us"])
        run = books.runs.get(transfer["attempt"] or "")
        if run is None:
            require(transfer["kind"] != "usage", "use without an attempt")
            books.given_up[market] += micros
            return
        require(debit == f"org/{run.org}", f"{debit} paid for {run.org}")
        if event["type"] == "WithdrawalCharged":
            books.given_up[market] += micros
            return
        if transfer["kind"] == "late_start":
            end_us = transfer["use"]["end_us"]
            is_early = run.started_us is None or end_us <= run.started_us
            require(is_early, "a late start after the first process")
        run.charged += micros
        run.was_at_an_end = run.was_at_an_end or is_at_an_end(books, run)
    elif debit.startswith("clearing/"):
        market = debit.removeprefix("clearing/")
        earner = reservations.earner_of(books, transfer)
        books.paid[market, earner or credit] += micros
        if earner is not None and transfer["kind"] == "payout":
            reservations.pay_out(books, transfer)
    elif transfer["kind"] == "reservation":
        reservations.charge(books, transfer)


def _budget_of(books: Books, workload: str) -> str:
    """What has the `max_spend`: the workload, or the array of which it is a member."""
    return str(books.workloads[workload].get("member_of") or workload)


def is_at_an_end(books: Books, run: Run) -> bool:
    """Whether its org has nothing left, or its workload has spent all that it may."""
    budget = _budget_of(books, run.workload)
    most = books.workloads[budget].get("spec", {}).get("max_spend_micros")
    has_spent_all = most is not None and books.spent[budget] >= most
    return run.was_at_an_end or has_spent_all or books.balances[f"org/{run.org}"] == 0


def _open_market(books: Books, event: Record) -> None:
    if event["market"] is not None:
        books.terms[event["market"]["market"]] = event["market"]["terms"]


def _change_terms(books: Books, event: Record) -> None:
    books.terms[event["market"]] = event["terms"]


def _submit(books: Books, event: Record) -> None:
    deleted.begin(books, event)
    name = event["workload"]["workload"]
    books.workloads[name] = event["workload"]
    if event["workload"].get("member_of") is None:
        caps.begin(books, event["workload"]["org"], "submits", event["at_us"])
    books.failures.pop(name, None)
    books.first_started.pop(name, None)


def _reserve(books: Books, event: Record) -> None:
    deleted.begin(books, event)
    reservations.reserve(books, event)


def _retry(books: Books, event: Record) -> None:
    caps.begin(books, books.workloads[event["workload"]]["org"], "submits", event["at_us"])


def _change_bounds(books: Books, event: Record) -> None:
    """A bound is never below what was charged already."""
    if event.get("members"):
        return
    name, most = event["workload"], event["max_spend_micros"]
    workload = books.workloads[name]
    is_safe = most is None or books.spent[name] <= most
    require(is_safe, f"{name} may spend {most} in all and spent {books.spent[name]}")
    bounds = {key: event[key] for key in ("max_spend_micros", "max_duration_us")}
    books.workloads[name] = {**workload, "spec": {**workload["spec"], **bounds}}


def _fall_back(books: Books, event: Record) -> None:
    """It is on-demand from now on: it has no limit, and the price that was agreed."""
    workload = books.workloads[event["workload"]]
    kept = {"capacity": {"kind": "on-demand"}, "limit_price_micros": None}
    books.workloads[event["workload"]] = {**workload, "spec": {**workload["spec"], **kept}}
    if event["withdraws"]:
        give_up(books, event["workload"], "its deadline", event["at_us"])


def _take_entry(books: Books, event: Record) -> None:
    """What waits asks for another entry of its list, with the limit that this one has."""
    name, taken = event["workload"], event["capacity"]
    workload = books.workloads[name]
    spec = workload["spec"]
    entries = [(it["kind"], it.get("reservation")) for it in spec.get("entries", ())]
    asked = (taken["kind"], taken.get("reservation"))
    require(asked in entries, f"{name} asks for {asked}, its list has {entries}")
    require(name not in books.promises, f"{name} asks for another capacity and is promised seats")
    before = (spec["capacity"]["kind"], spec["capacity"].get("reservation"))
    rises = asked[0] == "reservation" and entries.index(asked) < entries.index(before)
    says = f"{name} runs as {before} and goes on as {asked}, which its list does not name before"
    require(name not in books.live or rises, says)
    limit = spec["spot_limit_micros"] if taken["kind"] == "spot" else None
    kept = {"capacity": taken, "limit_price_micros": limit}
    books.workloads[name] = {**workload, "spec": {**spec, **kept}}


def _launch(books: Books, event: Record) -> None:
    attempt, workload = event["attempt"], books.workloads[event["workload"]]
    caps.begin(books, workload["org"], "starts", event["at_us"])
    require(attempt["attempt"] not in books.runs, f"{attempt['attempt']} was launched twice")
    require(event["workload"] not in books.live, f"{event['workload']} runs already")
    books.live[event["workload"]] = attempt["attempt"]
    books.runs[attempt["attempt"]] = Run(
        market=workload["market"],
        workload=event["workload"],
        gpus=sum(seat["gpus"] for seat in attempt["seats"]),
        node_gpus=gpus_by_node(attempt["seats"]),
        org=workload["org"],
        ordered_us=attempt["ordered_us"],
        displaced=attempt["displaced"],
        rates=list(attempt["rates"]),
        pool=books.pools.get(attempt["seats"][0]["node"], ""),
    )
    promise = books.promises.pop(event["workload"], None)
    run = books.runs[attempt["attempt"]]
    if live.is_live(books, event["workload"]) and attempt.get("can_resize", True):
        live.begin(run, attempt["seats"])
    if promise is not None:
        run.waited_us = own_waits.waited_us(books, event["workload"], promise, event["at_us"])
    known_us = attempt.get("waited_us", 0)
    says = f"its promise held seats idle for {known_us} us, not {run.waited_us}"
    require(known_us == run.waited_us, says)
    debt = attempt.get("debt")
    if debt is not None:
        books.runs[attempt["attempt"]].notice_ends_us = debt["notice_ends_us"]
        books.runs[attempt["attempt"]].is_minimum_paid = debt.get("is_paid", False)
        books.runs[attempt["attempt"]].debt = debt
    if promise is not None:
        require(attempt["displaced"] == promise["displaces"], "a debt was lost at the launch")


def _open_pool(books: Books, event: Record) -> None:
    _open_market(books, event)
    for node in event.get("nodes", ()):
        books.pools[node["node"]] = node["pool"]
        books.places[node["node"]] = node["market"]
        books.node_gpus[node["market"]] = node["gpus"]


def _hear(books: Books, event: Record) -> None:
    pool = event["pool"]
    if not event["is_reachable"]:
        books.silent_since[pool] = event["at_us"]
        return
    since_us = books.silent_since.pop(pool, None)
    for attempt in books.live.values():
        run = books.runs[attempt]
        if since_us is not None and run.pool == pool and run.started_us is None:
            run.silent_us += event["at_us"] - max(since_us, run.ordered_us)


def _advance(books: Books, event: Record) -> None:
    for attempt in books.live.values():
        run = books.runs[attempt]
        if run.pool not in books.silent_since and run.started_us is None:
            run.silent_us += event.get("unheard_us", 0)


def _start(books: Books, event: Record) -> None:
    run = books.runs[event["attempt"]]
    require(run.started_us is None, f"{event['attempt']} started twice")
    silent = books.silent_since.get(run.pool)
    require(silent is None, "it started while its agent was not heard")
    run.started_us = max(event["at_us"], run.ordered_us)
    books.first_started.setdefault(event["workload"], event["at_us"])


def _checkpoint(books: Books, event: Record) -> None:
    books.runs[event["attempt"]].checkpoint_us = event["at_us"]


def _break(books: Books, event: Record) -> None:
    books.runs[event["attempt"]].broken_us = event["at_us"]


def _order_stop(books: Books, workload: str, stop: Record | None, *, is_own: bool = False) -> None:
    attempt = books.live.get(workload)
    if attempt is None or stop is None:
        return
    run = books.runs[attempt]
    require(run.kill_us is None or stop["kill_us"] <= run.kill_us, "a notice was withdrawn")
    run.kill_us, run.cause = stop["kill_us"], stop["cause"]
    own_waits.note_stop(run, stop["cause"], is_own=is_own)


def _clear(books: Books, event: Record) -> None:
    caps.before_clearing(books.caps, books)
    evictions.judge(books, event)
    seated = books.promises.keys() | books.live.keys()
    _take_clearing(books, event)
    unheard.check(books, event, seated)
    caps.after_clearing(books.caps, books, event)


def _take_clearing(books: Books, event: Record) -> None:
    for leaving in event["left"]:
        if leaving["demand"]["kind"] == "workload":
            is_own = leaving.get("is_due", False) or leaving.get("is_own_choice", False)
            _order_stop(books, leaving["demand"]["workload"], leaving["stop"], is_own=is_own)
            lose(books, leaving, event)
            run = books.runs.get(books.live.get(leaving["demand"]["workload"], ""))
            if run is not None and leaving.get("is_due"):
                run.is_due = True
            settle(books, leaving["demand"]["workload"])
    for resized in event.get("resized") or ():
        live.resize(books, resized, event["at_us"])
        lose(
            books,
            {"demand": {"workload": resized["workload"]}, "why": resized.get("why", "")},
            event,
        )
    for won in event["won"]:
        name = won["demand"].get("workload")
        if name is not None:
            books.promises[name] = won["promise"]
            books.paid_promises.discard(name)
            settle(books, name)
            own_waits.promise(books, won, event["at_us"])
    for repriced in event["repriced"]:
        promise = books.promises.get(repriced["workload"])
        if promise is not None:
            books.promises[repriced["workload"]] = {**promise, "rates": [repriced["rate"]]}
        attempt = books.live.get(repriced["workload"])
        if attempt is None or (promise is not None and books.runs[attempt].ranks):
            continue
        if books.runs[attempt].ranks:
            live.reprice(books.runs[attempt], repriced["rate"])
        elif books.runs[attempt].kill_us is None:
            books.runs[attempt].rates.append(repriced["rate"])


def _end(books: Books, event: Record) -> None:
    run = books.runs[event["attempt"]]
    require(run.end is None, f"{event['attempt']} ended twice")
    run.end = event
    if event["summary"].startswith("lost:"):
        run.unseen_us = books.silent_since.get(run.pool)
    run.has_failed = event.get("failures", 0) > books.failures.get(event["workload"], 0)
    live.end(books, run, event["at_us"], is_lost=is_lost(run))
    note_slow_start(books, run, event)
    books.failures[event["workload"]] = event.get("failures", 0)
    if event.get("phase") != "placed":
        give_up(books, event["workload"], "its end", event["at_us"])
    del books.live[event["workload"]]
    own_waits.gone(books, event["workload"], held_by_node(run).keys(), event["at_us"])


def _change_ranks(books: Books, event: Record) -> None:
    run = books.runs[event["attempt"]]
    before = set(held_by_node(run))
    live.change(books, event)
    if gone := before - held_by_node(run).keys():
        own_waits.gone(books, event["workload"], gone, event["at_us"])


def _claim(books: Books, event: Record) -> None:
    books.claims[event["claim"]["claim"]] = event["claim"]["org"]


def _unclaim(books: Books, event: Record) -> None:
    reservations.end_demand(books, event["claim"])


def _change_phase(books: Books, event: Record) -> None:
    reservations.end_demand(books, event["workload"])
    give_up(books, event["workload"], event["phase"], event["at_us"])


def _order(books: Books, event: Record) -> None:
    _order_stop(books, event["workload"], event["stop"])
    give_up(books, event["workload"], event["stop"]["cause"], event["at_us"])
    if event["stop"]["cause"] == "expired":
        _check_expiry(books, event)


def _check_expiry(books: Books, event: Record) -> None:
    """What bids is told to end only so that its `max_duration` is used but for notice and kill."""
    workload = books.workloads[event["workload"]]
    if workload["spec"]["capacity"]["kind"] != "spot":
        return
    lasts_us, terms = workload["spec"].get("max_duration_us"), books.terms[workload["market"]]
    started_us = books.first_started.get(event["workload"])
    says = f"{event['workload']} expired"
    require(lasts_us is not None and started_us is not None, f"{says} and has no end")
    leave_us = terms["notice_us"] + terms["kill_us"]
    require(event["at_us"] + leave_us >= started_us + lasts_us, f"{says} before its time")


READERS = {
    "PoolOpened": _open_pool,
    "NodesAdded": _open_pool,
    "ReachabilityChanged": _hear,
    "ClockAdvanced": _advance,
    "PhaseChanged": _change_phase,
    "BidChanged": rebid,
    "BoundsChanged": _change_bounds,
    "FellBack": _fall_back,
    "EntryTaken": _take_entry,
    "TermsChanged": _change_terms,
    "Submitted": _submit,
    "Resubmitted": _submit,
    "Reserved": _reserve,
    "ReservationChanged": reservations.change,
    "ReservationDivided": reservations.divide,
    "Claimed": _claim,
    "Unclaimed": _unclaim,
    "Launched": _launch,
    "Started": _start,
    "Checkpointed": _checkpoint,
    "Broken": _break,
    "RanksChanged": _change_ranks,
    "StopOrdered": _order,
    "Cleared": _clear,
    "Ended": _end,
    "MembersRetried": _retry,
    "OrgBoundsSet": caps.set_bounds,
    "CapSet": caps.set_cap,
    "OrgCapSet": caps.set_cap,
    "CapNoted": caps.note,
    "UserDeleted": deleted.delete,
    "OrgDeleted": deleted.delete,
    "UserCreated": deleted.begin,
    "OrgCreated": deleted.begin,
    "TokenAdded": deleted.begin,
}


def _settle(books: Books, attempt: str) -> None:
    run = books.runs[attempt]
    limit_micros = books.workloads[run.workload]["spec"].get("limit_price_micros")
    due, earned = due_of(run, books.terms[run.market], limit_micros)
    is_right = run.charged == due or (run.charged < due and is_at_an_end(books, run))
    require(is_right, f"{attempt} was charged {run.charged} and owed {due}")
    books.uncollected[run.market] += due - run.charged
    for earner, part in earned.items():
        books.earned[run.market, earner] += part
    for rate in run.rates:
        shared = sum(share for _, share in rate["shares"])
        whole = per_hour(rate, run.gpus)
        require(shared == whole, f"{attempt}: {shared} of {whole} an hour is shared out")


def _check_split(books: Books, market: str, taken: int) -> None:
    paid = {who: micros for (where, who), micros in books.paid.items() if where == market}
    waits = books.balances[f"clearing/{market}"]
    require(taken == sum(paid.values()) + waits, f"{market}: took {taken}, {paid}, {waits} waits")
    if any(run.market == market for run in map(books.runs.__getitem__, books.live.values())):
        return
    if books.given_up[market]:
        return
    for who, micros in paid.items():
        earned = books.earned[market, who] // HOUR_US
        require(micros <= earned, f"{market}: {who} was paid {micros} and earned {earned}")
