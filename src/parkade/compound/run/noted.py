"""What operators note that a summary counts: questions with such a note, by its kind."""

from collections.abc import Iterable

import msgspec

#: Words of notes; what stands around them says how many and why.
GIVEN_UP = "given up"
OFF_SCHEMA = "do not meet the schema"
COUNT_FOR_NONE = "count for none"
COUNT_AS_REJECTIONS = "count as rejections"
UNREAD = (COUNT_FOR_NONE, COUNT_AS_REJECTIONS)


class Noted(msgspec.Struct, kw_only=True):
    """How many questions have a note of a kind."""

    #: `worth` ended them without an accepted candidate.
    given_up: int = 0
    #: An answer broke its schema after all repairs.
    off_schema: int = 0
    #: A judge, rank, knockout or model verifier gave replies that say nothing.
    unread: int = 0

    def add(self, notes: Iterable[str]) -> None:
        """Of one question."""
        given = tuple(notes)
        self.given_up += any(GIVEN_UP in note for note in given)
        self.off_schema += any(OFF_SCHEMA in note for note in given)
        self.unread += any(words in note for note in given for words in UNREAD)
