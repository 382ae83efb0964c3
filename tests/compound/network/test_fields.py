"""A name in a template that no question has is found before the run; others are left to it."""

from typing import Any

import pytest

from parkade.compound.network import Chain, Generate, NetworkError
from parkade.compound.network.binding import bind
from parkade.compound.network.fields import FIRST, check_names
from parkade.compound.network.notation import parse
from parkade.compound.network.operators import Fuse, Judge, Operator, Refine
from parkade.compound.verify.exact import exact_number
from parkade.compound.verify.python_tests import PythonTests, human_eval
from parkade.compound.verify.sandbox.pool import Sandbox
from tests.compound.building import answers, ask, names


def checked(network: Operator, *fields: dict[str, Any]) -> None:
    known = names({"m": answers("x"), "j": answers("y")})
    check_names(bind(network, known), [ask(n, **each) for n, each in enumerate(fields)])


def test_a_name_that_no_question_has_is_told_with_what_was_meant() -> None:
    with pytest.raises(NetworkError, match=r"^generate: m: .*\{promt\}.*did you mean \{prompt\}\?"):
        checked(Generate("m", prompt="{promt}"), {}, {})
    with pytest.raises(NetworkError, match=r"there are: city, id, prompt$"):
        checked(Generate("m", system="{qwerty}"), {"city": "Paris"})


def test_a_name_that_one_of_the_first_questions_has_is_left_to_the_run() -> None:
    network = Generate("m", prompt="{prompt} {test}")
    checked(network, *[{}] * (FIRST - 1), {"test": 1})
    with pytest.raises(NetworkError, match=rf"first {FIRST} questions"):
        checked(network, *[{}] * FIRST, {"test": 1})


def test_without_a_question_nothing_is_wrong() -> None:
    checked(Generate("m", prompt="{promt}"))


@pytest.mark.parametrize(
    "network",
    [
        parse("5E@m >> 3V@j >> 3J@j >> S@j"),
        parse("4B(E@m)@j >> R@j >> K@j"),
        parse("2*(2E@m >> 1J@j) + 2E@m"),
        Chain((Generate("m"), Generate("j", prompt="{prompt}: better than {candidate}?"))),
        Chain((Generate("m"), Refine("j", critic="j"))),
        Chain((Generate("m"), Judge("j", prompt="{prompt} {candidates}"))),
        Chain((Generate("m"), Fuse("j", prompt="{id} {candidates}"))),
        Generate("m", messages=({"role": "user", "content": [{"type": "text", "text": "{id}"}]},)),
        Generate("m", prompt="{{promt}}"),
    ],
    ids=str,
)
def test_what_operators_give_their_prompts_is_known(network: Operator) -> None:
    checked(network, {})


def test_a_candidate_is_only_known_behind_another_operator() -> None:
    with pytest.raises(NetworkError, match=r"\{candidate\}"):
        checked(Generate("m", prompt="{candidate}"), {})
    with pytest.raises(NetworkError, match=r"\{candidate\}"):
        checked(Chain((Generate("m"), Judge("j", prompt="{candidate}"))), {})
    messages = ({"role": "user", "content": [{"type": "text", "text": "{txet}"}]},)
    with pytest.raises(NetworkError, match=r"\{txet\}.*mean \{text\}"):
        checked(Generate("m", messages=messages), {"text": "a"})


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (parse("2B(E@m)@number"), r"best of 2.*needs the field 'answer'.*there are: asnwer"),
        (
            parse("E@m >> V@number"),
            r"^verify: .* the field 'answer'.*mean asnwer\?",
        ),
        (parse("E@m >> V@tests"), r"needs the field 'entry_point', which the question lacks"),
    ],
)
def test_a_reference_that_no_question_has_is_told_before_a_call(
    network: Operator, says: str
) -> None:
    verifiers = {"number": exact_number(), "tests": PythonTests(Sandbox(), human_eval)}
    known = names({"m": answers("1")}, verifiers=verifiers)
    with pytest.raises(NetworkError, match=says):
        check_names(bind(network, known), [ask(asnwer=1)])
    check_names(bind(network, known), [ask(answer=1, entry_point="f", test="")])
