"""The log and what follows from it: exclusive leases, one budget, in any order of events."""

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.run.budget import NOTHING, Amounts, Budget
from parkade.compound.shards.board import Board
from parkade.compound.shards.entries import (
    Counted,
    Entry,
    Extended,
    Finished,
    GivenBack,
    Stopped,
    Submitted,
    Taken,
)
from parkade.compound.shards.folder import FORMAT, Batch, SharedFolder
from parkade.compound.shards.log import Log, LogError
from parkade.compound.shards.state import State

KEPT = Path(__file__).parent / "kept" / "v1"


def calls(number: int) -> Amounts:
    return Amounts(0, 0, number)


def state_of(shards: int, *entries: Entry) -> State:
    state = State(shards)
    for entry in entries:
        state.apply(entry)
    return state


def begun(limit: int) -> Submitted:
    return Submitted(v=1, network="n", budget=Budget(calls=limit))


def taken(shard: int, worker: str, *, is_sure: bool = True) -> Taken:
    return Taken(shard=shard, worker=worker, is_sure=is_sure)


def extended(shard: int, worker: str, number: int) -> Extended:
    return Extended(shard=shard, worker=worker, by=calls(number))


def test_the_worked_example_of_the_module() -> None:
    state = state_of(
        2,
        begun(100),
        taken(0, "a"),
        extended(0, "a", 25),
        taken(1, "b"),
        extended(1, "b", 20),
        Finished(shard=0, worker="a", spent=calls(22)),
    )
    assert state.committed == calls(42)
    state.apply(taken(1, "c", is_sure=False))
    assert state.shards[1].is_uncounted
    state.apply(Counted(shard=1, worker="c", used=calls(5)))
    assert state.committed == calls(42)
    assert (state.shards[1].allowed, state.shards[1].lost) == (calls(5), calls(15))
    assert state.shards[1].generation == 2


def test_a_shard_short_of_money_waits_until_there_is_more() -> None:
    state = state_of(
        2,
        begun(10),
        taken(0, "a"),
        extended(0, "a", 6),
        taken(1, "b"),
        extended(1, "b", 4),
        GivenBack(shard=1, worker="b", used=calls(4), is_budget_spent=True),
    )
    assert not state.may_take(1)
    assert not state.is_starved()
    state.apply(Finished(shard=0, worker="a", spent=calls(2)))
    assert state.may_take(1)
    state.apply(taken(1, "b"))
    state.apply(GivenBack(shard=1, worker="b", used=calls(4), is_budget_spent=True))
    assert state.is_starved()
    state.apply(begun(100))
    assert state.may_take(1)


def test_another_network_opens_all_and_takes_what_is_held() -> None:
    state = state_of(
        2, begun(9), taken(0, "a"), Finished(shard=0, worker="a", spent=calls(1)), taken(1, "b")
    )
    state.apply(Submitted(v=1, network="other", budget=Budget()))
    assert state.left() == 2
    assert not state.is_held(1, "b")
    assert state.shards[1].is_uncounted


def test_failed_questions_are_tried_again_when_it_is_submitted_again() -> None:
    state = state_of(1, begun(9), taken(0, "a"))
    state.apply(Finished(shard=0, worker="a", spent=calls(1), failed=3))
    assert state.left() == 0
    state.apply(begun(9))
    assert state.left() == 1


@given(seed=st.integers(0, 2**32), limit=st.integers(0, 60), shards=st.integers(1, 4))
def test_workers_that_follow_the_rules_never_pass_the_budget(
    seed: int, limit: int, shards: int
) -> None:
    """Workers that take, spend, give back, fall silent, are replaced while they still spend, and
    finish."""
    chance = random.Random(seed)
    state = state_of(shards, begun(limit))
    # What each worker may still spend on a shard, and what its journal says of the shard.
    purses: dict[tuple[int, str], int] = {}
    journals = [0] * shards
    spent = 0
    for step in range(60):
        number = chance.randrange(shards)
        shard, held = state.shards[number], state.shards[number].holder
        move = chance.choice(("take", "extend", "spend", "zombie", "return", "end"))
        if move == "take" and not shard.is_done and (held or state.may_take(number)):
            worker = f"w{step}"
            state.apply(taken(number, worker, is_sure=not held))
            if state.shards[number].is_uncounted:
                used = calls(journals[number])
                state.apply(Counted(shard=number, worker=worker, used=used))
            purses[number, worker] = state.shards[number].allowed.calls - journals[number]
        elif move == "extend" and held:
            by = state.extension(number, calls(chance.randint(1, 5)))
            if by is not None:
                state.apply(Extended(shard=number, worker=held, by=by))
                purses[number, held] += by.calls
        elif move == "spend" and held and purses[number, held]:
            purses[number, held] -= 1
            journals[number] += 1
            spent += 1
        elif move == "return" and held:
            rest = chance.randint(0, purses[number, held])
            state.apply(extended(number, held, -rest))
            purses[number, held] -= rest
        elif move == "zombie":
            lost = [key for key, left in purses.items() if left and not state.is_held(*key)]
            if lost:
                purses[chance.choice(lost)] -= 1
                spent += 1
        elif move == "end" and held:
            used = calls(journals[number])
            purses[number, held] = 0
            if chance.random() < 0.5:
                state.apply(Finished(shard=number, worker=held, spent=used))
            else:
                state.apply(GivenBack(shard=number, worker=held, used=used))
        assert spent <= state.committed.calls <= limit
        total = sum((each.allowed + each.lost for each in state.shards), NOTHING)
        assert state.committed == total


def stopped(node: str, why: str = "no such command", **changes: Any) -> Stopped:
    return Stopped(worker=f"on-{node}", node=node, why=why, **changes)


@pytest.mark.parametrize(
    ("entries", "is_given_up"),
    [
        ([stopped("a")], False),
        ([stopped("a"), stopped("b")], True),
        ([stopped("a"), stopped("a")], False),
        ([stopped("a"), stopped("a"), stopped("a")], True),
        ([stopped("a"), stopped("b", "another")], False),
        ([stopped("a"), stopped("b", "another"), stopped("b")], True),
        ([stopped(node, may_pass=True) for node in "abcd"], False),
        # One that got as far as a shard has a server that came up.
        ([stopped("a"), taken(0, "w"), stopped("b")], False),
        ([stopped("a", had_begun=True), taken(0, "w"), stopped("b", had_begun=True)], True),
        (
            [
                *(stopped("a", had_begun=True), taken(0, "w")),
                *(Finished(shard=0, worker="w", spent=NOTHING), stopped("b", had_begun=True)),
            ],
            False,
        ),
        # Submitted again it is tried again.
        ([stopped("a"), stopped("b"), begun(1)], False),
    ],
)
def test_a_run_is_given_up_once_the_same_stopped_workers_on_two_nodes_or_three_times(
    entries: list[Entry], is_given_up: bool
) -> None:
    state = state_of(2, begun(1), *entries)
    assert state.is_given_up is is_given_up


def test_of_two_writers_one_gets_the_number_and_the_other_decides_anew(tmp_path: Path) -> None:
    one, two = Board(tmp_path, 2, "one"), Board(tmp_path, 2, "two")
    one.change(lambda _: begun(5))
    assert two.refresh().budget.calls == 5

    def first_free(state: State, worker: str) -> Taken | None:
        free = [number for number in range(2) if state.may_take(number)]
        return taken(free[0], worker) if free else None

    def slow(state: State) -> Taken | None:
        decided = first_free(state, "two")
        if not state.shards[0].holder:
            # Between decision and entry the other one is faster.
            one.change(lambda now: first_free(now, "one"))
        return decided

    got = two.change(slow)
    assert got is not None
    assert got.shard == 1
    assert [shard.holder for shard in one.refresh().shards] == ["one", "two"]
    assert one.change(lambda now: first_free(now, "one")) is None


def test_a_damaged_entry_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "00000001.json").write_text("{")
    with pytest.raises(LogError, match=r"00000001\.json is damaged"):
        Board(tmp_path, 1, "reader")


def test_a_kept_log_and_batch_are_still_read() -> None:
    """Written for ever: what version 1 wrote is read by every later version."""
    batch = SharedFolder(KEPT).read()
    assert batch == Batch(
        format=FORMAT,
        version=1,
        network="/home/lab/net.yaml",
        questions="/home/lab/questions.jsonl",
        count=5,
        shard_size=3,
        digest="0123456789abcdef0123456789abcdef",
    )
    assert [batch.asked(shard) for shard in range(batch.shards)] == [3, 2]
    state = Board(KEPT / "log", batch.shards, "reader").state
    assert state.budget == Budget(micros=5_000_000, tokens=None, calls=40)
    assert state.network == "00112233445566778899aabbccddeeff"
    assert state.is_merged
    assert state.left() == 0
    first, second = state.shards
    assert (first.allowed, first.lost, first.failed) == (Amounts(30, 300, 9), Amounts(0, 0, 0), 1)
    assert (second.allowed, second.lost) == (Amounts(12, 120, 7), Amounts(9, 90, 3))
    assert (second.generation, second.overrun) == (3, Amounts(1, 10, 0))
    (stop,) = state.stops
    assert (stop.node, stop.why) == ("a1", "the model server ended with exit status 1")
    assert (stop.last_lines, stop.had_begun, stop.may_pass) == (("no such model",), True, False)


def test_an_entry_is_whole_or_not_there(tmp_path: Path) -> None:
    log = Log(tmp_path, "writer")
    assert log.append(begun(1))
    assert [path.name for path in tmp_path.iterdir()] == ["00000001.json"]
    content = (tmp_path / "00000001.json").read_bytes()
    assert msgspec.json.decode(content, type=Submitted) == begun(1)
