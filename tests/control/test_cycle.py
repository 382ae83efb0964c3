"""Order, atomicity and memory of the cycle, on the real store and a small market of rules."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from parkade.control.answers import Decided, Idempotency
from parkade.control.cycle import Asked, Cycle
from parkade.control.recover import recover
from parkade.control.rules import RULES, Rules
from parkade.core.state.codec import decode_event, encode_snapshot
from parkade.core.state.commands import (
    AddToken,
    AnyCommand,
    CreateOrg,
    CreateUser,
    Deposit,
    RevokeToken,
    RunClearing,
    SetCap,
)
from parkade.core.state.events import AnyEvent, OrgCreated
from parkade.core.state.people import Role
from parkade.core.units.refusal import Reason, Refusal
from parkade.ports import Fenced, Store
from parkade.store import open_sqlite
from tests import builders
from tests.control.small import SMALL

ANN = Idempotency(principal="ann", key="k", request_digest="d")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_sqlite(tmp_path / "parkade.sqlite3")
    yield opened
    opened.close()


def begun(store: Store, rules: Rules = SMALL, *, now_us: int = 1, check_every: int = 1) -> Cycle:
    cycle = Cycle(recover(store, rules), store, rules, check_every=check_every)
    cycle.open(builders.open_epoch(), now_us)
    return cycle


def ask(command: AnyCommand, name: Idempotency | None = None) -> Asked:
    return Asked(command=command, idempotency=name)


def org(name: str, by: str | None = "ann") -> CreateOrg:
    return CreateOrg(by=by, org=name)


def stored(store: Store) -> list[AnyEvent]:
    return [decode_event(entry.body, entry.version) for entry in store.entries(after=0, limit=1000)]


def created(store: Store) -> list[tuple[str, int]]:
    return [(e.org.org, e.at_us) for e in stored(store) if isinstance(e, OrgCreated)]


def test_a_revoked_token_decides_nothing_even_in_the_batch_that_revokes_it(store: Store) -> None:
    cycle = begun(store, RULES)
    user = CreateUser(by=None, user="ann", org="a", role=Role.OWNER, unix_name=None)
    token = AddToken(by=None, token="t", user="ann", digest="d" * 64)
    cycle.take_commands(2, [ask(org("a", by=None)), ask(user), ask(token)])
    cap = SetCap(by="ann", user="ann", cap_micros=1)
    sent = Asked(command=cap, token="t", idempotency=ANN)
    revoke = RevokeToken(by="ann", token="t")
    outcomes, _ = cycle.take_commands(3, [sent, ask(revoke), sent])
    assert isinstance(outcomes[0], Decided) and isinstance(outcomes[1], Decided)
    assert isinstance(outcomes[2], Refusal) and outcomes[2].reason is Reason.UNAUTHENTICATED


def test_after_a_pause_deadlines_come_before_commands_each_at_its_own_time(store: Store) -> None:
    cycle = begun(store)
    for name in ("due-30", "due-20", "due-90"):
        cycle.take_commands(10, [ask(org(name))])
    cycle.take_deadlines(50, limit=10)
    cycle.take_commands(50, [ask(org("late"))])
    assert created(store)[3:] == [("took-20", 20), ("took-30", 30), ("late", 50)]


def test_many_deadlines_are_committed_in_pieces(store: Store) -> None:
    cycle = begun(store)
    cycle.take_commands(1, [ask(org(f"due-{at}")) for at in range(10, 15)])
    pieces = []
    while committed := cycle.take_deadlines(99, limit=2):
        pieces.append([event.at_us for _, event in committed])
    assert pieces == [[10, 11], [12, 13], [14]]


def test_commands_of_a_batch_see_each_other_and_share_a_commit(store: Store) -> None:
    cycle = begun(store)
    outcomes, committed = cycle.take_commands(7, [ask(org("a")), ask(org("a")), ask(org("b"))])
    first, second, third = outcomes
    assert isinstance(first, Decided) and first.sequence == 2
    assert isinstance(second, Refusal) and second.reason is Reason.ALREADY_EXISTS
    assert isinstance(third, Decided) and third.sequence == 3
    assert [sequence for sequence, _ in committed] == [2, 3]


def test_money_is_in_the_statement_of_the_same_commit(store: Store) -> None:
    cycle = begun(store)
    cycle.take_commands(7, [ask(Deposit(by=None, org="a", micros=5))])
    (line,) = store.statement("org/a", from_us=None, to_us=None, until=store.last_sequence())
    assert (line.sequence, line.position, line.transfer.micros) == (2, 0, 5)


def test_a_repeated_request_has_one_effect_and_the_same_answer(store: Store) -> None:
    cycle = begun(store)
    deposit = Deposit(by=None, org="a", micros=5)
    (first,), _ = cycle.take_commands(7, [ask(deposit, ANN)])
    (again,), committed = cycle.take_commands(8, [ask(deposit, ANN)])
    assert (again, committed) == (first, ())
    assert cycle.world.ledger.balance("org/a") == 5


def test_two_in_one_batch_under_one_key_have_one_effect(store: Store) -> None:
    cycle = begun(store)
    deposit = Deposit(by=None, org="a", micros=5)
    outcomes, _ = cycle.take_commands(7, [ask(deposit, ANN), ask(deposit, ANN)])
    assert outcomes[0] == outcomes[1]
    assert cycle.world.ledger.balance("org/a") == 5


def test_a_key_is_remembered_by_the_next_writer(store: Store) -> None:
    deposit = Deposit(by=None, org="a", micros=5)
    (first,), _ = begun(store).take_commands(7, [ask(deposit, ANN)])
    cycle = begun(store)
    (again,), _ = cycle.take_commands(8, [ask(deposit, ANN)])
    assert again == first
    assert cycle.world.ledger.balance("org/a") == 5


def test_a_key_used_for_another_request_conflicts(store: Store) -> None:
    cycle = begun(store)
    cycle.take_commands(7, [ask(org("a"), ANN)])
    other = msgspec.structs.replace(ANN, request_digest="e")
    (refused,), _ = cycle.take_commands(7, [ask(org("b"), other)])
    assert isinstance(refused, Refusal) and refused.reason is Reason.CONFLICT


def test_a_refusal_is_remembered_but_a_fault_is_not(store: Store) -> None:
    cycle = begun(store)
    cycle.take_commands(7, [ask(org("a"))])
    (refused,), _ = cycle.take_commands(7, [ask(org("a"), ANN)])
    assert isinstance(refused, Refusal)
    assert cycle.take_commands(8, [ask(org("a"), ANN)])[0] == (refused,)
    key = msgspec.structs.replace(ANN, key="bug")
    (fault,), _ = cycle.take_commands(9, [ask(org("c", by="bug"), key)])
    assert isinstance(fault, Refusal) and fault.reason is Reason.INTERNAL
    assert store.answer("ann", "bug") is None


def test_a_bug_in_decide_refuses_that_command_and_changes_nothing(store: Store) -> None:
    cycle = begun(store)
    before = encode_snapshot(cycle.world)
    (fault,), committed = cycle.take_commands(9, [ask(org("c", by="bug"))])
    assert isinstance(fault, Refusal) and fault.reason is Reason.INTERNAL
    assert committed == ()
    assert encode_snapshot(cycle.world) == before
    assert cycle.refused_internal == 1


def test_a_bug_in_a_clearing_is_told_and_changes_nothing(store: Store) -> None:
    def decide(*args: object) -> tuple[AnyEvent, ...]:
        raise AssertionError("a bug in the pass")

    cycle = begun(store)
    cycle._rules = msgspec.structs.replace(SMALL, decide=decide)
    assert cycle.clear(RunClearing(by=None, market="m"), 9) == ((), False)
    assert store.last_sequence() == 1


def test_a_broken_world_stops_the_writer_before_anything_is_committed(store: Store) -> None:
    cycle = begun(store)
    with pytest.raises(AssertionError):
        cycle.take_commands(9, [ask(org("a")), ask(org("broken"))])
    assert store.last_sequence() == 1


def test_a_deadline_that_stays_due_stops_the_writer(store: Store) -> None:
    stuck = msgspec.structs.replace(
        SMALL, next_deadline_us=lambda world: 5, take_deadline=lambda world: ()
    )
    cycle = begun(store, stuck)
    with pytest.raises(AssertionError, match="still due"):
        cycle.take_deadlines(9, limit=10)


def test_a_stale_writer_cannot_commit(store: Store, tmp_path: Path) -> None:
    stale = begun(store)
    second = open_sqlite(tmp_path / "parkade.sqlite3")
    begun(second).take_commands(8, [ask(org("theirs"))])
    with pytest.raises(Fenced):
        stale.take_commands(9, [ask(org("mine"))])
    assert created(store) == [("theirs", 8)]
    second.close()


def test_replaying_the_journal_gives_the_same_world_byte_for_byte(store: Store) -> None:
    cycle = begun(store)
    cycle.take_commands(2, [ask(builders.open_pool("m")), ask(org("a")), ask(org("due-5"))])
    cycle.take_commands(3, [ask(Deposit(by=None, org="a", micros=9))])
    cycle.take_deadlines(8, limit=10)
    cycle.clear(RunClearing(by=None, market="m"), 9)
    recovered = recover(store, SMALL)
    world, sequence = recovered.world, recovered.sequence
    assert sequence == cycle.sequence
    assert encode_snapshot(world) == encode_snapshot(cycle.world)


def test_each_writer_opens_its_own_epoch(store: Store) -> None:
    assert [begun(store).world.records.epoch for _ in range(3)] == [1, 2, 3]
    assert [entry.epoch for entry in store.entries(after=0, limit=9)] == [1, 2, 3]
