"""Old entries are folded into segments; a transfer's entry may be in one."""

import sqlalchemy as sa


def apply(connection: sa.Connection) -> None:
    """Creates the table, and frees `transfers` from the rows of `journal`."""
    metadata = sa.MetaData()
    sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    sa.Table(
        "segments",
        metadata,
        sa.Column("last", sequence, primary_key=True, autoincrement=False),
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
    metadata.create_all(connection, checkfirst=False)
    if connection.dialect.name == "sqlite":
        _rebuild(connection)
        return
    for key in sa.inspect(connection).get_foreign_keys("transfers"):
        connection.exec_driver_sql(f'ALTER TABLE transfers DROP CONSTRAINT "{key["name"]}"')


def _rebuild(connection: sa.Connection) -> None:
    """SQLite drops a constraint only with its table. Needs as much room as the table has."""
    for side in ("debit", "credit"):
        connection.exec_driver_sql(f"DROP INDEX transfers_{side}")
    connection.exec_driver_sql("ALTER TABLE transfers RENAME TO transfers_before")
    made = sa.Table(
        "transfers",
        sa.MetaData(),
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
    made.create(connection, checkfirst=False)
    columns = ", ".join(made.columns.keys())
    connection.exec_driver_sql(
        f"INSERT INTO transfers ({columns}) SELECT {columns} FROM transfers_before"
        " ORDER BY sequence, position"
    )
    connection.exec_driver_sql("DROP TABLE transfers_before")
