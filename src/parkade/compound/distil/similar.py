"""When two texts are the same for training: normal forms, and overlap with a test set.

Texts are compared as words in lower case without punctuation. A question is contaminated if it
shares `words` words in a row with a question of the test set (13 by default, as the GPT-3 report,
arXiv 2005.14165, appendix C, uses), or if a shorter question of the test set stands in it whole.
"""

import re
from collections.abc import Iterable
from hashlib import blake2b

WORDS = 13
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case."""
    return _WORD.findall(text.lower())


def fingerprint(*texts: str) -> bytes:
    """Equal for texts that differ only in case, space and punctuation."""
    digest = blake2b(digest_size=16)
    for text in texts:
        digest.update(" ".join(words_of(text)).encode())
        digest.update(b"\n")
    return digest.digest()


class TestSet:
    """The runs of words of a test set. Memory: 8 bytes and a set's slot for each word."""

    __test__ = False

    def __init__(self, texts: Iterable[str], *, words: int = WORDS) -> None:
        assert words >= 1
        self._words = words
        self._runs: set[int] = set()
        #: Short questions, by their number of words.
        self._short: dict[int, set[int]] = {}
        for text in texts:
            found = words_of(text)
            if len(found) >= words:
                self._runs.update(_runs(found, words))
            elif found:
                self._short.setdefault(len(found), set()).update(_runs(found, len(found)))

    def touches(self, text: str) -> bool:
        """Whether a text is contaminated by the test set."""
        found = words_of(text)
        if any(run in self._runs for run in _runs(found, self._words)):
            return True
        return any(
            run in runs for length, runs in self._short.items() for run in _runs(found, length)
        )


def _runs(words: list[str], length: int) -> Iterable[int]:
    for place in range(len(words) - length + 1):
        joined = " ".join(words[place : place + length]).encode()
        yield int.from_bytes(blake2b(joined, digest_size=8).digest())
