"""How many users an org may have, and what is said where that is the bound."""

import pytest

from parkade.core.kernel.decide import decide
from parkade.core.units import bounds
from parkade.core.units.refusal import Reason, Refusal
from tests import builders
from tests.core.kernel.story import Parkade


def test_an_org_with_the_most_users_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_USERS", 1)
    parkade = Parkade()
    parkade.org("lab")
    parkade.org("other")
    parkade.do(builders.create_user("eve", "lab"))
    refusal = decide(parkade.world, builders.create_user("ann", "lab"), parkade.now_us)
    assert isinstance(refusal, Refusal) and refusal.reason is Reason.TOO_MANY
    assert "lab has 1 users" in refusal.detail and "make another org" in refusal.detail
    parkade.do(builders.create_user("ann", "other"))
