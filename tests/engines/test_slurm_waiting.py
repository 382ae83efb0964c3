"""Why a guest's own job waits in Slurm, in words."""

import pytest

from parkade.engines.slurm import troubles, waiting
from parkade.engines.slurm.answers import Asks, Job

SUBMITTED_US = 1_000_000
LATER_US = SUBMITTED_US + waiting.PATIENCE_US
WAITS, RAISES, FREES = (
    "its job 7 waits in Slurm:",
    "which an administrator can raise",
    "scontrol release",
)


def job(reason: str, state: str = "PENDING") -> Job:
    return Job(
        number=7, leader=7, states=frozenset({state}), reason=reason, uid=1500, comment="",
        nodes=(), devices=(), submitted_us=SUBMITTED_US,
        asks=Asks(account="parkade", qos="normal"),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "says"),
    [
        ("Resources", "its job 7 waits in Slurm: Resources"),
        ("ReqNodeNotAvail, UnavailableNodes:n1", "its job 7 waits in Slurm: ReqNodeNotAvail"),
        ("AssocGrpGRES", f"{WAITS} AssocGrpGRES, a limit of Slurm's account parkade, {RAISES}"),
        (
            "QOSMaxGRESPerUser",
            f"{WAITS} QOSMaxGRESPerUser, a limit of Slurm's QOS normal, {RAISES}",
        ),
        ("JobHeldAdmin", f"{WAITS} JobHeldAdmin, held by an administrator or its user: {FREES}"),
        ("None", None),
        ("Priority", None),
        ("", None),
        ("\x1b[2J", None),
    ],
)
def test_a_job_that_waits_for_a_while_is_told_with_slurms_reason(
    reason: str, says: str | None
) -> None:
    assert waiting.words(job(reason), LATER_US) == says


def test_a_job_that_runs_or_was_just_sent_is_not_told() -> None:
    assert waiting.words(job("Resources", "RUNNING"), LATER_US) is None
    assert waiting.words(job("Resources"), LATER_US - 1) is None


def test_what_waits_is_a_trouble_of_its_attempt_unless_sbatch_refuses_it_now() -> None:
    found = troubles.of_pool(None, {"w1.1": "no"}, {"w1.1": "waits", "w2.1": "waits"})
    told = [(one.attempt, one.says) for one in found]
    assert told == [("w1.1", "it is not in Slurm yet: no"), ("w2.1", "waits")]
