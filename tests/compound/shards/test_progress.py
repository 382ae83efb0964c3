"""How far a run is: what its log says, and a line that is read as it was printed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.compound.run.budget import Amounts, Budget
from parkade.compound.shards.entries import Finished, Submitted, Taken
from parkade.compound.shards.folder import Batch
from parkade.compound.shards.progress import EVERY_S, Printer, Progress, progress, read
from parkade.compound.shards.state import State

COUNTS = st.integers(0, 10**12)


def batch(count: int, shard_size: int) -> Batch:
    return Batch(
        format="parkade compound batch",
        version=1,
        network="/net.yaml",
        questions="/q.jsonl",
        count=count,
        shard_size=shard_size,
        digest="",
    )


def finished(state: State, shard: int, **fields: object) -> None:
    state.apply(Taken(shard=shard, worker="a"))
    known: dict[str, object] = {"spent": Amounts(1_500_000, 40, 9), "failed": 1}
    state.apply(Finished(shard=shard, worker="a", **(known | fields)))  # type: ignore[arg-type]


def begun(shards: int) -> State:
    state = State(shards)
    state.apply(Submitted(v=1, network="n", budget=Budget()))
    return state


def test_questions_of_shards_that_are_done_count_with_what_they_cost() -> None:
    state = begun(3)
    finished(state, 2, accepted=3)
    finished(state, 0, accepted=7, doubtful=Amounts(9, 9, 9))
    state.apply(Taken(shard=1, worker="b"))
    found = progress(batch(24, 10), state)
    assert (found.done, found.questions, found.accepted, found.failed) == (14, 24, 10, 2)
    assert (found.calls, found.tokens, found.spent) == (18, 80, "3.00")
    assert read(str(found)) == found


def test_without_a_verifier_nothing_is_accepted_or_rejected() -> None:
    state = begun(1)
    finished(state, 0)
    found = progress(batch(5, 5), state)
    assert found.accepted is None and "accepted" not in str(found)


@given(COUNTS, COUNTS, st.none() | COUNTS, COUNTS, COUNTS, COUNTS)
def test_a_line_is_read_as_it_was_printed(
    questions: int, done: int, accepted: int | None, failed: int, calls: int, tokens: int
) -> None:
    told = Progress(
        questions=questions,
        done=done,
        accepted=accepted,
        failed=failed,
        calls=calls,
        tokens=tokens,
        spent="12.50",
    )
    assert read(str(told)) == told
    assert read(f"{told}, and what a later version adds") == told


@pytest.mark.parametrize(
    "line",
    [
        "",
        "progress",
        "progress x of 3 questions",
        "progress 1 of 2 questions, 0 failed" + "1" * 500,
    ],
)
def test_other_lines_say_nothing(line: str) -> None:
    assert read(line) is None


def test_a_worker_says_each_thing_once_and_the_last_in_any_case() -> None:
    said: list[str] = []
    state, printer = begun(2), Printer(batch(4, 2), said.append)
    printer.show(state)
    finished(state, 0)
    printer.show(state)
    assert len(said) == 1, f"at most one in {EVERY_S} s"
    for _ in range(2):
        printer.show(state, is_last=True)
    assert len(said) == 2 and said[1].startswith("progress 2 of 4 questions")
