"""A fence and who ends it: the agent's clock and its restarts, a person, a stranger's job."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.fencing import Fencing
from parkade.engines.slurm.owners import parse_rules
from parkade.ports import DesiredState, GivenNodes, OwnerReport
from tests.engines.fake_reservations import SECOND_US, FakeSlurm
from tests.engines.test_slurm_owners import job as queued
from tests.engines.trial import attempt_of

NODES = {"n1": 4, "n2": 4}
NAME = "parkade_box"
LAPSE_S = 800


class Beside:
    """An agent's fencing beside a fake Slurm; `steady_us` is the agent's steady clock."""

    def __init__(self, folder: Path) -> None:
        self.slurm = FakeSlurm()
        self.folder = folder
        self.steady_us = 5 * SECOND_US
        self.fencing = self.restarted()

    def restarted(self) -> Fencing:
        """Another agent on the same folder."""
        return Fencing("box", NODES, self.slurm, self.folder, steady=lambda: self.steady_us)

    def look(self, *others: Job, lapse_s: int | None = LAPSE_S, heard: bool = True) -> OwnerReport:
        return self.fencing.serve(self.desired(lapse_s), others, (), is_heard=heard)

    def desired(self, lapse_s: int | None = LAPSE_S) -> DesiredState:
        lapse_us = None if lapse_s is None else lapse_s * SECOND_US
        return DesiredState(
            pool="box", epoch=1, installation=None, lineage=None, sequence=1, attempts=(),
            fence_lapse_us=lapse_us,
        )  # fmt: skip

    def pass_s(self, seconds: float) -> None:
        """Time passes on every clock."""
        self.slurm.pass_s(seconds)
        self.steady_us += int(seconds * SECOND_US)


@pytest.fixture
def beside(tmp_path: Path) -> Beside:
    made = Beside(tmp_path)
    made.look()
    assert made.look().fence_stands
    return made


def test_a_fence_is_put_off_while_the_control_plane_is_heard(beside: Beside) -> None:
    for _ in range(100):
        beside.pass_s(10)
        assert beside.look().fence_stands
        assert LAPSE_S - 60 <= beside.slurm.ends_in_s(NAME) <= LAPSE_S
    beside.pass_s(60)
    beside.look(heard=False)
    assert beside.slurm.ends_in_s(NAME) <= LAPSE_S - 60


@pytest.mark.parametrize("step_s", [-86_400, -30, 30, 700])
def test_a_step_of_the_controllers_clock_recalls_nobody(beside: Beside, step_s: int) -> None:
    beside.slurm.pass_s(step_s)
    for _ in range(20):
        assert beside.look().fence_stands
        assert beside.fencing.recalled_us is None
        beside.pass_s(5)
    assert LAPSE_S - 60 <= beside.slurm.ends_in_s(NAME) <= LAPSE_S


def test_a_controller_that_forgot_the_last_putting_off_recalls_nobody(beside: Beside) -> None:
    """A controller that is killed may not have saved the last change."""
    for _ in range(3):
        saved = beside.slurm.reservations[NAME]["EndTime"]
        beside.pass_s(31)
        beside.look()
        assert beside.slurm.ends_in_s(NAME) == LAPSE_S
        for _ in range(2):
            beside.slurm.reservations[NAME]["EndTime"] = saved
            beside.pass_s(1)
            beside.slurm.booted_us = beside.slurm.now_us
            beside.fencing = beside.restarted()
            assert beside.look().fence_stands and beside.fencing.recalled_us is None
            assert beside.slurm.ends_in_s(NAME) == LAPSE_S
    release(beside, 120)
    assert not beside.look().fence_stands
    assert beside.fencing.recalled_us == ends_us(beside)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_person_may_end_the_fence_at_exactly_the_agents_end_before(
    beside: Beside, restarts: bool
) -> None:
    before = beside.slurm.reservations[NAME]["EndTime"]
    beside.pass_s(31)
    beside.look()
    assert beside.slurm.reservations[NAME]["EndTime"] != before
    beside.slurm.reservations[NAME]["EndTime"] = before
    for _ in range(20):
        beside.pass_s(1)
        if restarts:
            beside.fencing = beside.restarted()
        assert not beside.look().fence_stands
        assert beside.fencing.recalled_us is not None
        assert beside.slurm.reservations[NAME]["EndTime"] == before


def test_what_an_agent_kept_before_controllers_were_known_still_recalls_nobody(
    beside: Beside,
) -> None:
    before = beside.slurm.reservations[NAME]["EndTime"]
    beside.pass_s(31)
    beside.look()
    kept = msgspec.json.decode((beside.folder / "fence.json").read_bytes())
    del kept["booted_us"]
    (beside.folder / "fence.json").write_bytes(msgspec.json.encode(kept))
    beside.slurm.reservations[NAME]["EndTime"] = before
    beside.fencing = beside.restarted()
    assert beside.look().fence_stands and beside.fencing.recalled_us is None


def test_an_end_that_a_person_brought_forward_is_not_put_off(beside: Beside) -> None:
    release(beside, 120)
    for _ in range(11):
        assert not beside.look().fence_stands
        assert beside.fencing.recalled_us == ends_us(beside)
        beside.pass_s(10)
    assert 0 < beside.slurm.ends_in_s(NAME) <= 10


def test_a_restarted_agent_does_not_put_off_what_a_person_brought_forward(beside: Beside) -> None:
    """Whether the person did it while the old agent lived, or between the two."""
    release(beside, 120)
    beside.look()
    beside.fencing = beside.restarted()
    assert not beside.look().fence_stands
    release(beside, 60)
    beside.fencing = beside.restarted()
    beside.pass_s(31)
    assert not beside.look().fence_stands
    assert beside.fencing.recalled_us == ends_us(beside)
    assert beside.slurm.ends_in_s(NAME) == 29


def test_a_restarted_agent_puts_off_what_nobody_touched(beside: Beside) -> None:
    beside.fencing = beside.restarted()
    beside.pass_s(300)
    assert beside.look().fence_stands
    assert beside.slurm.ends_in_s(NAME) == LAPSE_S


def test_after_a_release_has_passed_the_fence_is_made_anew(beside: Beside) -> None:
    release(beside, 20)
    beside.look()
    beside.pass_s(21)
    beside.look()
    assert beside.look().fence_stands and beside.fencing.recalled_us is None


def test_nobody_is_seated_in_a_released_fence_until_a_new_one_stands(beside: Beside) -> None:
    assert beside.look().taken == ()
    release(beside, 20)
    for _ in range(2):
        told = {one.node: one.job for one in beside.look().taken}
        assert set(told) == set(NODES)
        assert told["n1"].startswith("the fence was released: it ends at 20")
        beside.pass_s(8)
    beside.pass_s(8)
    beside.slurm.refuses.add("create")
    assert {one.node for one in beside.look().taken} == set(NODES), "the next one is refused"
    beside.slurm.refuses.clear()
    beside.pass_s(2)
    assert beside.look().taken == ()


def test_a_refused_fence_is_told_and_asked_for_again_after_longer_and_longer_pauses(
    tmp_path: Path,
) -> None:
    beside = Beside(tmp_path)
    beside.slurm.refuses.add("create")
    for _ in range(120):
        assert not beside.look().fence_stands
        beside.pass_s(0.5)
    assert beside.fencing.fence.refused == "scontrol: Access denied"
    assert beside.slurm.refused == 6, "after 0, 1, 3, 7, 15 and 31 s"
    beside.slurm.refuses.clear()
    beside.pass_s(30)
    assert beside.look().fence_stands and beside.fencing.fence.refused is None


def test_a_fence_that_a_person_deletes_is_made_anew_and_told_for_a_while(
    beside: Beside, caplog: pytest.LogCaptureFixture
) -> None:
    assert beside.fencing.notes() == (None,) * 5
    del beside.slurm.reservations[NAME]
    assert beside.look().fence_stands
    (said, *_) = beside.fencing.notes()
    assert said is not None and "was deleted before its end" in said
    assert said in caplog.text
    assert beside.look().fence_stands and caplog.text.count("deleted") == 1
    beside.pass_s(600)
    assert beside.fencing.notes() == (None,) * 5


def test_a_fence_that_ends_or_that_we_open_was_not_deleted(beside: Beside) -> None:
    release(beside, 20)
    beside.look()
    beside.pass_s(21)
    beside.look()
    assert beside.look().fence_stands and beside.fencing.notes() == (None,) * 5
    beside.look(lapse_s=None)
    assert NAME not in beside.slurm.reservations
    beside.look()
    assert beside.look().fence_stands and beside.fencing.notes() == (None,) * 5


def test_jobs_that_the_fence_keeps_out_are_named_once_they_have_waited(
    beside: Beside, caplog: pytest.LogCaptureFixture
) -> None:
    stray = queued(17, reason="ReqNodeNotAvail,_May_be_reserved", account="stray")
    others = [stray, queued(18, reason="Priority"), queued(19, reason="Dependency")]
    beside.look(*others)
    beside.pass_s(29)
    beside.look(*others)
    assert beside.fencing.notes() == (None,) * 5
    beside.pass_s(1)
    beside.look(*others)
    (_, _, said, *_) = beside.fencing.notes()
    assert said == (
        "jobs that wait outside the fence: 17 of eve (account stray), which no rule of owners fits:"
        " ReqNodeNotAvail,_May_be_reserved"
    )
    beside.look(*others)
    assert caplog.text.count("17 of eve") == 1, "logged once"
    beside.look(others[1])
    assert beside.fencing.notes() == (None,) * 5


def test_an_owners_job_without_room_is_named_once_it_has_waited(beside: Beside) -> None:
    rules = parse_rules("account:acme=acme")
    big = queued(25, nodes=3)
    for _ in range(2):
        beside.fencing.serve(beside.desired(), [big], rules, is_heard=True)
        beside.pass_s(30)
    (_, _, said, *_) = beside.fencing.notes()
    assert said == (
        "jobs that wait outside the fence: 25 of eve: reservation acme has not 6 nodes left for it,"
        " or they are drained"
    )


def test_nodes_that_the_pool_only_observes_leave_the_fence_and_come_back(beside: Beside) -> None:
    def fenced(*unfenced: str) -> str | None:
        desired = msgspec.structs.replace(beside.desired(), unfenced=unfenced)
        report = beside.fencing.serve(desired, [], (), is_heard=True)
        assert report.fence_stands
        return beside.slurm.reservations.get(NAME, {}).get("Nodes")

    assert fenced("n1") == "n2" and beside.fencing.fence.fenced == {"n2"}
    assert fenced("n1", "n2") is None
    assert fenced("n1", "n2") is None
    beside.pass_s(2 * LAPSE_S)
    beside.fencing = beside.restarted()
    assert fenced("n1", "n2") is None
    assert fenced("n2") == "n1"
    assert fenced() == "n1,n2" and beside.fencing.recalled_us is None
    assert beside.fencing.fence.deletion() is None, "it went by itself"


def test_a_person_who_takes_a_release_back_ends_the_recall(beside: Beside) -> None:
    release(beside, 120)
    beside.look()
    (said, *_) = beside.fencing.notes()
    assert said is not None and said.startswith("the fence was released: it ends at ")
    release(beside, LAPSE_S)
    assert beside.look().fence_stands and beside.fencing.recalled_us is None


def test_a_fence_found_by_an_agent_with_a_new_folder_is_its_own(
    beside: Beside, tmp_path: Path
) -> None:
    beside.folder = tmp_path / "new"
    beside.folder.mkdir()
    beside.fencing = beside.restarted()
    assert beside.look().fence_stands


@pytest.mark.parametrize("comment", ["", "parkade:a1:1:1:1:word.1"])
def test_a_strangers_job_in_the_fence_is_told_and_cancelled_whatever_its_comment_says(
    beside: Beside, comment: str
) -> None:
    beside.pass_s(5)
    forged = job(7, comment=comment, submitted_us=beside.slurm.now_us)
    (taken,) = beside.look(forged).taken
    assert (taken.node, taken.job) == ("n1", "job 7 of eve, in the fence and not ours")
    assert beside.slurm.cancelled == ["7"]
    beside.look(forged)
    assert beside.slurm.cancelled == ["7"], "not again at once"
    beside.pass_s(60)
    beside.look(forged)
    assert beside.slurm.cancelled == ["7", "7"]


def test_a_marked_job_from_before_this_folder_served_the_fence_is_told_and_left(
    beside: Beside,
) -> None:
    """It may be a guest of an agent whose folder was lost: a person decides."""
    old = job(7, comment="parkade:a1:1:1:1:word.1", submitted_us=beside.slurm.now_us - SECOND_US)
    (taken,) = beside.look(old).taken
    assert taken.node == "n1"
    assert beside.slurm.cancelled == []


def test_a_stranger_that_cannot_be_cancelled_still_closes_its_node(beside: Beside) -> None:
    beside.slurm.refuses.add("scancel")
    (taken,) = beside.look(job(7)).taken
    assert taken.node == "n1"


def test_an_owners_job_at_a_limit_of_its_account_asks_for_nothing_for_longer_and_longer(
    beside: Beside,
) -> None:
    """It leaves its reservation before that is deleted, or Slurm would hold it."""
    rules = parse_rules("account:acme=acme")
    waits = queued(25, nodes=2)
    given = (GivenNodes(claim="c1", job="25", nodes=("n1", "n2")),)
    desired = msgspec.structs.replace(beside.desired(), given=given)

    def asked(job: Job) -> list[str]:
        return [one.job for one in beside.fencing.serve(desired, [job], rules, is_heard=True).jobs]

    inside = f"{NAME}:25"
    assert asked(waits) == ["25"] and inside in beside.slurm.reservations
    asks = msgspec.structs.replace(waits.asks, reservation=inside)
    limited = msgspec.structs.replace(waits, reason="AssocGrpGRES", asks=asks)
    assert asked(limited) == []
    assert beside.slurm.updated[-1] == ("JobId=25", "ReservationName=")
    assert inside in beside.slurm.reservations, "the job was in it when it was looked at"
    said = "owners' jobs that wait for a limit of Slurm, not for nodes: 25 of eve"
    assert beside.fencing.notes()[-1] == f"{said} (account acme): AssocGrpGRES"
    for pause_s in (60, 120, 240, 480, 900, 900):
        beside.pass_s(pause_s - 1)
        assert asked(waits) == [] and inside not in beside.slurm.reservations
        beside.pass_s(1)
        assert asked(waits) == ["25"], "it is tried again"
        assert asked(limited) == []
    beside.look()
    assert beside.fencing.notes()[-1] is None


def release(beside: Beside, seconds: int) -> None:
    """As a person does it, by the command in the docs."""
    beside.slurm.run("scontrol", "update", f"ReservationName={NAME}", f"EndTime=now+{seconds}")


def ends_us(beside: Beside) -> int:
    return beside.slurm.now_us + int(beside.slurm.ends_in_s(NAME) * SECOND_US)


def job(number: int, **keys: Any) -> Job:
    """A job of `eve` that runs on `n1`, in the fence."""
    made = queued(number, state="RUNNING", on=("n1",), reservation=NAME)
    return msgspec.structs.replace(made, **keys)


def with_guests(beside: Beside, *users: str) -> OwnerReport:
    """A look while these have guests."""
    guests = tuple(attempt_of("true", unix_user=user) for user in users)
    desired = msgspec.structs.replace(beside.desired(), attempts=guests)
    return beside.fencing.serve(desired, (), (), is_heard=True)


def let_in(beside: Beside) -> set[str]:
    return set(beside.slurm.reservations[NAME]["Users"].split(","))


def test_a_user_whom_slurm_refuses_costs_the_fence_neither_its_end_nor_the_others(
    beside: Beside,
) -> None:
    with_guests(beside, "cat")
    assert "cat" in let_in(beside)
    beside.slurm.lacking.add("cat")
    for _ in range(40):
        beside.pass_s(10)
        assert with_guests(beside, "bob", "cat").fence_stands
    assert beside.slurm.ends_in_s(NAME) >= LAPSE_S - 60
    assert "bob" in let_in(beside) and "cat" not in let_in(beside)
    told = beside.fencing.notes()[1]
    assert told is not None and "refuses the fence to cat (Invalid account" in told
    made = beside.fencing.fence.made
    with_guests(beside, "bob", "cat")
    assert beside.fencing.fence.made == made
    beside.slurm.lacking.clear()
    beside.pass_s(31)
    with_guests(beside, "bob", "cat")
    assert beside.fencing.fence.made == made + 1, "what waited for that is sent again"
    assert {"bob", "cat"} <= let_in(beside) and beside.fencing.notes()[1] is None


def test_a_user_who_left_slurm_and_has_no_guest_leaves_the_fence(beside: Beside) -> None:
    with_guests(beside, "cat")
    beside.slurm.lacking.add("cat")
    beside.pass_s(60)
    assert with_guests(beside, "bob").fence_stands
    assert "bob" in let_in(beside) and "cat" not in let_in(beside)
    assert beside.slurm.ends_in_s(NAME) == LAPSE_S and beside.fencing.notes()[1] is None


def test_a_fence_is_made_though_slurm_refuses_one_of_its_users(tmp_path: Path) -> None:
    beside = Beside(tmp_path)
    beside.slurm.lacking.add("cat")
    assert with_guests(beside, "bob", "cat").fence_stands
    with_guests(beside, "bob", "cat")
    assert "bob" in let_in(beside) and "cat" not in let_in(beside)
