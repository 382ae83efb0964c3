"""What functions of users give: each kind of function, each wrong type, and numpy's scalars."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parkade.compound.models.protocol import Failure
from parkade.compound.network import BestOf, Cluster, Filter, Generate, Operator, Route, Vote
from parkade.compound.network.operators import Function, Verify
from parkade.compound.run.given import Use, read
from parkade.compound.values import Candidate, Verdict
from tests.compound.building import answers, ask, names, run_network


def yields() -> Iterator[str]:
    yield "a"


WRONG: dict[str, Any] = {
    "nothing (None)": None,
    "5 (int)": 5,
    "a list of int": [5, 6],
    "a value of type dict": {"a": "b"},
    "a value of type generator": yields(),
}
#: What a wrong value is not wrong for.
FINE = {("5 (int)", "key"), ("5 (int)", "filter"), ("5 (int)", "cluster")}


def network_of(kind: str, function: Callable[..., Any]) -> Operator:
    made = Generate("m", n=2)
    match kind:
        case "key":
            return made >> Vote(function)
        case "cluster":
            return made >> Cluster(function, keep=1)
        case "filter":
            return made >> Filter(function)
        case "function":
            return made >> Function(function)
        case "route":
            return Route(function, {"a": Generate("m")})
        case "verify":
            return made >> Verify(function)
        case _:
            return BestOf(made, k=1, verify=function, fallback="abstain")


@pytest.mark.parametrize(
    "kind", ["key", "cluster", "filter", "function", "route", "verify", "best"]
)
@pytest.mark.parametrize("told", WRONG)
def test_a_wrong_value_fails_the_question_and_says_whose_it_is(
    kind: str, told: str, tmp_path: Path
) -> None:
    def gives(*_: Any) -> Any:
        return WRONG[told]

    network = network_of(kind, gives)
    summary, results = run_network(network, [ask()], names({"m": answers("a", "b")}), tmp_path)
    if (told, kind) in FINE:
        assert results["q1"].answer is not None
        return
    assert (summary.failed, results["q1"].answer) == (1, None)
    assert results["q1"].failures[0].startswith(f"broken: {gives.__qualname__} gave {told}; it mu")


@pytest.mark.parametrize(
    ("use", "value", "read_as"),
    [
        (Use.VERDICT, np.bool_(True), Verdict(is_accepted=True)),
        (Use.VERDICT, np.int64(3) > 2, Verdict(is_accepted=True)),
        (
            Use.VERDICT,
            Verdict(is_accepted=np.bool_(False), score=np.float64(0.5)),  # type: ignore[arg-type]
            Verdict(is_accepted=False, score=0.5),
        ),
        (Use.KEEP, np.bool_(False), False),
        (Use.KEY, np.int64(4), 4),
        (Use.KEY, np.array(4), 4),
        (Use.MADE, np.str_("a"), ("a",)),
        (Use.MADE, [np.str_("a"), "b\ud800"], ("a", "b\ufffd")),
        (Use.MADE, [], ()),
        (Use.WAY, np.str_("a"), "a"),
    ],
)
def test_a_scalar_of_numpy_is_the_value_it_holds(use: Use, value: Any, read_as: Any) -> None:
    found = read(use, yields, value)
    assert (found, type(found)) == (read_as, type(read_as))


@pytest.mark.parametrize(
    "value",
    [
        0.9,
        1,
        (True, "why"),
        Verdict(is_accepted="yes"),  # type: ignore[arg-type]
        Verdict(is_accepted=True, score="high"),  # type: ignore[arg-type]
        Verdict(is_accepted=True, score=float("nan")),
    ],
)
def test_what_is_no_verdict_is_told(value: Any) -> None:
    said = read(Use.VERDICT, yields, value)
    assert isinstance(said, Failure)
    assert ("threshold" in said.message) == isinstance(value, int | float)


@pytest.mark.parametrize("value", [np.array([1, 2]), Candidate(text=5, model="", sample=0, key="")])  # type: ignore[arg-type]
def test_an_array_is_no_key_and_a_number_no_text(value: Any) -> None:
    assert isinstance(read(Use.MADE, yields, value), Failure)


def test_a_way_that_does_not_exist_fails_the_question_by_name(tmp_path: Path) -> None:
    network = Route(lambda question: "hrad", {"easy": Generate("m"), "hard": Generate("m")})
    summary, results = run_network(network, [ask()], names({"m": answers("a")}), tmp_path)
    assert (summary.failed, summary.calls) == (1, 0)
    assert "names the way 'hrad'; there are: easy, hard" in results["q1"].failures[0]
