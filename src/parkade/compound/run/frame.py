"""A frame: one running operator of a question, and what its steps may do.

Steps are a generator that receives events and acts through these methods only; `machine` moves the
candidates, tickets and ends between frames, and has the theory.
"""

from collections import deque
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias

from parkade.compound.network.binding import Node
from parkade.compound.run.given import Use
from parkade.compound.run.orders import Apply, Ask, Check, Event, Item, Judged
from parkade.compound.values import Call, Candidate, Question

if TYPE_CHECKING:
    from parkade.compound.run.machine import Machine

MAX_NOTES = 20
Steps: TypeAlias = Generator[None, Event, None]


class Frame:
    """One running operator; what its steps may do is what its methods do."""

    __slots__ = (
        "children",
        "demand",
        "draw",
        "given",
        "hears_pulls",
        "is_end_sent",
        "is_over",
        "machine",
        "missing",
        "node",
        "parent",
        "ready",
        "reply",
        "steps",
        "tickets",
        "upstream",
    )

    def __init__(self, machine: "Machine", node: Node, parent: "Frame | None", draw: int) -> None:
        self.machine = machine
        self.node = node
        self.parent = parent
        self.draw = draw
        #: Candidates wanted and not yet given.
        self.demand = 0
        self.ready: deque[Item] = deque()
        self.children: dict[Frame, None] = {}
        self.tickets: set[int] = set()
        #: The frame that feeds a stage.
        self.upstream: Frame | None = None
        #: The candidate for which a source behind another operator runs.
        self.given: Item | None = None
        #: The ticket of the parent that this frame's one candidate answers.
        self.reply: int | None = None
        self.steps: Steps | None = None
        self.hears_pulls = False
        self.is_over = False
        self.is_end_sent = False
        #: Calls of it, and of sources that came to their end, whose answers a later run brings.
        self.missing = 0

    def ask(self, call: Call, of: str | None = None) -> int:
        """Make a call; `Finished` brings a Completion or a Failure.

        `of` is the key of the candidate that it is about; None: the one that the frame was given.
        """
        ticket = self._ticket()
        if of is None:
            of = "" if self.given is None else self.given.candidate.key
        self.machine.orders.append(Ask(ticket, call, self.node.index, of))
        return ticket

    def check(self, checker: Any, candidate: Candidate) -> int:
        """Have a candidate verified; `Finished` brings a Verdict or a Failure."""
        if isinstance(checker, Node):
            child = self.open(checker, self.draw)
            child.given = Item(candidate)
            child.reply = self.machine.next_ticket()
            self.pull(child)
            return child.reply
        ticket = self._ticket()
        self.machine.orders.append(Check(ticket, checker, candidate, self.node.index))
        return ticket

    def apply(self, use: Use, function: Callable[..., Any], *arguments: Any) -> int:
        """Call a function; `Finished` brings what `given.read` makes of what it gave, or a
        Failure."""
        ticket = self._ticket()
        self.machine.orders.append(Apply(ticket, use, function, arguments, self.node.index))
        return ticket

    def open(self, node: Node, draw: int, given: Item | None = None) -> "Frame":
        """A source of this frame; nothing runs before it is pulled."""
        return self.machine.open(node, self, draw, given)

    def pull(self, source: "Frame") -> None:
        """Want one more candidate of a source."""
        self.machine.pull(source)

    def emit(self, item: Item) -> None:
        """Give a candidate on."""
        if self.demand:
            self.demand -= 1
            self.machine.deliver(self, item)
        else:
            self.ready.append(item)

    def judged(self, judged: Judged) -> None:
        """Tell of a model verifier's verdict, or why it gave none."""
        self.machine.orders.append(judged)

    def note(self, text: str) -> None:
        """Tell how this operator chose; `show` prints it."""
        if len(self.machine.notes) < MAX_NOTES:
            self.machine.notes.append(text)

    def values(self, **more: object) -> dict[str, object]:
        """What prompts of this frame may name."""
        named = dict(self.machine.variables)
        if self.given is not None:
            named["candidate"] = self.given.candidate.text
            named["reason"] = self.given.verdict.reason if self.given.verdict else ""
        named.update(more)
        return named

    @property
    def question(self) -> Question:
        """The question that the machine answers."""
        return self.machine.question

    @property
    def width(self) -> int:
        """At most so many things in flight for this frame."""
        return self.machine.width

    def _ticket(self) -> int:
        ticket = self.machine.next_ticket()
        self.machine.waiting[ticket] = self
        self.tickets.add(ticket)
        return ticket
