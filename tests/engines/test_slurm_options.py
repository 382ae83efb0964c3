"""An agent's options held against a cluster: what the doctor and the agent's log say of each."""

import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from parkade.engines.slurm import doctor, doctor_options, naming, standing
from parkade.engines.slurm.commands import Commands
from parkade.engines.slurm.doctor import Rank, judge
from parkade.engines.slurm.doctor_options import Bad
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import Transient

LISTS = {"account": "acme\nlab\n", "qos": "normal\n", "sinfo": "main\nown\n"}


class Cluster:
    """Answers what there is of each kind; a kind that it lacks is an error."""

    def __init__(self, answers: Mapping[str, str] = LISTS) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def run(self, *words: str, **_: Any) -> bytes:
        kind = words[0] if words[0] == "sinfo" else words[4]
        self.asked.append(kind)
        if kind not in self.answers:
            raise Transient(f"{words[0]}: there is no accounting")
        return self.answers[kind].encode()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"owners": "account:acme=acme,account:vison=lab"}, "owners: the cluster has no account"),
        ({"owners": "qos:fast=acme"}, "owners: the cluster has no qos 'fast'; it has normal"),
        ({"owners": "user:no-such-person=acme"}, "owners: the cluster has no user"),
        ({"account": "nosuch"}, "account: the cluster has no account 'nosuch'; it has acme, lab"),
        ({"partition": "main,nosuch"}, "partition: the cluster has no partition 'nosuch'"),
        ({"qos": "nosuch"}, "qos: the cluster has no qos 'nosuch'"),
    ],
)
def test_what_options_name_and_the_cluster_lacks_is_said(
    options: dict[str, str], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    settings = SlurmSettings(**options)  # type: ignore[arg-type]
    (found,) = naming.unknown(settings, Cluster())
    assert found.startswith(says)
    with caplog.at_level(logging.WARNING):
        naming.warn(settings, Cluster())
    assert says in caplog.text


def test_what_is_there_or_cannot_be_known_is_not_complained_of() -> None:
    settings = SlurmSettings(
        owners="account:acme=acme,user:*=lab,reservation:later=acme,user:root=lab",
        account="lab",
        partition="main,own",
    )
    cluster = Cluster()
    assert naming.unknown(settings, cluster) == ()
    assert sorted(cluster.asked) == ["account", "sinfo"], "each kind is asked for once"
    assert naming.unknown(SlurmSettings(account="nosuch"), Cluster({})) == ()
    nothing = Cluster()
    assert naming.unknown(SlurmSettings(), nothing) == () and nothing.asked == []


@pytest.mark.parametrize(
    "owners", ["vision=vision=vision", "acount:a=b", "account:a=b=c", "account:=b", "account:a="]
)
def test_owners_that_are_no_rules_are_bad(owners: str) -> None:
    settings = SlurmSettings(owners=owners)
    with pytest.raises(Bad, match="write KIND:VALUE=RESERVATION"):
        doctor_options.names(settings, Commands(settings))


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("apptainer exec {imgae}", "there is no {imgae}; there are image"),
        ("apptainer exec --nv", "say where the image goes"),
        ("srun --pty {image}", "srun takes options of containers alone"),
    ],
)
def test_a_container_command_that_cannot_work_is_bad(template: str, says: str) -> None:
    settings = SlurmSettings(container=template)
    with pytest.raises(Bad, match=says):
        doctor_options.container(settings, Commands(settings), on_nodes=False)


def test_a_container_program_is_looked_for_on_the_nodes_of_a_gang() -> None:
    settings = SlurmSettings(container="no-such-program {image}")
    found = doctor_options.container(settings, Commands(settings), on_nodes=True)
    assert "on the nodes" in found
    here = doctor_options.container(settings, Commands(settings), on_nodes=False)
    assert "no-such-program is not here; whether the nodes have it" in here
    ranks = [
        Rank(node="n1", clock_us=0, first_us=0, lacks="no-such-program"),
        Rank(node="n2", clock_us=0, first_us=0),
    ]
    check = judge(ranks, 2)
    assert not check.is_good
    assert check.says == "container: no-such-program is not found on n1: install it there"


def test_a_srun_without_the_options_of_the_template_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\necho '      --container=PATH   its bundle'\n")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    settings = SlurmSettings(container="srun --container-image={image}")
    with pytest.raises(Bad, match="srun does not know --container-image: install its plugin"):
        doctor_options.container(settings, Commands(settings), on_nodes=False)
    knows = SlurmSettings(container="srun --container={image}")
    assert "knows" in doctor_options.container(knows, Commands(knows), on_nodes=False)


def test_a_python_that_is_not_there_is_bad() -> None:
    settings = SlurmSettings(python="/nowhere/python")
    with pytest.raises(Bad, match="/nowhere/python is no program"):
        doctor_options.python(settings, Commands(settings))


def test_a_job_that_slurm_lost_is_submitted_later_and_later_but_within_half_a_minute() -> None:
    waits = [standing.lost_us(tries) // 1_000_000 for tries in range(8)]
    assert waits == [0, 10, 20, 30, 30, 30, 30, 30]


def test_what_a_gang_waits_for_is_told_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the words of squeue, each once."""
    squeue = tmp_path / "squeue"
    squeue.write_text("#!/bin/sh\necho PENDING Resources\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(doctor, "TELL_S", 1)
    monkeypatch.setattr(doctor, "GANG_S", 2)
    told: list[str] = []
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        code = doctor._awaited(child, Commands(SlurmSettings()), "parkade-doctor", told.append)
    finally:
        child.kill()
        child.communicate()
    assert code is None
    assert told == ["the gang's job: PENDING Resources; it waits at most 2 s for nodes"]


def fenced_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch, *, inside: str) -> Commands:
    """All nodes are in the reservation `parkade_box`: outside of it sbatch finds none. `inside`:
    what it does with a job in it."""
    outside = "echo 'sbatch: error: Requested node configuration is not available' >&2; exit 1"
    (folder / "sbatch").write_text(
        f"#!/bin/sh\ngrep -q -- '--reservation=parkade_box$' || {{ {outside}; }}\n{inside}\n"
    )
    lines = [
        f"ReservationName={name} Nodes=n[0-1] Users=parkade State=ACTIVE"
        for name in ("parkade_box:17", "maintenance", "parkade_box")
    ]
    (folder / "scontrol").write_text("#!/bin/sh\n" + "\n".join(f"echo '{it}'" for it in lines))
    for name in ("sbatch", "scontrol"):
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return Commands(SlurmSettings())


def test_a_job_is_tried_behind_the_fence_where_no_node_is_outside_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = fenced_cluster(tmp_path, monkeypatch, inside="exit 0")
    found = doctor_options.submission(SlurmSettings(), commands)
    assert found == "a job would be taken behind the fence parkade_box"
    elsewhere = SlurmSettings(reservation="elsewhere")
    with pytest.raises(Bad, match="sbatch refuses it: correct the options"):
        doctor_options.submission(elsewhere, commands)


def test_a_job_that_is_refused_behind_the_fence_too_is_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = fenced_cluster(
        tmp_path, monkeypatch, inside="echo 'sbatch: error: Invalid account' >&2; exit 1"
    )
    with pytest.raises(Bad, match=r"behind the fence parkade_box .*Invalid account"):
        doctor_options.submission(SlurmSettings(), commands)
