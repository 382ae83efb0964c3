"""The parts of the Slurm engine that need no Slurm: answers, standing, plan, script, head."""

import os
from pathlib import Path

import msgspec
import pytest

from parkade.core.fleet.seat import Seat
from parkade.engines.local import output, records
from parkade.engines.local.records import STOPPED_FIRST, Account, Member, RankState, State
from parkade.engines.slurm import answers, gathering, head, member, planning, script, standing
from parkade.engines.slurm.answers import Job, Node
from parkade.engines.slurm.commands import Commands, NotAdmitted
from parkade.engines.slurm.gathering import Gathering
from parkade.engines.slurm.settings import SlurmSettings
from parkade.engines.slurm.standing import Facts, Standing
from parkade.engines.slurm.watching import STRANGE_US, ours, strangers
from parkade.ports import InvalidSpec, Phase, RankExit, Transient, Unreachable
from tests.engines.trial import attempt_of, launched, order_in
from tests.waits import until

NOW_US = 1_000_000_000


def job(number: int = 7, *states: str, uid: int = 1000, comment: str = "") -> Job:
    return Job(
        number=number,
        leader=number,
        states=frozenset(states or ("RUNNING",)),
        reason="None",
        uid=uid,
        comment=comment,
        nodes=("n0",),
        devices=((0,),),
    )


# ------------------------------------------------------------ answers


OLD = (
    b'{"errors": [], "jobs": [{"job_id": 7, "job_state": "COMPLETING", "user_id": 1000,'
    b' "comment": "a\\nb", "het_job_id": 0, "gres_detail": ["gpu:h100:3(IDX:0-1,3)"],'
    b' "job_resources": {"allocated_nodes": [{"nodename": "n0"}]}}]}'
)
NEW = (
    b'{"errors": [], "jobs": [{"job_id": 7, "job_state": ["COMPLETED", "COMPLETING"],'
    b' "user_id": 1000, "comment": "a\\nb", "het_job_id": {"set": true, "number": 0},'
    b' "gres_detail": ["gpu:h100:3(IDX:0-1,3)"],'
    b' "job_resources": {"nodes": {"allocation": [{"name": "n0"}]}}}]}'
)


@pytest.mark.parametrize("answer", [OLD, NEW])
def test_both_forms_of_an_answer_say_the_same(answer: bytes) -> None:
    (found,) = answers.jobs(answer)
    assert found.is_live, "completing is not free"
    assert (found.number, found.leader, found.uid, found.comment) == (7, 7, 1000, "a\nb")
    assert (found.nodes, found.devices) == (("n0",), ((0, 1, 3),))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b'{"jobs": [',
        b'{"jobs": []}',
        b'{"errors": [{"error": "x"}], "jobs": []}',
        b'{"errors": [], "jobs": [{}]}',
    ],
)
def test_an_answer_with_errors_or_parts_missing_is_an_error(answer: bytes) -> None:
    with pytest.raises(Transient):
        answers.jobs(answer)


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (
            {
                "error": "Zero Bytes were transmitted or received",
                "error_number": 1007,
                "source": "slurm_load_jobs",
                "description": "Unable to query jobs",
            },
            "Zero Bytes were transmitted or received: Unable to query jobs (slurm_load_jobs)",
        ),
        ({"error": "x", "description": "x"}, "x"),
        (
            {
                "error": "Unspecified error",
                "source": "slurm_load_jobs",
                "description": "Failed while looking for jobs",
            },
            "Failed while looking for jobs (slurm_load_jobs)",
        ),
        ({"error_number": 1007, "error": ""}, "error 1007"),
        ("in words", "in words"),
        ({}, "one without words"),
    ],
)
def test_an_error_in_an_answer_is_told_in_words(error: object, says: str) -> None:
    answer = msgspec.json.encode({"errors": [error], "jobs": []})
    with pytest.raises(Transient) as raised:
        answers.jobs(answer)
    assert str(raised.value) == f"Slurm's answer holds errors: {says}"


def test_nodes_are_read_with_their_gpus_and_flags() -> None:
    answer = (
        b'{"errors": [], "nodes": [{"name": "n0", "address": "10.0.0.1", "state": "idle",'
        b' "state_flags": ["DRAIN"], "reason": "mine", "reason_set_by_user": "ann",'
        b' "gres": "gpu:h100:8(S:0-1),nic:2", "cpus": 64, "real_memory": 1000}]}'
    )
    node = answers.nodes(answer)["n0"]
    assert (node.gpus, node.cpus, node.memory_mb, node.address) == (8, 64, 1000, "10.0.0.1")
    assert node.states == {"IDLE", "DRAIN"}


# ------------------------------------------------------------ standing


def facts(*parts: Job, **changes: object) -> Facts:
    made = Facts(parts=parts, is_claimed=False, submitted_us=NOW_US, silent=(), over_us=None)
    return msgspec.structs.replace(made, **changes)


LONG_AGO = NOW_US - standing.LOST_US


@pytest.mark.parametrize(
    ("found", "is_up", "expected"),
    [
        (facts(job(7, "PENDING")), True, Standing.WAITS),
        (facts(job(7, "RUNNING")), True, Standing.LIVES),
        (facts(job(7, "COMPLETED", "COMPLETING"), is_claimed=True), True, Standing.LIVES),
        (facts(), True, Standing.WAITS),
        (facts(submitted_us=LONG_AGO), True, Standing.LOST),
        (facts(submitted_us=None), True, Standing.LOST),
        (facts(submitted_us=LONG_AGO, is_claimed=True), True, Standing.FREE),
        (facts(job(7, "CANCELLED")), True, Standing.FREE),
        (facts(job(7, "COMPLETED"), is_claimed=True), True, Standing.FREE),
        (facts(job(7, "NODE_FAIL"), is_claimed=True, silent=("n0",)), True, Standing.FREE),
        (facts(job(7, "NODE_FAIL"), is_claimed=True, silent=("n0",)), False, Standing.UNFREE),
        (
            facts(
                job(7, "NODE_FAIL"),
                is_claimed=True,
                silent=("n0",),
                over_us=NOW_US - standing.GRACE_US,
            ),
            False,
            Standing.FREE,
        ),
    ],
)
def test_what_is_done_follows_from_slurm_and_members_together(
    found: Facts, is_up: bool, expected: Standing
) -> None:
    assert standing.judge(found, is_up={"n0": is_up}, now_us=NOW_US) is expected


def test_of_two_jobs_of_one_attempt_the_one_that_began_counts() -> None:
    first, second = (job(7, "RUNNING"),), (job(8, "PENDING"),)
    assert standing.choose([second, first], None) == (first, (8,))
    assert standing.choose([first, second], 8) == (second, (7,))
    assert standing.choose([first], 6) == ((), (7,)), "one that began and is gone is not run again"


def test_a_mark_that_another_user_copied_counts_for_nothing() -> None:
    mark = script.mark(attempt_of("x"), "word.1")
    own, forged = job(7, comment=mark), job(8, comment=mark, uid=1001)
    by_nonce: dict[str, list[tuple[Job, ...]]] = {"word.1": [(own,), (forged,)]}
    assert ours(by_nonce, ("word.1",), uid=1000) == [(own,)]


# ------------------------------------------------------------ plan and script


def test_nodes_that_give_different_numbers_of_gpus_are_parts_of_their_own() -> None:
    node = Node(
        name="n0", address="a", states=frozenset(), reason="", reason_by="",
        gpus=8, cpus=64, memory_mb=1000,
    )  # fmt: skip
    nodes = {name: msgspec.structs.replace(node, name=name) for name in ("n0", "n1", "n2")}
    ranks = [Seat(node=name, gpus=2) for name in ("n1", "n0", "n1", "n2")]
    found = planning.parts(ranks, nodes, SlurmSettings())
    assert [(part.nodes, part.gpus, part.cpus, part.memory_mb) for part in found] == [
        (("n1",), 4, 32, 500),
        (("n0", "n2"), 2, 16, 250),
    ]


def test_no_name_adds_an_option() -> None:
    hostile = "a\n#SBATCH --uid=0 %j"
    attempt = attempt_of("x", attempt=hostile)
    part = planning.Part(nodes=("n0",), gpus=1, cpus=1, memory_mb=1)
    text = script.batch(
        attempt, [part], Path("/data/it's 100%"), SlurmSettings(), nonce="w.1", python=["python"]
    )
    options = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert len(options) == 14 and not any("--uid=0" in line for line in options)
    assert "100%%" in text


def test_an_option_of_a_pool_that_is_more_than_a_word_is_refused() -> None:
    part = planning.Part(nodes=("n0",), gpus=1, cpus=1, memory_mb=1)
    with pytest.raises(InvalidSpec, match="partition"):
        script.batch(
            attempt_of("x"), [part], Path("/d"), SlurmSettings(partition="a\n#SBATCH --uid=0"),
            nonce="w.1", python=["python"],
        )  # fmt: skip


# ------------------------------------------------------------ head and member


def state(*codes: int | None, **changes: object) -> State:
    ranks = tuple(
        RankState(pid=1, start_ticks=1, has_ended=code is not None, code=code, signal=None)
        for code in codes
    )
    made = State(
        version=1, attempt="w", generation=1, phase=Phase.RUNNING, keeper_pid=1,
        keeper_start_ticks=1, ranks=ranks, started_us=1, released_us=None, checkpoint=None,
        is_noticed=False, launch_error=None, engine_state="running", written_us=1,
    )  # fmt: skip
    return msgspec.structs.replace(made, **changes)


CLOSED, OPEN = Gathering(), Gathering(is_open=True)


@pytest.mark.parametrize(
    ("told", "states", "is_ordered", "expected"),
    [
        (CLOSED, [state(None), None], False, CLOSED),
        (CLOSED, [state(None), state()], False, CLOSED),
        (CLOSED, [state(None), state(None)], False, OPEN),
        (CLOSED, [state(None), state(launch_error="no")], False, Gathering(trouble="no")),
        (CLOSED, [None, None], True, Gathering(trouble=STOPPED_FIRST)),
        (CLOSED, [state(None), state(None)], True, Gathering(trouble=STOPPED_FIRST)),
        (Gathering(trouble="no"), [state(None), state(None)], False, Gathering(trouble="no")),
        (OPEN, [state(None), state(None)], True, OPEN),
        (OPEN, [state(0), state(None)], False, OPEN),
        (OPEN, [state(85), state(None)], False, OPEN),
        (OPEN, [state(3), state(None)], False, Gathering(is_open=True, is_broken=True)),
        (OPEN, [state(3), state(None)], True, OPEN),
    ],
)
def test_a_gang_opens_whole_and_breaks_whole(
    told: Gathering, states: list[State | None], is_ordered: bool, expected: Gathering
) -> None:
    assert head.advance(told, states, is_ordered=is_ordered) == expected


def test_a_gang_that_is_to_leave_before_it_opened_never_opens_and_its_step_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a member never comes, as one that waits for its image."""
    ranks = (Seat(node="n0", gpus=1), Seat(node="n1", gpus=1))
    whole = Member(ranks=(0, 1), seats=ranks, addresses=("a", "b"))
    attempt = attempt_of("x", ranks=ranks)
    launch = launched(attempt, ((), ()), 1, member=whole, heard=str(tmp_path / "heard"))
    (tmp_path / "job" / "nodes" / "n0").mkdir(parents=True)
    records.write(tmp_path / "job" / "nodes" / "n0" / records.STATE, state(None))
    found = head.Head(tmp_path, launch)
    found.turn()
    assert not found.has_given_up() and not found.is_overdue()
    records.write(tmp_path / records.ORDER, order_in(3_000, 3_600))
    found.turn()
    assert gathering.read(tmp_path / "job") == Gathering(trouble=STOPPED_FIRST)
    assert found.has_given_up() and not found.is_overdue(), "members may say so themselves"
    monkeypatch.setattr(head, "GIVE_UP_US", 0)
    assert found.is_overdue()


def test_an_attempt_is_claimed_by_one_job(tmp_path: Path) -> None:
    assert head.claim(tmp_path, "7")
    assert not head.claim(tmp_path, "8")
    assert head.claim(tmp_path, "7")
    assert (tmp_path / gathering.CLAIM).read_text() == "7"


def test_devices_are_as_slurm_gave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert member.given_devices() == [2, 5]
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert member.given_devices() == []


# ------------------------------------------------------------ commands and output


def program(folder: Path, text: str, name: str = "squeue") -> None:
    path = folder / name
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sleep 600", Unreachable),
        ("echo slurm_load_jobs error: Unable to contact slurm controller >&2; exit 1", Unreachable),
        ("echo Invalid partition name specified >&2; exit 1", InvalidSpec),
        ("echo not permitted: zoe is not in the group users >&2; exit 1", NotAdmitted),
        ("echo Invalid account or account/partition combination >&2; exit 1", NotAdmitted),
        ("echo Resource temporarily unavailable >&2; exit 1", Transient),
        ("exit 3", Transient),
    ],
)
def test_what_a_command_says_of_its_failure_decides_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, kind: type[Exception]
) -> None:
    program(tmp_path, text)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(kind):
        Commands(SlurmSettings(timeout_s=1)).run("squeue")


def test_commands_get_nothing_of_the_agents_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "env")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SBATCH_PARTITION", "secret")
    monkeypatch.setenv("PARKADE_TOKEN", "secret")
    said = Commands(SlurmSettings(conf="/etc/x.conf")).run("squeue")
    assert b"secret" not in said and b"SLURM_CONF=/etc/x.conf" in said


def test_files_that_commands_share_hold_nothing_of_the_last_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, "cat")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    commands = Commands(SlurmSettings())
    for given in ("a long script of many words", "short", ""):
        assert commands.run("squeue", stdin=given) == given.encode()
    program(tmp_path, "echo a complaint >&2; exit 1")
    with pytest.raises(Transient, match=r"squeue: a complaint$"):
        commands.run("squeue", stdin="words")
    program(tmp_path, "exit 4")
    with pytest.raises(Transient, match=r"squeue: exit code 4$"):
        commands.run("squeue")


def test_what_a_command_says_after_its_time_is_read_by_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, late = tmp_path / "told", tmp_path / "late"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    commands = Commands(SlurmSettings(timeout_s=1))
    waits = "until [ -e {} ]; do sleep 0.01; done"
    # A child that outlives its command, as that of a launcher which cannot be killed.
    program(tmp_path, f"{{ {waits.format(told)}; echo late; touch {late}; }} & wait")
    with pytest.raises(Unreachable):
        commands.run("squeue")
    told.touch()
    until(late.exists)
    program(tmp_path, "echo mine")
    assert commands.run("squeue") == b"mine\n"


@pytest.mark.parametrize("way", ["account", "launcher"])
def test_files_that_another_user_may_hold_open_are_used_by_no_other_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for name in ("squeue", "sudo"):
        program(tmp_path, "stat -L -c %i /proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2", name)
    commands = Commands(SlurmSettings())
    me = Account(name="root", uid=os.geteuid(), gid=os.getegid(), home="/")
    own = set(commands.run("squeue").split())
    if way == "account":
        monkeypatch.setattr(os, "getgrouplist", lambda *_: os.getgroups())
        theirs = set(commands.run("squeue", account=me).split())
    else:
        theirs = set(commands.run("sudo", "-n").split())
    assert len(theirs) == 3 and theirs.isdisjoint(own)
    assert set(commands.run("squeue").split()) == own


def test_output_of_another_owner_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "rank-0.log.0").write_text("hello")
    assert output.read(tmp_path, 0, 0, uid=os.geteuid()) == (0, b"hello")
    assert output.read(tmp_path, 0, 0, uid=os.geteuid() + 1) == (0, b"")
    (tmp_path / "rank-1.log.0").symlink_to(tmp_path / "rank-0.log.0")
    assert output.read(tmp_path, 1, 0, uid=os.geteuid())[1] == b""
    assert records.read_state(tmp_path) is None


@pytest.mark.parametrize(
    ("states", "is_ordered", "ended", "stays"),
    [
        (("NODE_FAIL",), False, (85, None), False),
        (("NODE_FAIL",), False, (1, None), False),
        (("TIMEOUT",), False, (None, 15), False),
        (("NODE_FAIL",), False, (0, None), True),
        (("NODE_FAIL",), True, (85, None), True),
        (("FAILED",), False, (1, None), True),
        (("CANCELLED",), False, (None, 15), True),
        ((), False, (None, 9), False),
        ((), False, (None, 11), True),
        ((), False, (1, None), True),
        ((), True, (None, 9), True),
    ],
)
def test_an_exit_is_the_workloads_own_unless_slurm_ended_the_job(
    states: tuple[str, ...], is_ordered: bool, ended: tuple[int | None, int | None], stays: bool
) -> None:
    code, number = ended
    exits = (RankExit(rank=0, code=code, signal=number),)
    parts = (job(7, *states),) if states else ()
    found = standing.believed(exits, parts, is_ordered=is_ordered)
    assert found == (exits if stays else (RankExit(rank=0, code=None, signal=None),))


@pytest.mark.parametrize(
    ("comment", "counts_at_once"),
    [("", True), ("parkade:w1.1:1:1:1:known", True), ("parkade:w9.1:1:1:1:new", False)],
)
def test_a_copied_mark_delays_nothing_and_a_new_one_a_few_seconds(
    comment: str, counts_at_once: bool
) -> None:
    other = job(7, comment=comment)
    seen = {7: NOW_US}
    at_once = strangers([other], {"known"}, seen, now_us=NOW_US)
    assert at_once == ((other,) if counts_at_once else ())
    assert strangers([other], {"known"}, seen, now_us=NOW_US + STRANGE_US) == (other,)


@pytest.mark.parametrize(
    ("shared", "alone"),
    [("none", True), ("user", True), (None, False), ("", False), (["none"], True), ([], False)],
)
def test_a_job_says_whether_it_shares_its_nodes_and_what_it_asks_of_them(
    shared: object, alone: bool
) -> None:
    told = {
        "job_id": 7, "job_state": "PENDING", "user_id": 1, "cpus": {"set": True, "number": 16},
        "tres_req_str": "cpu=16,mem=1.5G,node=1,gres/gpu=1", "shared": shared,
    }  # fmt: skip
    (found,) = answers.jobs(msgspec.json.encode({"jobs": [told], "errors": []}))
    asks = found.asks
    assert (asks.is_exclusive, asks.cpus, asks.memory_mb) == (alone, 16, 1536)
