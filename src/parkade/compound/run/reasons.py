"""Why things failed: the first distinct reasons, how often each came, and where first.

Bounded: `MOST_REASONS` reasons of `MOST_CHARACTERS` each, with `MOST_EXAMPLES` examples; further
distinct reasons are only counted.
"""

import msgspec

MOST_REASONS = 5
MOST_EXAMPLES = 3
MOST_CHARACTERS = 300


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """One reason, and what it stopped."""

    reason: str
    count: int
    #: Ids of the first few questions.
    questions: tuple[str, ...]


class Reasons:
    """Collects reasons one by one."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, tuple[str, ...]]] = {}
        #: Times a reason came that is not among those kept.
        self.others = 0

    def add(self, reason: str, question: str) -> None:
        """A question failed for this reason."""
        short = reason if len(reason) <= MOST_CHARACTERS else reason[: MOST_CHARACTERS - 1] + "…"
        if short not in self._found and len(self._found) >= MOST_REASONS:
            self.others += 1
            return
        count, examples = self._found.get(short, (0, ()))
        if len(examples) < MOST_EXAMPLES and question not in examples:
            examples = (*examples, question)
        self._found[short] = (count + 1, examples)

    def all(self) -> tuple[Reason, ...]:
        """The reasons, in the order in which they first came."""
        return tuple(
            Reason(reason=reason, count=count, questions=questions)
            for reason, (count, questions) in tuple(self._found.items())
        )
