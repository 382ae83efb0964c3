"""What workers set aside for whole questions, and how they give way to each other."""

from pathlib import Path

import msgspec

from parkade.compound.models.local import LocalModel
from parkade.compound.network import BestOf, Generate
from parkade.compound.network.binding import Bound, bind
from parkade.compound.run.budget import NOTHING, Admission, Amounts, Budget
from parkade.compound.run.needs import ENOUGH, Needs
from parkade.compound.shards.account import SharedAccount
from parkade.compound.shards.board import Board
from parkade.compound.shards.entries import GivenBack, Submitted, Taken
from parkade.compound.shards.log import Log
from parkade.compound.shards.share import Share
from parkade.compound.values import Candidate, Question
from tests.compound.building import PRICE, ask, names

KEPT = Path(__file__).parent / "kept" / "v1-whole-questions"


def never(question: Question, candidate: Candidate) -> bool:
    return False


def ten_calls() -> Bound:
    """A question takes at most ten calls."""
    model = LocalModel("m", lambda call: "x", price=PRICE)
    network = BestOf(Generate("m", max_tokens=5), k=10, verify=never)
    return bind(network, names({"m": model}))


def calls(number: int) -> Amounts:
    return Amounts(0, 0, number)


class Worker:
    """One worker's side, with the shard of its number in hand."""

    def __init__(self, folder: Path, shard: int, limit: int) -> None:
        self.name = f"worker-{shard}"
        self.shard = shard
        (folder / "log").mkdir(exist_ok=True)
        self.board = Board(folder / "log", 3, self.name)
        self.needs = Needs()
        self.needs.expect(ten_calls(), ask(0))
        self.has_notice = False
        if not self.board.state.network:
            self.board.change(lambda _: Submitted(v=1, network="n", budget=Budget(calls=limit)))
        self.take()

    def take(self) -> None:
        self.board.change(lambda _: Taken(shard=self.shard, worker=self.name, is_sure=True))
        self.share = Share(
            self.board,
            self.shard,
            self.name,
            self.needs,
            may_call=lambda: True,
            has_notice=lambda: self.has_notice,
        )
        state = self.board.state
        allowed = state.shards[self.shard].allowed
        self.account = SharedAccount(state.budget, allowed, (NOTHING, NOTHING), self.share)

    def asks(self, open_questions: int = 0) -> Admission:
        """For one more question beside so many."""
        needed = self.needs.of(open_questions + 1)
        return self.account.admits(needed, is_first=not open_questions)

    def uses(self, number: int) -> None:
        """A question that took so many calls."""
        for _ in range(number):
            assert self.account.reserve(calls(1))
            self.account.settle(calls(1), calls(1))
        self.needs.took(calls(number))

    def leaves(self) -> None:
        """Give the shard back, with all that it used."""
        share, used = self.share, self.account.spent
        self.board.change(
            lambda _: GivenBack(
                shard=self.shard,
                worker=self.name,
                used=used,
                is_short=share.is_short,
                is_budget_spent=share.is_dry,
                seen=share.unsaid(),
            )
        )

    def committed(self) -> int:
        """Of all shards."""
        return self.board.refresh().committed.calls


def test_what_a_question_may_need_is_set_aside_before_it_begins(tmp_path: Path) -> None:
    one, two = Worker(tmp_path, 0, 21), Worker(tmp_path, 1, 21)
    assert one.asks() is Admission.NOW
    assert one.committed() == 10
    assert two.asks() is Admission.NOW
    # The call that is left is not for a third one's.
    assert one.asks(open_questions=1) is Admission.LATER
    assert one.committed() == 20


def test_a_worker_that_is_refused_leaves_its_shard_to_those_that_have_begun(
    tmp_path: Path,
) -> None:
    one, two = Worker(tmp_path, 0, 15), Worker(tmp_path, 1, 15)
    assert one.asks() is Admission.NOW
    assert two.asks() is Admission.NEVER
    assert two.share.is_short
    two.leaves()
    # Neither this one nor one that nobody had is taken while the other works.
    assert not any(two.board.state.may_take(shard) for shard in (1, 2))
    one.uses(4)
    one.leaves()
    assert all(two.board.refresh().may_take(shard) for shard in (1, 2))
    two.take()
    assert two.asks() is Admission.NOW
    assert two.committed() == 4 + 10


def test_a_worker_that_is_alone_begins_all_the_same_and_only_once_in_vain(tmp_path: Path) -> None:
    one = Worker(tmp_path, 0, 7)
    assert one.asks() is Admission.NOW
    assert one.committed() == 0
    assert not one.share.is_short
    one.uses(7)
    one.board.change(
        lambda _: GivenBack(shard=0, worker=one.name, used=calls(7), is_budget_spent=True)
    )
    two = Worker(tmp_path, 1, 7)
    assert two.asks() is Admission.NEVER
    assert (two.share.is_short, two.share.is_dry) == (False, True)


def test_what_questions_take_is_told_and_what_is_not_needed_goes_back(tmp_path: Path) -> None:
    one, two = Worker(tmp_path, 0, 100), Worker(tmp_path, 1, 100)
    assert one.asks() is Admission.NOW
    for _ in range(ENOUGH):
        one.uses(3)
    assert two.board.refresh().seen.ended < ENOUGH
    assert one.asks() is Admission.NOW
    # Three and one call more for the one that begins.
    assert one.committed() == 3 * ENOUGH + 4
    assert two.asks() is Admission.NOW
    assert two.asks(open_questions=1) is Admission.NOW
    seen = two.board.state.seen
    assert (seen.ended, seen.most) == (ENOUGH, calls(3))
    assert two.needs.of(1).calls == 4


def test_no_shard_waits_for_an_amount_that_is_known_to_be_too_much(tmp_path: Path) -> None:
    one, two = Worker(tmp_path, 0, 8 + 3 * ENOUGH), Worker(tmp_path, 1, 0)
    assert one.asks() is Admission.NOW
    for _ in range(ENOUGH):
        one.uses(3)
    # Before it is told what questions take, there is no room for another at its worst.
    assert two.asks() is Admission.NEVER
    two.leaves()
    assert not two.board.state.may_take(1)
    assert one.asks() is Admission.NOW
    assert two.board.refresh().may_take(1)
    two.take()
    assert two.asks() is Admission.NOW


def test_one_worker_leaves_the_others_a_share_of_what_is_free(tmp_path: Path) -> None:
    crowd = [Worker(tmp_path, shard, 300) for shard in range(3)]
    begun = 0
    while crowd[0].asks(begun) is Admission.NOW:
        begun += 1
    assert 5 <= begun <= 10
    assert all(each.asks() is Admission.NOW for each in crowd[1:])


def test_after_a_notice_none_begins(tmp_path: Path) -> None:
    one = Worker(tmp_path, 0, 100)
    one.has_notice = True
    assert one.asks() is Admission.NEVER
    assert not one.share.is_short


def test_a_kept_log_of_whole_questions_is_still_read() -> None:
    state = Board(KEPT, 2, "reader").state
    assert (state.seen.ended, state.seen.most) == (9, Amounts(12, 120, 3))
    assert state.short_at == Amounts(36, 360, 12)
    assert [shard.holder for shard in state.shards] == ["a", ""]
    entries = [path.read_bytes() for path in sorted(KEPT.iterdir())]
    assert [msgspec.json.encode(entry) + b"\n" for entry in Log(KEPT, "r").unread()] == entries
