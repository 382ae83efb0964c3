"""Keys that a user writes and that are not known where they stand."""

import re
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from parkade.wire import pools, spec, workloads
from parkade.wire.model import Request
from parkade.wire.problems import faults
from parkade.wire.reservations import Reserve
from parkade.wire.spelling import LATER, explain_unknown_key


def _requests(above: type[Request] = Request) -> Iterator[type[Request]]:
    for each in above.__subclasses__():
        if each.__module__.startswith("parkade.wire"):
            yield each
        yield from _requests(each)


def test_no_key_that_is_carried_out_is_called_one_for_later() -> None:
    known = {
        field.alias or name for model in _requests() for name, field in model.model_fields.items()
    }
    assert {"nodes", "notice"} <= known
    assert not known & LATER.keys()


@pytest.mark.parametrize("key", ["payout_cap", "shared_nodes"])
def test_a_term_of_a_market_beside_its_terms_is_no_such_key(key: str) -> None:
    assert explain_unknown_key((key,), pools.OpenPool) == ("invalid", "no such key")


WRONG: tuple[object, ...] = (
    *("abc", "", "x" * 100_000, "x\0", "ü", -1, 10**12, 1.5, True, None),
    *([], {}, ["a", 3], {"a": 1}, {"a": []}, [{}]),
)
OF_THE_LIBRARY = re.compile(
    r"\b(Input|String|Value|Field|List|Tuple|Dictionary|Decimal|Unable|Extra|JSON)\b.*"
    r"(should|required|error|to extract|permitted|unable)|valid (integer|string|boolean)"
)


@pytest.mark.parametrize("model", list(_requests()), ids=lambda model: model.__name__)
def test_what_is_wrong_with_a_value_is_told_in_our_words(model: type[Request]) -> None:
    told = []
    for name, field in model.model_fields.items():
        for value in WRONG:
            try:
                model.model_validate({field.alias or name: value})
            except ValidationError as error:
                told += [f"{name}={value!r:.30}: {it.message}" for it in faults(error.errors())]
    assert told or not model.model_fields
    assert [each for each in told if OF_THE_LIBRARY.search(each)] == []


@pytest.mark.parametrize(
    ("model", "given", "says"),
    [
        (Reserve, {"nodes": "abc"}, "must be a whole number, not 'abc'"),
        (Reserve, {"nodes": 1.5}, "must be a whole number, not 1.5"),
        (Reserve, {"nodes": 0}, "must be 1 or more"),
        (Reserve, {"nodes": 10**12}, "must be 100,000 or less"),
        (Reserve, {"nodes": None}, "must be a whole number, not nothing"),
        (spec.CheckpointTerms, {"command": ""}, "is empty"),
        (workloads.Cancel, {"now": "soon"}, "must be true or false, not 'soon'"),
    ],
)
def test_a_bad_value_says_what_fits(model: type[Request], given: object, says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(given)
    assert [it.message for it in faults(caught.value.errors())] == [says]


def test_a_key_that_is_the_beginning_of_another_is_told_which() -> None:
    assert explain_unknown_key(("limit",), spec.WorkloadSpec)[1].endswith("`limit_price`?")
    assert "term of a market" in explain_unknown_key(("min_runtime",), spec.WorkloadSpec)[1]


def test_the_place_of_a_bad_name_of_a_variable_is_that_name() -> None:
    with pytest.raises(ValidationError) as caught:
        spec.WorkloadSpec.model_validate({"name": "a", "command": "true", "env": {"C D": "x"}})
    places = {it.place for it in faults(caught.value.errors())}
    assert "env.C D" in places
