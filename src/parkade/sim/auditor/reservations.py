"""What reservations owe, are credited and have delivered: periods, shortages, prepaid accounts."""

from parkade.sim.auditor.books import HOUR_US, Books, Record, require


def reserve(books: Books, event: Record) -> None:
    """A reservation as it was sold; one of before may have had its name, and is forgotten."""
    name = event["reservation"]["reservation"]
    for kept in (books.reservation_paid, books.credited, books.earned_by):
        kept.pop(name, None)
    books.reservations[event["reservation"]["reservation"]] = event["reservation"]


def divide(books: Books, event: Record) -> None:
    """Nodes became a reservation of their own: whole and part together are what the whole was."""
    name, part = event["reservation"], event["part"]
    whole = books.reservations[name]
    had = gpus_of(whole)
    until_us, _ = books.reservation_paid.get(name, (whole["window"]["start_us"], 0))
    credited, earned = books.credited[name], books.earned_by[name]
    books.reservations[name] = {**whole, "shape": event["shape"], "divided": True}
    books.reservations[part["reservation"]] = {**part, "divided": True}
    left = gpus_of(books.reservations[name]) + gpus_of(part)
    require(left == had, f"{name} of {had} GPUs was divided into {left}")
    require(not any(of == name for of, _ in books.short), f"{name} is short and was divided")
    for share in (part, books.reservations[name]):
        of, gpus = share["reservation"], gpus_of(share)
        time_us = until_us - share["window"]["start_us"]
        rate = share["rate_micros"] * gpus
        books.reservation_paid[of] = (until_us, rate * time_us // HOUR_US)
        books.credited[of] = credited * gpus // had
    books.earned_by[part["reservation"]] = part["earned_micros"]
    books.earned_by[name] = earned - part["earned_micros"]
    moved = sum(it["micros"] for it in event["transfers"])
    held = books.balances[f"prepaid/{name}"]
    most = -(-held * gpus_of(part) // had)
    require(moved == most, f"{moved} of {held} moved with {gpus_of(part)} of {had} GPUs")


def charge(books: Books, transfer: Record) -> None:
    """A period: no gap, nothing twice, all periods together exactly the rate over the time."""
    name = transfer["reservation"]
    reservation = books.reservations[name]
    start_us = reservation["window"]["start_us"]
    until_us, paid = books.reservation_paid.get(name, (start_us, 0))
    rate = reservation["rate_micros"] * gpus_of(reservation)
    paid += transfer["micros"]
    use = transfer["use"]
    require(use["start_us"] == until_us, f"{name} was charged with a gap or twice")
    due = rate * (use["end_us"] - start_us) // HOUR_US
    require(paid == due, f"{name} paid {paid} and owed {due}")
    books.reservation_paid[name] = (use["end_us"], paid)


def settle(books: Books, event: Record) -> None:
    """Each shortage is credited once, for its own time, at the rate, from what was paid ahead; and
    no more GPUs are short than were sold."""
    name, at_us = event["reservation"], event["at_us"]
    reservation = books.reservations[name]
    credited = sum(it["micros"] for it in event["transfers"] if it["kind"] == "credit")
    due = 0
    for demand, gpus in event.get("short", ()):
        since_us, short = books.short.pop((name, demand), (at_us, 0))
        begins_us = max(since_us, reservation["window"]["start_us"])
        due += max(0, at_us - begins_us) * reservation["rate_micros"] * short // HOUR_US
        if gpus:
            books.short[name, demand] = (at_us, gpus)
    books.credited[name] += credited
    # What a division rounds is less than a micro-unit.
    is_right = credited == due or ("divided" in reservation and credited == due - 1)
    require(is_right, f"{name} was credited {credited} and missed {due}")
    short = sum(gpus for (of, _), (_, gpus) in books.short.items() if of == name)
    require(short <= gpus_of(reservation), f"{name} is short of more than it reserved")


def change(books: Books, event: Record) -> None:
    """A right that is over has delivered or paid back all that it paid."""
    name = event["reservation"]
    if event["state"] in ("ended", "lapsed"):
        held = books.balances[f"prepaid/{name}"]
        require(held == 0, f"{name} is over, and {held} of what it paid is neither's")


def end_demand(books: Books, name: str) -> None:
    """What ends is short of nothing any more: it was credited before."""
    left = [key for key in books.short if key[1] == name]
    require(not left, f"{name} ended while it was short and was not credited")


def earner_of(books: Books, transfer: Record) -> str | None:
    """The reservation whose lending is paid, as a market owes it; None for other money."""
    name = transfer.get("reservation")
    if name is None:
        return None
    org = books.reservations[name]["org"]
    return f"lending/{org}/{name}"


def pay_out(books: Books, transfer: Record) -> None:
    """A reservation never earns more than its cap by what it has cost."""
    name = transfer["reservation"]
    cap = books.reservations[name]["payout_cap"]
    books.earned_by[name] += transfer["micros"]
    _, charged = books.reservation_paid[name]
    most = (charged - books.credited[name]) * cap["numerator"] // cap["denominator"]
    # Shares of what was paid and earned are rounded apart.
    most += 2 if "divided" in books.reservations[name] else 0
    require(books.earned_by[name] <= most, f"{name} earned {books.earned_by[name]} of {most}")


def gpus_of(reservation: Record) -> int:
    """All GPUs of a reservation."""
    nodes: int = sum(nodes for _, nodes in reservation["shape"])
    gpus: int = reservation["gpus_per_node"]
    return nodes * gpus
