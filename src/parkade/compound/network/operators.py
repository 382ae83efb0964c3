"""The operators of a network, as values that do nothing by themselves.

An operator is a *source* (makes candidates from the question: Generate, Ensemble, BestOf, …) or a
*stage* (makes candidates from candidates: Filter, Verify, Vote, Judge, …). `a >> b` feeds b with
what a makes; `a + b` is both side by side. A source behind another operator runs once for each
candidate that arrives, which its prompt may name as `{candidate}`.

Models, verifiers and functions may stand as themselves or as names that are bound at run time, so
that the same network is read from YAML or the compact notation.

The cost that each operator's docstring gives counts model calls for one question; n is the number
of candidates that arrive.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from parkade.compound.values import Verifier

Code: TypeAlias = str | Callable[..., Any]

#: Of samples, draws and groups.
MAX_COUNT = 100_000_000
#: The least and the most of each field that is a number; beyond it is a slip of the hand.
RANGES: dict[str, tuple[int, int]] = {
    "n": (1, MAX_COUNT),
    "k": (1, MAX_COUNT),
    "times": (1, MAX_COUNT),
    "keep": (1, MAX_COUNT),
    "max_tokens": (1, MAX_COUNT),
    "votes": (1, 10_000),
    "rounds": (1, 1_000),
    "repairs": (0, 100),
    "parallel": (1, 1_000_000),
    "worth": (1, 10**12),
    "temperature": (0, 100),
}
#: Parts of a race, each an operator of its own.
MAX_PARTS = 1_000


class Operator(msgspec.Struct, frozen=True):
    """Base of all; composes with `>>` and `+`."""

    def __rshift__(self, other: "Operator | Callable[..., Any]") -> "Chain":
        after = other if isinstance(other, Operator) else Function(other)
        return Chain((*_parts(self, Chain), *_parts(after, Chain)))

    def __rrshift__(self, other: Callable[..., Any]) -> "Chain":
        return Function(other) >> self

    def __add__(self, other: "Operator") -> "Ensemble":
        return Ensemble((*_parts(self, Ensemble), *_parts(other, Ensemble)))


def out_of_range(field: str, value: object) -> str | None:
    """What is wrong with a number in a field, if something is; anything else is right."""
    if field not in RANGES or not isinstance(value, (int, float)):
        return None
    least, most = RANGES[field]
    if not value >= least:
        return f"must be at least {least}"
    return None if value <= most else f"must be at most {most:,}"


def _parts(operator: Operator, kind: "type[Chain | Ensemble]") -> tuple[Operator, ...]:
    """Chains of chains and ensembles of ensembles are flat."""
    if isinstance(operator, Chain) and kind is Chain:
        return operator.steps
    if isinstance(operator, Ensemble) and kind is Ensemble:
        return operator.parts
    return (operator,)


class Chain(Operator, frozen=True):
    """`a >> b >> c`: each step is fed by the one before. Cost: the sum of its steps."""

    steps: tuple[Operator, ...]


class Ensemble(Operator, frozen=True):
    """`a + b`: the candidates of all parts. Cost: the sum of its parts."""

    parts: tuple[Operator, ...]


class Repeat(Operator, frozen=True):
    """The source `times` over, each time with fresh samples. Cost: times x source."""

    source: Operator
    times: int


class Asking(Operator, frozen=True):
    """What all operators have that ask a model."""

    model: str
    #: Template of the user's message; empty for the operator's own wording.
    prompt: str = ""
    #: Template of the system message.
    system: str | None = None
    temperature: float | None = None
    #: Most output tokens of one call; a budget in money or tokens needs it, here or at the model.
    max_tokens: int | None = None
    #: Further keys of the request body, passed through untouched: tools, top_p, stop, seed, …
    options: dict[str, Any] = {}


class Generate(Asking, frozen=True):
    """n samples of a model. Cost: n, and up to n x repairs more with a schema."""

    n: int = 1
    #: Whole messages (images, tool results) instead of prompt and system; texts are templates.
    messages: tuple[dict[str, Any], ...] | None = None
    #: "chat" or "completion" (a raw prompt).
    kind: str = "chat"
    #: JSON Schema of the answer; asked of the server and checked here.
    schema: dict[str, Any] | None = None
    #: How often an answer that breaks the schema is sent back with the error.
    repairs: int = 1


class ModelVerifier(Asking, frozen=True):
    """A model that accepts or rejects one candidate, by the majority of `votes` (odd).

    Stands where a verifier may stand. Cost: votes for each candidate verified.
    """

    votes: int = 1


#: A plain function of (question, candidate) may stand for a verifier: it says True, False or a
#: Verdict. A name is looked up when the network is bound.
Checker: TypeAlias = str | Verifier | ModelVerifier | Callable[..., Any]


class Function(Operator, frozen=True):
    """A Python function, sync or async. Cost: no call.

    As a source it gets the question; as a stage the question and the tuple of candidates. It gives
    a text, a Candidate, or a list of either.
    """

    function: Code


class Filter(Operator, frozen=True):
    """Keeps candidates for which function(question, candidate) is true. Cost: no call."""

    keep: Code


class Verify(Operator, frozen=True):
    """Keeps the candidates that a verifier accepts. Cost: n x votes for a ModelVerifier, else 0."""

    verify: Checker


class Vote(Operator, frozen=True):
    """The candidate with the most equals, the earliest of them; ties go to the earliest.

    `key(question, candidate)` says what is equal; default: the text without outer space. Cost: 0.
    """

    key: Code | None = None


class Cluster(Operator, frozen=True):
    """One candidate for each group of equals, largest group first. Cost: 0.

    `key(question, candidate)` gives the group: a normal form, or the behaviour on test inputs.
    """

    key: Code | None = None
    #: At most so many groups; None keeps all.
    keep: int | None = None


class Judge(Asking, frozen=True):
    """A model picks one of the candidates, by plurality of `votes`. Cost: votes.

    Each vote sees the candidates in another order, against a preference for a place.
    """

    votes: int = 1


class Rank(Asking, frozen=True):
    """A model scores each candidate from 0 to 100, the mean of `votes`; best first.

    Cost: n x votes.
    """

    votes: int = 1
    keep: int = 1


class Knockout(Asking, frozen=True):
    """A tournament: pairs are compared `votes` times, the winner of each goes on.

    Cost: (n − 1) x votes.
    """

    votes: int = 1


class Fuse(Asking, frozen=True):
    """A model writes one answer from all candidates. Cost: 1."""


class Refine(Asking, frozen=True):
    """Improves each candidate in at most `rounds` rounds, until it is accepted.

    Cost: at most n x rounds, twice that with a critic, and the verifier's.
    """

    rounds: int = 1
    verify: Checker | None = None
    #: A model that says what is wrong; its words are `{reason}` in the prompt.
    critic: str | None = None
    critique: str = ""


class Route(Operator, frozen=True):
    """Sends the question one way; `choose(question)` names it. Cost: that of the way taken."""

    choose: Code
    routes: dict[str, Operator]


class Cascade(Operator, frozen=True):
    """Tries its steps in order until one makes a candidate that is accepted.

    What the last step makes is given on in any case. Cost: that of the steps tried.
    """

    steps: tuple[Operator, ...]
    accept: Checker


class Race(Operator, frozen=True):
    """All parts at once; the first candidate wins and the rest is cancelled.

    Cost: at most the sum of its parts. `Race.of(operator, n)` races n samples of one.
    """

    parts: tuple[Operator, ...]

    @classmethod
    def of(cls, runner: Operator, n: int) -> "Race":
        """n replicas of one operator, each with samples of its own."""
        return cls((runner,) * n)


class BestOf(Operator, frozen=True):
    """Up to k draws of the source, each verified. Cost: at most k x (source + verifier).

    `stop="first"` ends at the first accepted candidate and cancels the rest; `"all"` verifies all
    k and gives the accepted one with the highest score. Where none is accepted, `fallback` says
    what is given: "random" or "first" candidate, the majority's ("vote"), or none ("abstain").
    With `worth` a question may end before k; what the questions before taught decides when.
    """

    source: Operator
    k: int
    verify: Checker
    stop: str = "first"
    fallback: str = "random"
    #: At most so many candidates in flight at once; 1 is the cheapest, None leaves it to the run.
    parallel: int | None = None
    #: What a solved question is worth, in prices of one candidate with its check: a question is
    #: given up where the next candidate is not worth its price. Unset: after k.
    worth: float | msgspec.UnsetType = msgspec.UNSET


STAGES = (Filter, Verify, Vote, Cluster, Judge, Rank, Knockout, Fuse, Refine)
KINDS: dict[str, type[Operator]] = {
    "chain": Chain,
    "ensemble": Ensemble,
    "repeat": Repeat,
    "generate": Generate,
    "function": Function,
    "filter": Filter,
    "verify": Verify,
    "vote": Vote,
    "cluster": Cluster,
    "judge": Judge,
    "rank": Rank,
    "knockout": Knockout,
    "fuse": Fuse,
    "refine": Refine,
    "route": Route,
    "cascade": Cascade,
    "race": Race,
    "best_of": BestOf,
    "model_verifier": ModelVerifier,
}
NAMES = {kind: name for name, kind in KINDS.items()}
