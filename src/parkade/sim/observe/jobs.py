"""The jobs of a trace as columns: 100 bytes a job, so that a million fit beside what works on them.

A job is one run: a requeued job is several of them. Instants are seconds since 1970, `NEVER` where
there is none.
"""

import enum
from array import array
from collections import Counter

NEVER = -1
MOST_NAMES = 100_000
LONGEST_NAME = 255


class Kind(enum.IntEnum):
    """What is known of a run."""

    RAN = 0
    RUNNING = 1
    """It has started and no end is known."""

    PENDING = 2
    LEFT = 3
    """It left the queue without having started."""


class Names:
    """Texts as small numbers, in order of their first use; the empty text is number 0."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {"": 0}
        self.texts: list[str] = [""]

    def number(self, text: str) -> int:
        """Of a text; raises `ValueError` where it is too long or one too many."""
        found = self._places.get(text)
        if found is not None:
            return found
        if len(text) > LONGEST_NAME:
            raise ValueError(f"a name of more than {LONGEST_NAME} characters")
        if len(self.texts) >= MOST_NAMES:
            raise ValueError(f"more than {MOST_NAMES:,} different names")
        found = self._places[text] = len(self.texts)
        self.texts.append(text)
        return found

    def find(self, text: str) -> int | None:
        """The number of a text that was used before."""
        return self._places.get(text)


class Jobs:
    """Columns of equal length, one entry a job, in the order of the file."""

    def __init__(self) -> None:
        self.kind = array("b")
        self.submit_s = array("q")
        self.eligible_s = array("q")
        self.start_s = array("q")
        self.end_s = array("q")
        self.limit_s = array("q")
        """`NEVER`: none of its own."""

        self.gpus = array("l")
        """Held, or asked for where it has not started."""

        self.asked_gpus = array("l")
        self.cpus = array("l")
        self.nodes = array("l")
        self.cpu_s = array("q")
        """CPU time it used; `NEVER`: not in the data."""

        self.priority = array("d")
        self.account = array("l")
        self.partition = array("l")
        self.reservation = array("l")
        self.hosts = array("l")
        """Number of its list of nodes; 0: none."""

        self.accounts = Names()
        self.partitions = Names()
        self.reservations = Names()
        self.host_lists: list[tuple[str, ...]] = [()]
        self.model = array("l")
        self.models = Names()

    def __len__(self) -> int:
        return len(self.kind)

    def gpus_per_node(self, job: int) -> int:
        """GPUs of each of its nodes; uneven shapes are rounded up."""
        return -(-self.gpus[job] // max(1, self.nodes[job]))

    def cpus_per_node(self, job: int) -> int:
        """CPUs of each of its nodes, rounded down so that it fits where it ran."""
        return self.cpus[job] // max(1, self.nodes[job])


class Reading:
    """What became of the rows of a file."""

    def __init__(self) -> None:
        self.rows = 0
        self.left_out: Counter[str] = Counter()
        """Rows by why they are no jobs; known reasons and unknown ones."""

        self.noted: Counter[str] = Counter()
        """Jobs that were taken in with something to say of them."""

        self.examples: list[str] = []
        """A few rows that no rule knows, with the reason before them."""
