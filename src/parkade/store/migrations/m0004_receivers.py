"""Where people want to hear of their work."""

import sqlalchemy as sa


def apply(connection: sa.Connection) -> None:
    """Creates the table."""
    metadata = sa.MetaData()
    sa.Table(
        "receivers",
        metadata,
        sa.Column("receiver", sa.String, primary_key=True),
        sa.Column("body", sa.LargeBinary, nullable=False),
    )
    metadata.create_all(connection, checkfirst=False)
