"""A network as a graph: boxes for operators, arrows for candidates, from question to answer."""

from typing import Any

import msgspec

from parkade.compound.amounts import plain
from parkade.compound.network.digest import name_of
from parkade.compound.network.operators import (
    NAMES,
    Asking,
    BestOf,
    Cascade,
    Chain,
    Cluster,
    Ensemble,
    Filter,
    Function,
    Generate,
    ModelVerifier,
    Operator,
    Race,
    Refine,
    Repeat,
    Route,
    Verify,
    Vote,
)
from parkade.core.units.phrases import counted


class Box(msgspec.Struct, frozen=True):
    """One operator: its kind in bold, what it does below."""

    title: str
    detail: str
    #: "source", "stage" or "end", which decides the colour.
    role: str


class Graph(msgspec.Struct, frozen=True):
    """Boxes by number and arrows between them, with what is written on them."""

    boxes: tuple[Box, ...]
    arrows: tuple[tuple[int, int, str], ...]


def describe(operator: Operator) -> tuple[str, str]:
    """Title and detail of one operator."""
    title = NAMES[type(operator)].replace("_", " ")
    match operator:
        case Generate(n=n, model=model):
            return title, f"{n} × {model}{_sampling(operator)}" if n > 1 else model + _sampling(
                operator
            )
        case ModelVerifier(model=model, votes=votes):
            return title, f"{model}, {votes} votes" if votes > 1 else model
        case BestOf(k=k, verify=verify, stop=stop, worth=worth):
            ends = "first accepted" if stop == "first" else "highest score"
            if worth is not msgspec.UNSET:
                ends = f"given up where not worth it at {plain(worth)}, {ends}"
            return f"best of {k}", f"{_checker(verify)}, {ends}"
        case Verify(verify=verify):
            return title, _checker(verify)
        case Cascade(accept=accept):
            return title, _checker(accept)
        case Filter(keep=code) | Function(function=code):
            return title, name_of(code)
        case Vote(key=key):
            return title, "" if key is None else f"by {name_of(key)}"
        case Cluster(key=key, keep=keep):
            parts = [f"by {name_of(key)}"] if key is not None else []
            return title, ", ".join([*parts, *([f"keep {keep}"] if keep else [])])
        case Repeat(times=times):
            return title, f"{times} times"
        case Race(parts=racing):
            return title, f"first of {len(racing)}"
        case Route(choose=choose):
            return title, f"by {name_of(choose)}"
        case Refine(model=model, rounds=rounds, critic=critic, verify=verify):
            parts = [model, f"at most {counted(rounds, 'round')}"]
            parts += [f"criticized by {critic}"] if critic is not None else []
            parts += [_checker(verify)] if verify is not None else []
            return title, ", ".join(parts)
        case Asking(model=model):
            votes = getattr(operator, "votes", 1)
            return title, f"{model}, {votes} votes" if votes > 1 else model
        case _:
            return title, ""


def graph_of(network: Operator) -> Graph:
    """The graph of a network, with the question before it and the answer behind."""
    builder = _Builder()
    question = builder.box(Box("question", "", "end"))
    heads, tails = builder.add(network)
    answer = builder.box(Box("answer", "", "end"))
    builder.join([question], heads)
    builder.join(tails, [answer])
    return Graph(tuple(builder.boxes), tuple(builder.arrows))


class _Builder:
    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.arrows: list[tuple[int, int, str]] = []

    def box(self, box: Box) -> int:
        self.boxes.append(box)
        return len(self.boxes) - 1

    def join(self, tails: list[int], heads: list[int], label: str = "") -> None:
        self.arrows.extend((tail, head, label) for tail in tails for head in heads)

    def add(self, operator: Operator) -> tuple[list[int], list[int]]:
        """Boxes where candidates or the question enter, and where candidates leave."""
        match operator:
            case Chain(steps=steps):
                heads, tails = self.add(steps[0])
                for step in steps[1:]:
                    next_heads, next_tails = self.add(step)
                    self.join(tails, next_heads)
                    tails = next_tails
                return heads, tails
            case Ensemble(parts=parts):
                added = [self.add(part) for part in parts]
                return (
                    [head for heads, _ in added for head in heads],
                    [tail for _, tails in added for tail in tails],
                )
            case BestOf(source=inner) | Repeat(source=inner):
                return self._collected(operator, [inner])
            case Race(parts=steps) | Cascade(steps=steps):
                return self._collected(operator, list(steps))
            case Route(routes=routes):
                return self._routed(operator, routes)
            case _:
                box = self._operator(operator)
                return [box], [box]

    def _operator(self, operator: Operator) -> int:
        title, detail = describe(operator)
        role = "source" if isinstance(operator, Generate | Function) else "stage"
        return self.box(Box(title, detail, role))

    def _collected(self, operator: Operator, inner: list[Operator]) -> tuple[list[int], list[int]]:
        heads: list[int] = []
        tails: list[tuple[list[int], str]] = []
        for place, each in enumerate(inner, start=1):
            more_heads, more_tails = self.add(each)
            heads += more_heads
            tails.append((more_tails, str(place) if isinstance(operator, Cascade) else ""))
        box = self._operator(operator)
        for leaving, label in tails:
            self.join(leaving, [box], label)
        return heads, [box]

    def _routed(
        self, operator: Operator, routes: dict[str, Operator]
    ) -> tuple[list[int], list[int]]:
        box = self._operator(operator)
        tails: list[int] = []
        for name, way in routes.items():
            heads, more = self.add(way)
            self.join([box], heads, name)
            tails += more
        return [box], tails


def _checker(verify: Any) -> str:
    if isinstance(verify, ModelVerifier):
        return f"verified by {describe(verify)[1]}"
    return f"verified by {name_of(verify)}"


def _sampling(operator: Generate) -> str:
    parts = [f"t={plain(operator.temperature)}"] if operator.temperature is not None else []
    parts += ["schema"] if operator.schema is not None else []
    return f" ({', '.join(parts)})" if parts else ""
