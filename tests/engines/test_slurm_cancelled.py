"""Jobs of guests that are cancelled by `scancel`: by an administrator, and by their user."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parkade.engines.slurm.answers import Job
from parkade.engines.slurm.cancelling import ASKED_FOR_US, Canceller
from parkade.engines.slurm.standing import believed
from parkade.ports import RankExit, Transient
from tests.engines.slurm_place import GPUS, SlurmPlace, place_on
from tests.engines.trial import FOR_EVER, attempt_of, released, run, until
from tests.slurm_cluster import Slurm, missing, open_folder, slurm

LACKING = missing(with_accounting=True)
NOBODY = 65_534
OVER = Job(
    number=7, leader=7, states=frozenset({"CANCELLED"}), reason="", uid=0, comment="", nodes=(),
    devices=(),
)  # fmt: skip


class Accounting:
    """Answers `sacct`, and counts how often it was asked."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def run(self, *words: str, **_: Any) -> bytes:
        assert words[0] == "sacct" and words[words.index("-j") + 1] == "7"
        self.asked += 1
        answer = self.answers[min(self.asked, len(self.answers)) - 1]
        if answer is None:
            raise Transient("sacct: Slurm accounting storage is disabled")
        return answer.encode()


@pytest.mark.parametrize(
    ("answers", "asked", "uid"),
    [
        (("CANCELLED by 0",), 1, 0),
        (("RUNNING", "CANCELLED by 1001"), 2, 1001),
        ((None,), 1, None),
        (("", "CANCELLED"), 3, None),
    ],
)
def test_the_accounting_is_asked_who_cancelled_a_job_until_it_knows_or_time_is_over(
    answers: tuple[str | None, ...], asked: int, uid: int | None
) -> None:
    accounting, canceller = Accounting(*answers), Canceller()
    for at_us in (0, ASKED_FOR_US // 2, ASKED_FOR_US, 2 * ASKED_FOR_US):
        canceller.look(accounting, (OVER,), now_us=at_us)
    assert canceller.is_known
    assert (accounting.asked, canceller.uid) == (asked, uid)


def test_no_exit_of_what_others_cancelled_is_believed_unless_it_was_to_leave() -> None:
    exits = (RankExit(rank=0, code=0, signal=None), RankExit(rank=1, code=None, signal=15))
    unknown = tuple(RankExit(rank=it, code=None, signal=None) for it in range(2))
    by_others = {"is_cancelled_by_others": True}
    assert believed(exits, (OVER,), is_ordered=False, **by_others) == unknown
    assert believed(exits, (OVER,), is_ordered=True, **by_others) == exits
    assert believed(exits, (OVER,), is_ordered=False) == exits


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SlurmPlace]:
    with (
        open_folder() as folder,
        slurm(folder / "c", nodes=("n0", "n1"), gpus=GPUS, with_accounting=True) as cluster,
    ):
        # A job is cancelled by another user only where that one is an operator.
        add(cluster, "account", "acme")
        add(cluster, "user", "root", "account=acme")
        add(cluster, "user", "nobody", "account=acme", "AdminLevel=Operator")
        with place_on(cluster, tmp_path / "pool") as made:
            yield made


def add(cluster: Slurm, *words: str) -> None:
    cluster.run("sh", "-c", 'sacctmgr -i add "$@" || :', "sh", *words)


@pytest.mark.system
@pytest.mark.skipif(bool(LACKING), reason=f"no accounting: {', '.join(LACKING)} is lacking")
def test_a_guest_that_an_administrator_cancels_is_interrupted_and_one_by_its_user_is_not(
    place: SlurmPlace,
) -> None:
    async def body() -> None:
        cluster = place.cluster
        for canceller in (NOBODY, 0):
            engine = place.engine()
            attempt = attempt_of(FOR_EVER)
            await engine.launch(attempt)
            await until((place.checkpoints(attempt) / "up.0").exists)
            job = cluster.run("squeue", "-h", "-t", "R", "-o", "%i")
            cluster.run("setpriv", f"--reuid={canceller}", "--clear-groups", "scancel", job)
            seen = await released(engine, attempt)
            assert not seen.is_keeper_lost and seen.launch_error is None
            assert all((it.code, it.signal) == (None, None) for it in seen.exits) is (
                canceller == NOBODY
            ), seen
            await engine.forget(attempt.attempt)
            await until(cluster.is_idle)

    run(body())
