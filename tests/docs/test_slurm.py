"""The page names each command of Slurm that a running agent, and what it starts, gives, and how all
that was made for a pool is undone."""

import re

import pytest

from parkade.cli.pools import RELEASE_BY
from parkade.engines.slurm.installing import install_command
from parkade.service.joining import propose
from tests.docs.pages import ROOT
from tests.service.test_joining import found_for

ENGINE = ROOT / "src" / "parkade" / "engines" / "slurm"
# What `pool doctor` and `agent join` ask; the page has tables of its own for both.
BEFORE_A_POOL = re.compile(r"doctor|admitting|finding")
PROGRAMS = "sacct|sacctmgr|sbatch|scancel|scontrol|sinfo|squeue|srun"


def section(name: str) -> str:
    page = (ROOT / "docs" / "slurm.md").read_text("utf-8")
    return page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_each_command_that_is_sent_to_slurm_is_named() -> None:
    named = set(re.findall(rf"`({PROGRAMS})\b", section("What is sent to Slurm")))
    sent = {
        program
        for path in ENGINE.glob("*.py")
        if not BEFORE_A_POOL.search(path.stem)
        for program in re.findall(rf'"({PROGRAMS})"', path.read_text("utf-8"))
    }
    assert sent, "the engine gives commands"
    assert named == sent


def test_what_root_installs_for_a_launcher_is_named_where_it_is_undone() -> None:
    undo = section("Undo")
    folder = "/usr/local/libexec/parkade"
    words = install_command(
        agent="AGENT", group="parkade-users", folder=folder, conf=None, path=None
    )
    made = set(re.findall(r"(?<=log=)\S+|/etc/sudoers\.d/[\w-]+|(?<=groupadd --system )\S+", words))
    assert made == {
        "/var/log/parkade-launcher.log",
        "/etc/sudoers.d/parkade-AGENT",
        "parkade-users;",
    }
    for path in (*(it.strip(";") for it in made), folder):
        assert path in undo


def test_each_kind_of_command_that_join_proposes_is_undone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of the pool, of Slurm's accounting and of the launcher's group; orgs and users stay the
    marketplace's."""
    script = propose(found_for(monkeypatch, agent="bob"), pool="box", site="here").files["join.sh"]
    undone_by = {
        "parkade pool create": "parkade pool close",
        "parkade pool lend": "parkade pool lend",
        "parkade pool fence": "parkade pool fence POOL --off",
        "parkade reserve": "parkade end",
        "parkade agent run": "Stop the agent",
        "sacctmgr -i add account": "sacctmgr delete account",
        "sacctmgr -i add user": "sacctmgr delete user",
        "sacctmgr -i modify user": "AdminLevel=None",
        "usermod -aG": "groupdel",
    }
    not_of_a_pool = ("parkade org", "parkade user", "parkade lend ", "parkade pool a")
    commands = [line.removeprefix("# ") for line in script.splitlines()]
    commands = [it for it in commands if re.match(r"parkade \w|sacctmgr|usermod", it)]
    undo = section("Undo")
    met = set()
    for command in commands:
        if command.startswith(not_of_a_pool):
            continue
        (way,) = [how for made, how in undone_by.items() if command.startswith(made)]
        assert way in undo, command
        met.add(way)
    assert met == set(undone_by.values())


def test_the_command_that_ends_a_fence_is_the_one_that_pool_fence_prints() -> None:
    """On a line of its own that a terminal of 80 columns does not break."""
    lines = section("Fence it, before anything but spot is sold").splitlines()
    assert RELEASE_BY.format(pool="POOL") in lines
    assert len(RELEASE_BY.format(pool="p" * 24)) <= 80
