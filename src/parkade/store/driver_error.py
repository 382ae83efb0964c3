"""What a database driver says of an error, as one line: SQLite quotes a damaged schema whole."""

from sqlalchemy.exc import DatabaseError

_LENGTH = 300


def line_of(error: DatabaseError) -> str:
    """The driver's own words without line breaks, at most 300 characters."""
    return " ".join(str(error.orig).split())[:_LENGTH]
