"""Binding: a network's names are looked up, its nodes numbered, its prompts compiled.

**Samples of twins.** A call's address is its body and its sample index, so two equal Generates in
one network (`5E@a + 5E@a`) must not ask for the same samples. Generates with equal bodies share one
sequence of samples: each has an `offset` in it, and a repetition (`draw`) moves all of them on by
the `stride`, the total of the sequence. Example: `4*(5E@a + 2E@a)`: offsets 0 and 5, stride 7; in
draw 2 the first takes samples 14 … 18, the second 19 and 20.

A repeated Generate becomes one Generate with more samples, so that raising `k` in
`BestOf(Generate(…), k)` keeps every sample that was drawn before.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from parkade.compound.models import structured
from parkade.compound.models.protocol import Model, options_of
from parkade.compound.network import wording
from parkade.compound.network.errors import NetworkError
from parkade.compound.network.operators import (
    MAX_PARTS,
    NAMES,
    STAGES,
    Asking,
    BestOf,
    Cascade,
    Chain,
    Checker,
    Cluster,
    Code,
    Ensemble,
    Filter,
    Function,
    Fuse,
    Generate,
    Judge,
    Knockout,
    ModelVerifier,
    Operator,
    Race,
    Rank,
    Refine,
    Repeat,
    Route,
    Verify,
    Vote,
    out_of_range,
)
from parkade.compound.network.request import Writer

if TYPE_CHECKING:
    from parkade.compound.evaluate.adaptive import AdaptiveStop

FALLBACKS = ("random", "first", "vote", "abstain")
STOPS = ("first", "all")
DEFAULT_PROMPTS: dict[type[Operator], str] = {
    Generate: "{prompt}",
    ModelVerifier: wording.VERIFY,
    Judge: wording.JUDGE,
    Rank: wording.RANK,
    Knockout: wording.KNOCKOUT,
    Fuse: wording.FUSE,
    Refine: wording.REFINE,
}
#: Keys of a request body that are not an operator's to set.
RESERVED = {
    "n": "each sample is a call of its own; use the operator's n",
    "stream": "answers are read whole",
    "model": "the model is the operator's",
    "messages": "use the operator's prompt or messages",
}


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What the names in a network mean."""

    models: Mapping[str, Model]
    verifiers: Mapping[str, Any] = {}
    functions: Mapping[str, Callable[..., Any]] = {}


class Node:
    """One operator of a bound network, with its place and what its names stand for."""

    __slots__ = (
        "checker",
        "children",
        "critic",
        "function",
        "index",
        "is_stage",
        "offset",
        "operator",
        "patience",
        "routes",
        "stride",
        "writer",
    )

    def __init__(self, operator: Operator, index: int) -> None:
        self.operator: Any = operator
        self.index = index
        self.children: tuple[Node, ...] = ()
        #: Whether it stands behind another operator and must be fed by it.
        self.is_stage = isinstance(operator, STAGES)
        self.checker: Any = None
        self.function: Callable[..., Any] | None = None
        self.writer: Writer | None = None
        self.critic: Writer | None = None
        #: How many failures a question is worth; shared by all questions of a run.
        self.patience: AdaptiveStop | None = None
        self.routes: dict[str, Node] = {}
        self.offset = 0
        self.stride = 1

    @property
    def writers(self) -> tuple[Writer, ...]:
        """What writes its requests: a refine may have two, most operators have none."""
        return tuple(each for each in (self.writer, self.critic) if each is not None)


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A network that can run."""

    network: Operator
    root: Node
    #: In the order of their index, parents first.
    nodes: tuple[Node, ...]
    models: Mapping[str, Model]

    @property
    def asked_models(self) -> dict[str, Model]:
        """The models that the network asks, by name, in the order of its nodes."""
        names = (writer.model_name for node in self.nodes for writer in node.writers)
        return {name: self.models[name] for name in names}


def bind(network: Operator, names: Names) -> Bound:
    """Look up all names; NetworkError says what is missing or cannot run."""
    binder = _Binder(names)
    root = binder.bind(network)
    if _head(root).is_stage:
        raise NetworkError(
            f"the network begins with {NAMES[type(_head(root).operator)]}, which needs candidates; "
            "put an operator that makes some before it"
        )
    binder.number_samples()
    return Bound(network=network, root=root, nodes=tuple(binder.nodes), models=names.models)


def _head(node: Node) -> Node:
    while isinstance(node.operator, Chain):
        node = node.children[0]
    return node


class _Binder:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.nodes: list[Node] = []

    def bind(self, operator: Operator) -> Node:
        _check_numbers(operator)
        node = Node(_flattened(operator), len(self.nodes))
        self.nodes.append(node)
        if isinstance(node.operator, Generate) and node.operator.schema is not None:
            why = structured.fault(node.operator.schema)
            self._need(not why, f"{NAMES[Generate]}: {why}")
        if isinstance(node.operator, Asking):
            node.writer = self._writer(node.operator, node.operator.prompt)
        self._bind_parts(node, node.operator)
        return node

    def _bind_parts(self, node: Node, operator: Any) -> None:
        match operator:
            case Chain(steps=steps):
                self._need(bool(steps), "a chain has no steps")
                node.children = tuple(self.bind(step) for step in steps)
                for step in node.children[1:]:
                    self._need(
                        not isinstance(step.operator, Chain), "a chain stands inside a chain"
                    )
            case Ensemble(parts=parts) | Race(parts=parts):
                self._need(bool(parts), f"{NAMES[type(operator)]} has no parts")
                self._need(len(parts) <= MAX_PARTS, f"at most {MAX_PARTS:,} parts side by side")
                node.children = tuple(self._source(part) for part in parts)
            case Repeat(source=source):
                node.children = (self._source(source),)
            case BestOf():
                self._bind_best_of(node, operator)
            case Cascade(steps=steps, accept=accept):
                self._need(bool(steps), "cascade has no steps")
                node.children = tuple(self._source(step) for step in steps)
                node.checker = self._checker(accept)
            case Route(routes=routes, choose=choose):
                self._need(bool(routes), "route has no routes")
                node.routes = {name: self._source(way) for name, way in routes.items()}
                node.children = tuple(node.routes.values())
                node.function = self._function(choose)
            case Verify(verify=verify):
                node.checker = self._checker(verify)
            case Filter(keep=code) | Function(function=code):
                node.function = self._function(code)
            case Vote(key=key) | Cluster(key=key):
                node.function = None if key is None else self._function(key)
            case Refine():
                self._bind_refine(node, operator)
            case Generate():
                self._need(operator.kind in ("chat", "completion"), "`kind` is chat or completion")
            case ModelVerifier(votes=votes):
                self._need(votes % 2 == 1, "`votes` of a verifier must be odd")
            case Judge() | Rank() | Knockout() | Fuse():
                pass
            case _:
                raise NetworkError(f"{type(operator).__name__} is no operator that can run")

    def _bind_best_of(self, node: Node, operator: BestOf) -> None:
        self._need(operator.stop in STOPS, f"`stop` of best_of is one of {', '.join(STOPS)}")
        self._need(
            operator.fallback in FALLBACKS,
            f"`fallback` of best_of is one of {', '.join(FALLBACKS)}",
        )
        node.children = (self._source(Repeat(operator.source, operator.k)),)
        node.checker = self._checker(operator.verify)
        if operator.worth is not msgspec.UNSET:
            self._need(operator.stop == "first", "`worth` of best_of needs `stop` first")
            # It loads what measures, which few networks need.
            from parkade.compound.evaluate.adaptive import AdaptiveStop

            node.patience = AdaptiveStop(value_per_cost=operator.worth, most=operator.k)

    def _bind_refine(self, node: Node, operator: Refine) -> None:
        if operator.verify is not None:
            node.checker = self._checker(operator.verify)
        if operator.critic is not None:
            critic = Generate(operator.critic, max_tokens=operator.max_tokens)
            node.critic = self._writer(critic, operator.critique or wording.CRITIQUE)

    def _source(self, operator: Operator) -> Node:
        node = self.bind(operator)
        self._need(
            not _head(node).is_stage,
            f"{NAMES[type(_head(node).operator)]} needs candidates; put their maker before it",
        )
        return node

    def _writer(self, operator: Asking, prompt: str) -> Writer:
        model = self.names.models.get(operator.model)
        if model is None:
            raise _unknown("model", operator.model, self.names.models)
        options = {**options_of(model), **operator.options}
        for key, instead in RESERVED.items():
            self._need(key not in options, f"options may not hold {key!r}: {instead}")
        return Writer(operator, prompt or DEFAULT_PROMPTS[type(operator)], model)

    def _checker(self, checker: Checker) -> Any:
        match checker:
            case str() if checker in self.names.verifiers:
                return self._checker(self.names.verifiers[checker])
            case str() if checker in self.names.models:
                return self.bind(ModelVerifier(checker))
            case str() if checker in self.names.functions:
                return self.names.functions[checker]
            case str():
                raise _unknown("verifier", checker, self.names.verifiers)
            case ModelVerifier():
                return self.bind(checker)
            case _:
                return checker

    def _function(self, code: Code) -> Callable[..., Any]:
        if not isinstance(code, str):
            return code
        if code not in self.names.functions:
            raise _unknown("function", code, self.names.functions)
        return self.names.functions[code]

    def _need(self, holds: bool, what: str) -> None:
        if not holds:
            raise NetworkError(what)

    def number_samples(self) -> None:
        """Give equal Generates distinct samples of their common sequence."""
        totals: dict[bytes, int] = {}
        twins: dict[bytes, list[Node]] = {}
        for node in self.nodes:
            if isinstance(node.operator, Generate):
                assert node.writer is not None
                signature = node.writer.signature
                node.offset = totals.get(signature, 0)
                totals[signature] = node.offset + node.operator.n
                twins.setdefault(signature, []).append(node)
        for signature, nodes in twins.items():
            for node in nodes:
                node.stride = totals[signature]


def _unknown(kind: str, name: str, known: Mapping[str, Any]) -> NetworkError:
    there_are = f"there are: {', '.join(sorted(known))}" if known else f"no {kind} is given"
    return NetworkError(
        f"there is no {kind} {name!r}; {there_are}; a network file gives them under `{kind}s`"
    )


def _check_numbers(operator: Operator) -> None:
    """NetworkError for a number out of its range, also inside a repetition."""
    for field in msgspec.structs.fields(type(operator)):
        if wrong := out_of_range(field.name, getattr(operator, field.name)):
            name = NAMES.get(type(operator), type(operator).__name__)
            raise NetworkError(f"`{field.name}` of {name} {wrong}")
    if isinstance(operator, Repeat):
        _check_numbers(operator.source)


def _flattened(operator: Operator) -> Operator:
    """A repeated Generate is a Generate of more samples."""
    if isinstance(operator, Repeat):
        source = _flattened(operator.source)
        if isinstance(source, Generate):
            return msgspec.structs.replace(source, n=source.n * operator.times)
        if operator.times == 1:
            return source
    return operator
