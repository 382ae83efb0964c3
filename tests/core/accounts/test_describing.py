"""What an org is called and whom to ask about it."""

import pytest

from parkade.core.state import commands, events
from parkade.core.state.people import Role
from parkade.core.units.refusal import Reason
from tests import builders
from tests.core.kernel.story import Parkade


def given_parkade() -> Parkade:
    parkade = Parkade()
    parkade.org("lab")
    for user, role in (("eve", Role.OWNER), ("max", Role.MEMBER)):
        parkade.do(builders.create_user(user, "lab", role=role))
    return parkade


def describe(
    title: str | None = None, contact: str | None = None, *, by: str | None = "eve"
) -> commands.DescribeOrg:
    return commands.DescribeOrg(by=by, org="lab", title=title, contact=contact)


def test_what_is_left_out_stays_and_an_empty_text_takes_it_away() -> None:
    parkade = given_parkade()
    found = []
    for command in (describe("The lab"), describe(None, "eve@example.com"), describe("")):
        parkade.do(command)
        org = parkade.world.records.orgs["lab"]
        found.append((org.title, org.contact))
    assert found == [
        ("The lab", None),
        ("The lab", "eve@example.com"),
        (None, "eve@example.com"),
    ]
    assert parkade.do(describe("")) == (), "it is so already"
    made = [it for it in parkade.journal if isinstance(it, events.OrgDescribed)]
    assert len(made) == 3


@pytest.mark.parametrize("text", ["x" * 201, "two\nlines", "a\x1b[31m"])
def test_a_text_that_is_no_line_is_refused(text: str) -> None:
    refused = given_parkade().refused(describe(text))
    assert refused.reason is Reason.INVALID and "one line" in refused.detail


@pytest.mark.parametrize("text", [" ", "\u2003 "])
def test_a_text_of_blanks_is_refused(text: str) -> None:
    refused = given_parkade().refused(describe("The lab", text))
    assert refused.reason is Reason.INVALID and refused.field == "contact"
    assert "leave it empty" in refused.detail or "one line" in refused.detail


def test_operators_and_owners_of_the_org_describe_it() -> None:
    parkade = given_parkade()
    assert parkade.refused(describe("x", by="max")).reason is Reason.DENIED
    assert parkade.do(describe("x", by=None))
