"""An agent without root runs each workload as its user, by root's launcher, on a real cluster."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.slurm_market import GPUS, TERMS, slurm_market
from tests.service.slurm_town import SOURCE, Town, UsersMarket, examined, lacking, town_of
from tests.slurm_cluster import Slurm, open_folder, slurm
from tests.unix_people import as_user, join
from tests.waits import until

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(lacking()), reason=f"lacking: {', '.join(lacking())}"),
]

DUE = """
import sys
from pathlib import Path
from parkade.engines.local.keeping import Keeping
from parkade.engines.slurm.acting import Acting
from parkade.engines.slurm.commands import Commands
from parkade.engines.slurm.homes import Homes
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import FolderAnswer

commands = Commands(SlurmSettings(conf=sys.argv[3] + "/slurm.conf"))
keeping = Keeping(Homes(Path(sys.argv[1]), Acting(commands, sys.argv[2])))
asked = keeping.look(0).folders
due = [FolderAnswer(org=it.org, workload=it.workload, until_us=1, is_due=True) for it in asked]
for name in keeping.settle(asked, due):
    print(name.split()[0])
    print(*keeping.delete(), file=sys.stderr)
print(*keeping.delete(), file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


@pytest.fixture(scope="module")
def town(folder: Path) -> Iterator[Town]:
    with town_of(folder) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(folder: Path, town: Town) -> Iterator[Slurm]:
    """Two nodes, for all tests of the module; users are known to it because they were first."""
    with slurm(folder / "c", nodes=("n0", "n1"), gpus=GPUS) as made:
        town.install(made.folder / "slurm.conf")
        yield made


@pytest.fixture
def market(cluster: Slurm, town: Town, folder: Path) -> Iterator[UsersMarket]:
    UsersMarket.town = town
    place = folder / "m"
    place.mkdir()
    with slurm_market(cluster, place, terms=TERMS, kind=UsersMarket) as made:
        assert isinstance(made, UsersMarket)
        for name in (town.ann, town.bob, town.eve):
            made.served.ask("POST", "/users", {"user": name, "org": "lab", "unix_name": name})
        yield made
    subprocess.run(["rm", "-rf", str(place)], check=True)


def test_two_users_neither_read_signal_nor_cancel_each_others_work(
    market: UsersMarket, town: Town
) -> None:
    ann, bob = market.work_of(town.ann), market.work_of(town.bob)
    for workload, name in ((ann, town.ann), (bob, town.bob)):
        market.wait_for(workload, "running")
        market.wait_for_output(workload, name)
        job = market.job_of(workload)
        assert market.cluster.run("squeue", "-h", "-j", job, "-o", "%u") == name
    home = market.home(ann)
    note = home / "checkpoints" / "deep" / "er" / "note"
    assert note.owner() == town.ann and note.read_text() == "secret\n"
    job, (output,) = market.job_of(ann), home.glob("attempts/*/job/nodes/*/rank-0.log.0")
    state = output.with_name("state.json")
    (rank,) = json.loads(state.read_text())["ranks"]
    conf = f"SLURM_CONF={market.cluster.folder}/slurm.conf"
    for other in (town.bob, town.eve):
        for words in (
            ("cat", str(note)), ("cat", str(output)), ("cat", str(state)), ("ls", str(note.parent)),
            ("touch", str(output.with_name("order.json"))), ("ls", str(home)),
            ("kill", "-TERM", str(rank["pid"])), ("env", conf, "scancel", job),
            ("env", conf, "scancel", "--signal=TERM", job),
            ("env", conf, "scontrol", "hold", job),
        ):  # fmt: skip
            assert as_user(other, *words).returncode != 0, words
    assert as_user(town.agent, "cat", str(output)).returncode == 0, "the agent reads the output"
    assert market.seen(ann)["phase"] == "running" and market.seen(bob)["phase"] == "running"
    for workload in (ann, bob):
        market.served.ask("POST", f"/workloads/{workload}/cancel", {})
        market.wait_for(workload, "cancelled")
    # The end of their time: what users left goes by their own rights, and nothing else does.
    said = as_user(
        town.agent, "env", f"PYTHONPATH={SOURCE}", str(town.python), "-c", DUE,
        str(market.folder / "agent" / "engine"), str(town.launcher), str(market.cluster.folder),
    )  # fmt: skip
    assert said.stdout.split() == [ann, bob], said.stderr
    workloads = market.folder / "agent" / "engine" / "orgs" / "lab" / "workloads"
    assert list(workloads.iterdir()) == []
    assert list((market.folder / "agent" / "engine" / "deleting").iterdir()) == [], said.stderr


def test_work_of_one_outside_the_group_waits_with_the_reason_until_an_administrator_adds_it(
    market: UsersMarket, town: Town
) -> None:
    eve = market.work_of(town.eve)

    def why() -> str:
        return str(market.served.ask("GET", f"/workloads/{eve}/why")["says"])

    until(lambda: f"{town.eve} is not in the group {town.group}" in why(), market.said)
    last = [line for line in town.audited() if town.eve in line["asked"]][-1]
    assert last["verdict"] == f"{town.eve} is not in the group {town.group}"
    assert market.seen(eve)["phase"] == "starting"
    join(town.eve, town.group)
    try:
        market.wait_for(eve, "running")
        assert market.seen(eve)["failures"] == 0
        market.served.ask("POST", f"/workloads/{eve}/cancel", {})
        market.wait_for(eve, "cancelled")
    finally:
        subprocess.run(["gpasswd", "--delete", town.eve, town.group], check=True)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("check", "root"), "root is a system user"),
        (("submit", "root"), "root is a system user"),
        (("check", "daemon"), "daemon is a system user"),
        (("check", "nobody"), "nobody is a system user"),
        (("check", "0"), "there is no such user"),
        (("check", "#0"), "there is no such user"),
        (("check", "no-such-user"), "there is no such user"),
        (("check", "{eve}"), "{eve} is not in the group {group}"),
        (("check", "{agent}"), "{agent} is not in the group {group}"),
        (("cancel", "{ann}", "--user=root"), "a job is a number"),
        (("cancel", "{ann}", "1", "2"), "verbs and their words"),
        (("make", "{ann}", "relative"), "a folder is an absolute path"),
        (("run", "{ann}"), "verbs and their words"),
        (("check", "{ann}", "-c", "id"), "verbs and their words"),
        ((), "verbs and their words"),
        (("check", "a\nb"), "there is no such user"),
    ],
)
def test_the_launcher_refuses_and_audits(
    cluster: Slurm, town: Town, words: tuple[str, ...], why: str
) -> None:
    said = {"ann": town.ann, "eve": town.eve, "agent": town.agent, "group": town.group}
    asked = [word.format(**said) for word in words]
    before = len(town.audited()) if town.log.exists() else 0
    done = town.launch(*asked)
    assert done.returncode != 0 and f"not permitted: {why.format(**said)}" in done.stderr
    (line,) = town.audited()[before:]
    assert why.format(**said) in line["verdict"] and line["asked"] == asked
    assert line["by"] == str(UsersMarket.ids(town.agent)[0])


def test_nobody_but_the_agent_may_ask_the_launcher(cluster: Slurm, town: Town) -> None:
    town.launch("check", town.ann)
    count = len(town.audited())
    assert town.audited()[-1]["verdict"] == "accepted"
    for other in (town.ann, town.eve):
        assert "password is required" in town.launch("check", town.ann, by=other).stderr
    forged = f"SUDO_UID={UsersMarket.ids(town.agent)[0]}"
    done = as_user(town.eve, "env", forged, str(town.launcher), "check", town.ann)
    assert "not permitted: it is run by root" in done.stderr
    by_root = subprocess.run(
        ["env", "-u", "SUDO_UID", str(town.launcher), "check", town.ann], capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert f"only {town.agent} may ask" in by_root.stderr
    assert [line["verdict"] for line in town.audited()[count:]] == [
        f"only {town.agent} may ask, by sudo"
    ]


def test_what_the_launcher_makes_is_made_with_the_users_rights_alone(
    cluster: Slurm, town: Town, folder: Path
) -> None:
    closed = folder / "closed"
    closed.mkdir(0o700)
    done = as_user(
        town.agent, "sudo", "-n", str(town.launcher), "make", town.ann, str(closed),
        stdin='{"mine": null}',
    )  # fmt: skip
    assert "Permission denied" in done.stderr and not (closed / "mine").exists()
    (closed / "kept").touch()
    assert town.launch("clear", town.ann, str(closed)).returncode != 0
    assert (closed / "kept").exists()


def test_a_launcher_that_others_may_write_does_nothing(cluster: Slurm, town: Town) -> None:
    for path in (town.into, town.launcher, town.into / "launcher.conf"):
        mode = path.stat().st_mode
        path.chmod(mode | 0o002)
        try:
            done = town.launch("check", town.ann)
            assert "must be root's, and writable by root alone" in done.stderr, path
        finally:
            path.chmod(mode)
    assert town.launch("check", town.ann).returncode == 0


def test_the_doctor_probes_the_launcher(cluster: Slurm, town: Town) -> None:
    found = examined(cluster, town)["users"]
    assert found["is_good"] and "refuses root" in found["says"]
    rules = Path(f"/etc/sudoers.d/parkade-{town.agent}")
    rule = rules.read_text()
    rules.unlink()
    try:
        found = examined(cluster, town)["users"]
        assert not found["is_good"] and "parkade pool launcher" in found["says"]
    finally:
        rules.write_text(rule)
        rules.chmod(0o440)


def test_the_doctor_submits_through_the_launcher_with_the_environment_that_it_has(
    cluster: Slurm, town: Town
) -> None:
    found = examined(cluster, town)["submission"]
    assert found["is_good"] and "by the launcher" in found["says"], found
    wrong = examined(cluster, town, "partition=nosuch")["submission"]
    assert not wrong["is_good"] and "partition" in wrong["says"], wrong
    conf = town.into / "launcher.conf"
    kept = conf.read_text()
    conf.write_text("".join(it for it in kept.splitlines(True) if not it.startswith("slurm_conf")))
    try:
        found = examined(cluster, town)["submission"]
    finally:
        conf.write_text(kept)
    assert not found["is_good"], found
    assert f"parkade pool launcher --conf {cluster.folder}/slurm.conf" in found["says"]


def test_a_launcher_finds_slurms_commands_where_root_said(
    cluster: Slurm, town: Town, folder: Path
) -> None:
    place = folder / "opt"
    place.mkdir()
    (place / "sbatch").write_text("#!/bin/sh\necho found $SLURM_CONF\n")
    for path in (place, place / "sbatch"):
        path.chmod(0o755)
    conf = town.into / "launcher.conf"
    kept = conf.read_text()
    try:
        town.install(cluster.folder / "slurm.conf", "--path", str(place))
        done = town.launch("test", town.ann)
    finally:
        conf.write_text(kept)
    assert done.stdout == f"found {cluster.folder}/slurm.conf\n", done.stderr


def test_a_launcher_without_slurms_configuration_is_told_to_the_user_and_mended_while_it_waits(
    market: UsersMarket, town: Town
) -> None:
    conf = town.into / "launcher.conf"
    kept = conf.read_text()
    conf.write_text("".join(it for it in kept.splitlines(True) if not it.startswith("slurm_conf")))
    try:
        workload = market.work_of(town.ann, "exit 0")
        path = f"/workloads/{workload}/why"
        until(lambda: "configuration source" in str(market.served.ask("GET", path)), market.said)
    finally:
        conf.write_text(kept)
    market.wait_for(workload, "succeeded")
