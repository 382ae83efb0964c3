"""The tables of a queue, as they stand in its file; earlier versions had no `failures`. Each queue
makes what is missing: they are no part of the journal, and none of its steps makes them."""

import sqlalchemy as sa

metadata = sa.MetaData()

messages = sa.Table(
    "messages",
    metadata,
    sa.Column("receiver", sa.String, primary_key=True),
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("body", sa.String, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("due_us", sa.BigInteger, nullable=False),
    sa.Column("tries", sa.Integer, nullable=False),
    sa.Column("ended_us", sa.BigInteger),
)

passed = sa.Table(
    "passed",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String),
)

failures = sa.Table(
    "failures",
    metadata,
    sa.Column("receiver", sa.String, primary_key=True),
    sa.Column("says", sa.String, nullable=False),
    sa.Column("failed_us", sa.BigInteger, nullable=False),
    sa.Column("resumes_us", sa.BigInteger),
)
