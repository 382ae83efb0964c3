"""Pieces of sentences: a count with its noun, and the first few of many names."""

from collections.abc import Iterable

MOST_NAMED = 3


def counted(count: int, noun: str) -> str:
    """`1 node`, `1,024 nodes`; of nouns whose plural has an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def some_of(names: Iterable[str], most: int = MOST_NAMED) -> str:
    """The first names, and how many more there are. Reads them all."""
    found = list(names)
    rest = f" and {len(found) - most:,} more" if len(found) > most else ""
    return ", ".join(found[:most]) + rest
