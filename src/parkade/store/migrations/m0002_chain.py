"""Each journal entry carries the digest of the chain up to it."""

import sqlalchemy as sa

from parkade.core.state.chain import GENESIS, link

_PAGE = 10_000


def apply(connection: sa.Connection) -> None:
    """Adds the column and computes it for the entries that are there."""
    connection.execute(sa.text("ALTER TABLE journal ADD COLUMN digest VARCHAR NOT NULL DEFAULT ''"))
    journal = sa.table(
        "journal",
        *(sa.column(name) for name in ("sequence", "epoch", "at_us", "type", "version", "body")),
        sa.column("digest"),
    )
    before, after = GENESIS, 0
    while True:
        page = sa.select(journal).where(journal.c.sequence > after).order_by(journal.c.sequence)
        rows = connection.execute(page.limit(_PAGE)).mappings().all()
        if not rows:
            return
        digests = []
        for row in rows:
            fields = {name: row[name] for name in ("sequence", "epoch", "at_us", "type", "version")}
            before = link(before, body=bytes(row["body"]), **fields)
            digests.append({"of": row["sequence"], "to": before})
        update = sa.update(journal).where(journal.c.sequence == sa.bindparam("of"))
        connection.execute(update.values(digest=sa.bindparam("to")), digests)
        after = rows[-1]["sequence"]
