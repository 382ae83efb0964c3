"""Keys that a user writes and that are not known where they stand."""

from collections.abc import Iterator

import pytest

from parkade.wire import pools
from parkade.wire.model import Request
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
