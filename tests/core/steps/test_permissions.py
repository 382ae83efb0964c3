"""The table of permissions: each command by each role, in its own org and in another."""

from pathlib import Path
from typing import Any, get_args

import pytest

from parkade.core.kernel.decide import decide
from parkade.core.state import commands
from parkade.core.state.people import Role
from parkade.core.steps.permissions import HOLDERS, PERMISSIONS, READS, Permission
from parkade.core.units.refusal import Reason, Refusal
from tests import builders
from tests.core.kernel.story import Parkade

EVERY = get_args(commands.AnyCommand)
ALLOWED = {
    Permission.SERVER: set(),
    Permission.OPERATOR: {"operator"},
    Permission.OWNER: {"operator", "owner"},
    Permission.PARTNER: {"operator", "owner", "partner"},
    Permission.SELF: {"operator", "owner", "self"},
    Permission.MEMBER: {"operator", "owner", "self", "member"},
}
ROLES = ("operator", "owner", "self", "member", "partner", "stranger")


@pytest.fixture(scope="module")
def parkade() -> Parkade:
    """Two orgs; `own` has a reservation, a claim, a workload and a token of the user `self`."""
    made = Parkade(fabrics={"a": 4}, buffer_nodes=0)
    made.org("own")
    made.org("other")
    for user, org, role in (
        ("operator", "own", Role.OPERATOR),
        ("owner", "own", Role.OWNER),
        ("self", "own", Role.MEMBER),
        ("member", "own", Role.MEMBER),
        ("partner", "own", Role.PARTNER),
        ("stranger", "other", Role.OWNER),
    ):
        made.do(builders.create_user(user, org, role=role))
    made.do(commands.AddToken(by=None, token="t", user="self", digest="ab" * 32))
    made.reserve("own", 2, hours=9)
    made.do(commands.MakeClaim(by=None, reservation="own", nodes=1))
    made.do(builders.submit("own", by="self", limit_price_micros=9))
    return made


def example(kind: type[commands.AnyCommand], by: str) -> commands.AnyCommand:
    """A command of a kind about the things of `own`; the values need not be acceptable."""
    values: dict[str, Any] = {
        "org": "own", "user": "self", "token": "t", "reservation": "own", "claim": "c1",
        "workload": "w1", "node": "a1", "pool": "pool", "market": "pool",
        "supply": builders.open_pool("pool").supply, "spec": builders.spec(),
        "change": commands.TermsChange(), "role": Role.MEMBER, "attempts": (),
        "unix_name": None, "reason": "r", "site": "site", "name": "n",
        "title": "t", "contact": "c",
    }  # fmt: skip
    fields = kind.__struct_fields__
    given = {name: values.get(name, 1) for name in fields if name != "by"}
    if kind is commands.ScheduleMaintenance:
        given |= {"nodes": ("a1",)}
    if kind is commands.AddToken:
        given |= {"pool": None, "made_with": None}
    if kind is commands.ChangeBounds:
        bound = commands.NewBound(value=1)
        given |= {"max_spend_micros": bound, "max_duration_us": bound, "members": None}
    return kind(by=by, **given)


def test_every_command_has_a_permission() -> None:
    assert set(PERMISSIONS) == set(EVERY)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("by", ROLES)
def test_a_command_is_refused_exactly_to_the_roles_that_the_table_leaves_out(
    parkade: Parkade, kind: type[commands.AnyCommand], by: str
) -> None:
    if kind is commands.CreateUser and by == "owner":
        pytest.skip("an owner that names a Unix user is refused for the value, not the verb")
    outcome: object = None
    try:
        outcome = decide(parkade.world, example(kind, by), parkade.now_us)
    except AssertionError:
        pass  # allowed: the example's values are of no sense to the decision itself
    is_denied = isinstance(outcome, Refusal) and (
        outcome.reason is Reason.DENIED or (by == "stranger" and outcome.reason is Reason.NOT_FOUND)
    )
    assert is_denied == (by not in ALLOWED[PERMISSIONS[kind]])


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_a_command_by_no_known_user_is_denied(
    parkade: Parkade, kind: type[commands.AnyCommand]
) -> None:
    outcome = decide(parkade.world, example(kind, "ghost"), parkade.now_us)
    assert isinstance(outcome, Refusal) and outcome.reason is Reason.DENIED
    assert "ghost" in outcome.detail


@pytest.mark.parametrize(
    "command",
    [
        commands.Lend(by="stranger", reservation="own", floor_micros=1, keep=0),
        commands.Cancel(by="stranger", workload="w1", now=False),
        commands.Unclaim(by="stranger", claim="c1"),
        commands.RevokeToken(by="stranger", token="t"),
        commands.SetCap(by="stranger", user="self", cap_micros=1),
    ],
    ids=lambda command: type(command).__name__,
)
def test_another_orgs_names_are_answered_like_names_that_do_not_exist(
    parkade: Parkade, command: commands.AnyCommand
) -> None:
    hidden = decide(parkade.world, command, parkade.now_us)
    assert isinstance(hidden, Refusal) and hidden.reason is Reason.NOT_FOUND


def test_the_documentation_prints_the_table() -> None:
    page = (Path(__file__).parents[3] / "docs" / "security.md").read_text()
    assert drawn() in page, f"docs/security.md lacks this table:\n\n{drawn()}"


def drawn() -> str:
    """The table of permissions as Markdown: who may, and what."""
    verbs: dict[Permission, list[str]] = {permission: [] for permission in Permission}
    for command, permission in PERMISSIONS.items():
        verbs[permission].append(command.__name__)
    for read, permission in READS.items():
        verbs[permission].append(f"read: {read}")
    rows = [f"| {HOLDERS[it]} | {', '.join(sorted(verbs[it]))} |" for it in Permission]
    return "\n".join(["| permission | for |", "|---|---|", *rows])
