"""Receivers of people's messages, kept beside the journal; what a row holds is the caller's."""

from collections.abc import Sequence

import sqlalchemy as sa

from parkade.store.tables import receivers


def rows(connection: sa.Connection) -> Sequence[bytes]:
    """All, in order of their names."""
    query = sa.select(receivers.c.body).order_by(receivers.c.receiver)
    return [bytes(body) for body in connection.execute(query).scalars()]


def keep(connection: sa.Connection, receiver: str, body: bytes) -> None:
    """One more."""
    connection.execute(receivers.insert(), [{"receiver": receiver, "body": body}])


def change(connection: sa.Connection, receiver: str, body: bytes) -> None:
    """Another body of one that is there."""
    which = receivers.c.receiver == receiver
    connection.execute(receivers.update().where(which).values(body=body))


def forget(connection: sa.Connection, receiver: str) -> None:
    """One less."""
    connection.execute(receivers.delete().where(receivers.c.receiver == receiver))
