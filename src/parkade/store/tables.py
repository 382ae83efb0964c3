"""The tables as they stand after every migration; what they hold is what the journal says.

The journal alone is the truth: its newest entries are rows of `journal`, those before them lie in
`segments` (`segments.py`). `transfers` repeats the money of its events so that a statement is
one query, `answers` the answer given under an idempotency key; both are written in the transaction
of their events.
"""

import sqlalchemy as sa

# The row of `meta` that names the data folder of a journal in a shared database.
OWNER = "data_folder"
# The row of `meta` that names the writer of now, by number and address.
LEADER = "leader"
# Rows of `meta` that a copy of the journal does not have.
OF_ONE_PLACE = (OWNER, LEADER)

metadata = sa.MetaData()

# SQLite gives only INTEGER the row's own number; elsewhere a sequence needs 64 bits.
Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.String, nullable=False),
)

journal = sa.Table(
    "journal",
    metadata,
    sa.Column("sequence", Sequence, primary_key=True, autoincrement=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("digest", sa.String, nullable=False, server_default=""),
)

# Runs of entries, compressed. They follow one another from entry 1 without a gap.
segments = sa.Table(
    "segments",
    metadata,
    sa.Column("last", Sequence, primary_key=True, autoincrement=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("first_at_us", sa.BigInteger, nullable=False),
    sa.Column("last_at_us", sa.BigInteger, nullable=False),
    sa.Column("digest_before", sa.String, nullable=False),
    sa.Column("digest_after", sa.String, nullable=False),
    sa.Column("kinds", sa.String, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    sa.Column("sequence", Sequence, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

answers = sa.Table(
    "answers",
    metadata,
    sa.Column("principal", sa.String, primary_key=True),
    sa.Column("key", sa.String, primary_key=True),
    sa.Column("request_digest", sa.String, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String, nullable=False, server_default=""),
    sa.Index("answers_at_us", "at_us"),
)

transfers = sa.Table(
    "transfers",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("debit", sa.String, nullable=False),
    sa.Column("credit", sa.String, nullable=False),
    sa.Column("micros", sa.BigInteger, nullable=False),
    sa.Column("reservation", sa.String),
    sa.Column("workload", sa.String),
    sa.Column("attempt", sa.String),
    sa.Column("gpus", sa.BigInteger, nullable=False),
    sa.Column("price_micros", sa.BigInteger, nullable=False),
    sa.Column("start_us", sa.BigInteger, nullable=False),
    sa.Column("end_us", sa.BigInteger, nullable=False),
    sa.Index("transfers_debit", "debit", "sequence"),
    sa.Index("transfers_credit", "credit", "sequence"),
)

# No part of the journal: where people want to hear of their work. An address may be a secret.
receivers = sa.Table(
    "receivers",
    metadata,
    sa.Column("receiver", sa.String, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)
