"""Deleted users and orgs, from events alone: they had nothing, and nothing begins for them again.

- A user that is deleted runs nothing then, and neither does an org, whose account is empty.
- Nothing is submitted or reserved for either after that, and no token or name is given anew.
- Money leaves the account of a deleted org for the outside alone; what is owed to it may come.
"""

from parkade.sim.auditor.books import Books, Record, require


def delete(books: Books, event: Record) -> None:
    """A user or an org is gone."""
    kind = "user" if event["type"] == "UserDeleted" else "org"
    name = event[kind]
    require((kind, name) not in books.deleted, f"{kind} {name} is deleted twice")
    live = [it for it in books.live if books.workloads[it][kind] == name]
    require(not live, f"{kind} {name} is deleted with {live} running")
    held = books.balances[f"org/{name}"] if kind == "org" else 0
    require(held == 0, f"org {name} is deleted with {held} on its account")
    books.deleted.add((kind, name))


def begin(books: Books, event: Record) -> None:
    """Something began, or was made, for a user or an org."""
    subject = next(
        event[it]
        for it in ("workload", "reservation", "user", "org", "token")
        if isinstance(event.get(it), dict)
    )
    for kind in ("user", "org"):
        name = subject.get(kind)
        is_gone = name is not None and (kind, name) in books.deleted
        require(not is_gone, f"{event['type']} for the deleted {kind} {name}")


def move(books: Books, transfer: Record) -> None:
    """Money of a deleted org goes out of the marketplace, or comes late."""
    kind, _, org = transfer["debit"].partition("/")
    is_gone = kind == "org" and ("org", org) in books.deleted
    is_paid_out = transfer["kind"] == "disbursement"
    require(not is_gone or is_paid_out, f"{transfer['kind']} from the deleted org {org}")
    is_new = transfer["kind"] in ("deposit", "grant")
    receiver = transfer["credit"].removeprefix("org/")
    require(not (is_new and ("org", receiver) in books.deleted), f"{receiver} is deleted, and paid")
