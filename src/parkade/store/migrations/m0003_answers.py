"""Each answer kept for repeated requests carries a digest of its own."""

import sqlalchemy as sa

from parkade.store.answer_digest import answer_digest

_PAGE = 10_000
_FIELDS = ("principal", "key", "request_digest", "body", "sequence", "at_us")


def apply(connection: sa.Connection) -> None:
    """Adds the column and computes it for the answers that are there."""
    connection.execute(sa.text("ALTER TABLE answers ADD COLUMN digest VARCHAR NOT NULL DEFAULT ''"))
    answers = sa.table("answers", *(sa.column(name) for name in (*_FIELDS, "digest")))
    update = (
        sa.update(answers)
        .where(answers.c.principal == sa.bindparam("of"), answers.c.key == sa.bindparam("under"))
        .values(digest=sa.bindparam("to"))
    )
    while True:
        page = sa.select(answers).where(answers.c.digest == "").limit(_PAGE)
        rows = connection.execute(page).mappings().all()
        if not rows:
            return
        digests = []
        for row in rows:
            fields = {name: row[name] for name in _FIELDS} | {"body": bytes(row["body"])}
            to = answer_digest(**fields)
            digests.append({"of": row["principal"], "under": row["key"], "to": to})
        connection.execute(update, digests)
