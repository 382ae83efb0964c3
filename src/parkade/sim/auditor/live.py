"""Live attempts in the books of money: which seats they had when, and what each cost.

A rate of the events is of the ranks that stay. A rank that was told to leave costs the dearest
price that the attempt had, from then until it has left, at most to its kill; what its node's
failure ended costs nothing. What it earns is what each account earns less than before. Ranks that
join begin with the rate that was promised, and cost nothing before they are seen to have begun
(`waiting`). A rank for which others left owes the minimum from then on,
unless others' right or a broken node ends it, or it does not begin.
"""

from parkade.sim.auditor import waiting
from parkade.sim.auditor.books import (
    BLAMELESS,
    HOUR_US,
    Books,
    Record,
    Run,
    gpus_by_node,
    has_no_more,
    require,
)

EXCUSING = BLAMELESS | {"not_started"}

Name = tuple[int, int]
"""A rank's number, and the count of changes with which it came."""


def gpus_of(seats: list[Record]) -> int:
    """GPUs of all of them."""
    return sum(int(seat["gpus"]) for seat in seats)


def held_by_node(run: Run) -> dict[str, int]:
    """The GPUs that an attempt holds now, by node: of a live one also where ranks joined."""
    if not run.ranks:
        return run.node_gpus
    return gpus_by_node([it["seat"] for it in run.ranks.values()])


def is_live(books: Books, workload: str) -> bool:
    """Whether its ranks come and go while it runs."""
    return bool(books.workloads[workload].get("spec", {}).get("resize") == "live")


def begin(run: Run, seats: list[Record]) -> None:
    """The ranks that an attempt begins with, all of which stay."""
    run.ranks = {
        (number, 0): {"rank": number, "since": 0, "seat": seat, "leaving": None}
        for number, seat in enumerate(seats)
    }
    run.rates = [{**rate, "gpus": run.gpus} for rate in run.rates]
    run.full = _by_node(run, run.rates[-1])


def reprice(run: Run, rate: Record) -> None:
    """Another rate of the ranks that stay."""
    run.full = _by_node(run, {**rate, "gpus": _gpus(_kept(run))})
    begun = [it for it in _kept(run) if _has_begun(it)]
    before = run.rates[-1]
    run.rates.append(
        waiting.split(run.full, before, len(begun), _gpus(begun), rate["from_us"])
        if len(begun) < len(_kept(run))
        else {**run.full, "from_us": rate["from_us"]}
    )


def resize(books: Books, line: Record, at_us: int) -> None:
    """A clearing told ranks to leave, or withdrew what they would have joined."""
    run = books.runs[books.live[line["workload"]]]
    require(run.kill_us is None, f"{line['workload']} leaves and is resized")
    before = _by_node(run, run.rates[-1], stays=[it for it in _kept(run) if _has_begun(it)])
    after = {_name(it): it for it in line["ranks"]}
    require(after.keys() == run.ranks.keys(), "a clearing tells ranks to leave, and no more")
    going = [it for name, it in after.items() if it["leaving"] and not run.ranks[name]["leaving"]]
    begun = [it for it in going if _has_begun(it)]
    prices = sorted(before["node_prices"])[len(before["node_prices"]) - len(begun) :]
    require(
        sorted(it["leaving"]["price_micros"] for it in begun) == prices,
        f"the ranks that leave cost {prices}, as the dearest did",
    )
    is_free = all(it["leaving"]["price_micros"] == 0 for it in going if not _has_begun(it))
    require(is_free, f"a rank of {line['workload']} costs before it has begun")
    for rank in going:
        leaving, gpus = rank["leaving"], rank["seat"]["gpus"]
        earned = sum(micros for _, micros in leaving["shares"])
        require(earned == leaving["price_micros"] * gpus, "a rank that leaves earns its price")
        run.leaves[_name(rank)] = {**leaving, "gpus": gpus, "from_us": at_us, "to_us": None}
    run.ranks = after
    reprice(run, {**line["rate"], "from_us": at_us})
    least = books.workloads[line["workload"]]["spec"]["nodes"]
    stays = [it for it in run.ranks.values() if not it["leaving"]]
    require(len(stays) >= least, f"{line['workload']} keeps {len(stays)} ranks of {least}")
    require(any(it["rank"] == 0 for it in stays), f"rank 0 of {line['workload']} leaves alone")


def change(books: Books, event: Record) -> None:
    """Ranks joined, left, or lost their node."""
    name, at_us = event["workload"], event["at_us"]
    run = books.runs[event["attempt"]]
    after = {_name(it): it for it in event["ranks"]}
    gone, new = run.ranks.keys() - after.keys(), after.keys() - run.ranks.keys()
    for each in gone:
        require(run.ranks[each]["leaving"] is not None, f"{name} lost rank {each} untold")
        left = run.leaves[each]
        if left["to_us"] is None:
            left["to_us"] = min(at_us, left["stop"]["kill_us"])
        if run.owing.pop(each, None) is not None:
            note_unpaid(books, run, each, at_us)
    lost = [
        it
        for each, it in after.items()
        if it["leaving"] and each not in new and not run.ranks[each]["leaving"]
    ]
    for each, rank in after.items():
        if each not in new and rank["leaving"] and run.ranks[each]["leaving"]:
            _close_lost(run, each, rank, at_us)
    if event.get("rate") is not None:
        promise = books.promises.pop(name, None)
        require(promise is not None and bool(new), f"{name} got ranks that it was not promised")
        books.paid_promises.discard(name)
        books.own_waits.pop(name, None)
        for each in new:
            if after[each].get("owed"):
                run.owing[each] = at_us
    else:
        require(not new, f"{name} got ranks that it was not promised")
    for each in run.owing.keys() & after.keys():
        if not after[each].get("owed"):
            note_unpaid(books, run, each, at_us)
    run.owing = {each: us for each, us in run.owing.items() if after.get(each, {}).get("owed")}
    _check_unbegun(books, name, run, lost, at_us)
    begins = [
        it for each, it in after.items() if each not in new and _has_begun(it) and each in run.ranks
    ]
    newly = [it for it in begins if not _has_begun(run.ranks[_name(it)])]
    for rank in newly:
        _begin_rank(run, rank, run.ranks[_name(rank)], at_us)
    run.ranks = after
    if event.get("rate") is not None:
        reprice(run, {**event["rate"], "from_us": at_us})
    elif lost:
        for rank in lost:
            closed = {**rank["leaving"], "gpus": 0, "from_us": at_us, "to_us": at_us}
            run.leaves[_name(rank)] = closed
        assert run.full is not None
        reprice(run, _without_dearest(run.full, len(lost), at_us, _gpus(_kept(run))))
    require(_has_first(run), f"{name} lost rank 0 alone")


def _begin_rank(run: Run, rank: Record, before: Record, at_us: int) -> None:
    """A rank had begun at an instant, whatever was priced since: it costs what waited for it then,
    and once it was told to leave what was noted for that."""
    gpus, leaving = rank["seat"]["gpus"], rank["leaving"]
    until_us = None if not leaving else leaving["priced_us"]
    waiting.begin(run.rates, gpus, at_us, until_us)
    if leaving:
        known = (
            before["leaving"].get("begun_micros", 0),
            before["leaving"].get("begun_shares", []),
        )
        is_same = (leaving["price_micros"], leaving["shares"]) == known
        require(is_same, f"rank {rank['rank']} of {run.workload} costs what was noted")
        from_us = max(at_us, leaving["priced_us"])
        run.leaves[_name(rank)] = {**leaving, "gpus": gpus, "from_us": from_us, "to_us": None}


def _check_unbegun(books: Books, name: str, run: Run, lost: list[Record], at_us: int) -> None:
    """A rank that is to leave because it did not begin had the time for it."""
    limit_us = books.terms[run.market].get("start_limit_us")
    for rank in lost:
        if rank["leaving"]["stop"]["cause"] == "not_started":
            says = f"rank {rank['rank']} of {name} leaves as not begun"
            require(not _has_begun(run.ranks[_name(rank)]), f"{says}, and has begun")
            is_late = limit_us is not None and at_us >= rank["joined_us"] + limit_us
            require(is_late, f"{says}, before its time is over")


def end(books: Books, run: Run, at_us: int, *, is_lost: bool) -> None:
    """What leaves is there until its attempt has ended, and what its ranks owe was paid, where it
    is not the platform that ended it."""
    for each in run.owing:
        note_unpaid(books, run, each, at_us)
    require(is_lost or not run.unpaid, f"{run.workload}: unpaid are (rank, micros) {run.unpaid}")
    for left in run.leaves.values():
        if left["to_us"] is None:
            left["to_us"] = min(at_us, left["stop"]["kill_us"])


def pieces(run: Run, from_us: int, to_us: int) -> list[tuple[Record, int]]:
    """(what a rank that left cost an hour, how long of the window) of all that left."""
    found = []
    for left in run.leaves.values():
        ends_us = to_us if left["to_us"] is None else min(to_us, left["to_us"])
        begins_us = max(from_us, left["from_us"])
        if begins_us < ends_us:
            found.append((left, ends_us - begins_us))
    return found


def check_rank(books: Books, event: Record) -> bool:
    """Whether a charge is what is missing to the minimum of a rank that joined, for which others
    had left; each owes it once."""
    run = books.runs.get(books.live.get(event["workload"], ""))
    if run is None or not run.owing:
        return False
    minimum_us = books.terms[event["market"]]["minimum_charge_us"]
    paid = sum(it["micros"] for it in event["transfers"] if it["kind"] == "minimum_charge")
    for each in run.owing:
        due = missing_micros(run, run.ranks[each], minimum_us, event["at_us"])
        is_short = paid < due and has_no_more(books, event["workload"])
        if due and (paid == due or is_short) and not _is_excused(run, run.ranks[each]):
            del run.owing[each]
            return True
    return False


def missing_micros(run: Run, rank: Record, minimum_us: int, at_us: int) -> int:
    """What a rank has not used of its minimum at an instant: its use pays at its own price, at most
    at what it owes."""
    owed, start = rank["owed"]["price_micros"], rank.get("start")
    begun_us = rank["joined_us"] if start is None else start["begun_us"]
    used_us = 0 if begun_us is None else max(0, at_us - begun_us)
    if rank["leaving"]:
        price = rank["leaving"]["price_micros"]
    else:
        price = min((run.full or run.rates[-1])["node_prices"], default=0)
    missing_us = max(0, minimum_us - used_us * min(price, owed) // owed)
    return int(owed * rank["seat"]["gpus"] * missing_us // HOUR_US)


def note_unpaid(books: Books, run: Run, name: Name, at_us: int) -> None:
    """A rank is gone that did not pay what it owed; whether it had to is known once all has
    ended."""
    rank = run.ranks[name]
    minimum_us = books.terms[run.market]["minimum_charge_us"]
    due = missing_micros(run, rank, minimum_us, at_us)
    if due and not _is_excused(run, rank) and not has_no_more(books, run.workload):
        run.unpaid.append((rank["rank"], due))


def _is_excused(run: Run, rank: Record) -> bool:
    """Whether others' right or a broken node took it, or it did not begin."""
    leaving = rank["leaving"]
    if leaving:
        return leaving["stop"]["cause"] in EXCUSING and not leaving.get("is_due", False)
    return run.cause in EXCUSING and not run.is_due


def _close_lost(run: Run, name: Name, rank: Record, at_us: int) -> None:
    """A rank that leaves and whose node fails costs nothing from then on."""
    left = run.leaves[name]
    if not rank["leaving"]["price_micros"] and left["to_us"] is None:
        left["to_us"] = at_us


def _without_dearest(rate: Record, count: int, at_us: int, gpus: int) -> Record:
    prices = list(rate["node_prices"])[: len(rate["node_prices"]) - count]
    if not count:
        return {**rate, "from_us": at_us, "gpus": gpus}
    each = gpus // len(prices)
    part, total = sum(prices), max(1, sum(rate["node_prices"]))
    shares = {name: micros * part // total for name, micros in rate["shares"]}
    shares["operator"] = shares.get("operator", 0) + part * each - sum(shares.values())
    return {
        **rate,
        "from_us": at_us,
        "gpus": gpus,
        "node_prices": prices,
        "price_micros": -(-part // len(prices)),
        "shares": [[name, micros] for name, micros in sorted(shares.items()) if micros],
    }


def _by_node(run: Run, rate: Record, *, stays: list[Record] | None = None) -> Record:
    """With a price for each node, also where all cost the same."""
    nodes = len(_kept(run) if stays is None else stays)
    return {**rate, "node_prices": rate.get("node_prices") or [rate["price_micros"]] * nodes}


def _has_first(run: Run) -> bool:
    return any(it["rank"] == 0 for it in run.ranks.values())


def _kept(run: Run) -> list[Record]:
    return [it for it in run.ranks.values() if not it["leaving"]]


def _gpus(ranks: list[Record]) -> int:
    return gpus_of([it["seat"] for it in ranks])


def _has_begun(rank: Record) -> bool:
    """Whether it was seen to run; nothing waits for that of those that it began with."""
    start = rank.get("start")
    return start is None or start["begun_us"] is not None


def _name(rank: Record) -> Name:
    return rank["rank"], rank["since"]
