"""People of a Slurm cluster: an agent without root, members of its launcher's group, strangers."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

import parkade
from tests.service.served import Served
from tests.service.slurm_market import SlurmMarket
from tests.slurm_cluster import Slurm, missing
from tests.unix_people import as_user, group, join, people
from tests.unix_people import missing as missing_for_people
from tests.waits import until

SOURCE = Path(parkade.__file__).parents[1]
PACKAGES = Path(msgspec.__file__).parents[1]
INTERPRETER = Path("/usr/bin/python3")
PLAIN = (
    "umask; touch $PARKADE_CHECKPOINT_DIR/mine; mkdir -p $PARKADE_CHECKPOINT_DIR/deep/er; "
    "echo secret > $PARKADE_CHECKPOINT_DIR/deep/er/note; id -un; "
    "trap 'exit 0' TERM; while :; do sleep 0.05; done"
)


def lacking(*, with_accounting: bool = False) -> list[str]:
    """What keeps these tests from running here."""
    found = missing(with_accounting=with_accounting) or missing_for_people()
    asked = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]!r})"
    if not INTERPRETER.exists() or subprocess.run([INTERPRETER, "-c", asked]).returncode:
        found.append(f"{INTERPRETER} of this Python's version, which every user may run")
    return found


class Town:
    """People of a cluster: the agent's account, two members of the launcher's group, a stranger."""

    def __init__(self, folder: Path, names: list[str], group: str) -> None:
        self.agent, self.ann, self.bob, self.eve = names
        self.group = group
        self.folder = folder
        self.into = folder / "root"
        self.log = folder / "launcher.log"
        self.python = folder / "python"
        words = f'exec env PYTHONPATH="$PYTHONPATH:{PACKAGES}" {INTERPRETER} "$@"'
        self.python.write_text(f"#!/bin/sh\n{words}\n")
        self.python.chmod(0o755)

    @property
    def launcher(self) -> Path:
        return self.into / "launcher"

    def install(self, conf: Path, *more: str) -> None:
        """By the one command that is printed, run as root."""
        printed = subprocess.run(
            [sys.executable, "-m", "parkade.cli", "pool", "launcher", "--agent", self.agent,
             "--group", self.group, "--into", str(self.into), "--conf", str(conf), *more],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        subprocess.run(printed.stdout, shell=True, check=True)
        said = self.into / "launcher.conf"
        said.write_text(said.read_text().replace("/var/log/parkade-launcher.log", str(self.log)))
        for name in (self.ann, self.bob):
            join(name, self.group)

    def launch(self, *words: str, by: str | None = None) -> subprocess.CompletedProcess[str]:
        """What the agent's account gets of the launcher."""
        return as_user(by or self.agent, "sudo", "-n", str(self.launcher), *words)

    def audited(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def town_of(folder: Path) -> Iterator[Town]:
    with people("agent", "ann", "bob", "eve") as names, group() as name:
        made = Town(folder, names, name)
        try:
            yield made
        finally:
            Path(f"/etc/sudoers.d/parkade-{made.agent}").unlink(missing_ok=True)


class UsersMarket(SlurmMarket):
    """Its agent is an account of no rights beside the launcher."""

    town: Town

    def start_agent(self, *options: str) -> None:
        town = self.town
        data = self.folder / "agent"
        if not data.exists():
            data.mkdir()
            for path in (data, self.folder / "agent.token"):
                os.chown(path, *self.ids(town.agent))
        given = (f"python={town.python}", f"launcher={town.launcher}", *options)
        words = [
            "setpriv", f"--reuid={town.agent}", f"--regid={town.agent}", "--init-groups",
            str(town.python), "-m", "parkade.service.agent", "--pool", self.pool,
            "--server", f"http://127.0.0.1:{self.served.port}",
            "--token-file", str(self.folder / "agent.token"),
            "--data-folder", str(data), "--engine", "slurm",
            *(word for option in given for word in ("--engine-option", option)),
        ]  # fmt: skip
        environment = {**self.cluster.environment, "PYTHONPATH": str(SOURCE), "HOME": "/"}
        with self.log.open("ab") as log:
            self.agent = subprocess.Popen(words, env=environment, stdout=log, stderr=log, cwd="/")

    @staticmethod
    def ids(user: str) -> tuple[int, int]:
        found = subprocess.run(["id", "-u", user], capture_output=True, text=True, check=True)
        return int(found.stdout), int(found.stdout)

    def work_of(self, user: str, command: str = PLAIN, **keys: Any) -> str:
        """A bid of that person."""
        own = Served(self.folder)
        own.port = self.served.port
        own.token = self.served.ask("POST", "/tokens", {"user": user})["secret"]
        spec = {"name": "g", "command": command, "workdir": "/", "gpus": 1,
                "limit_price": "9", **keys}  # fmt: skip
        return str(own.ask("POST", "/workloads", {"org": "lab", "spec": spec})["workload"])

    def home(self, workload: str) -> Path:
        (found,) = (self.folder / "agent" / "engine" / "orgs" / "lab" / "workloads").glob(workload)
        return found

    def wait_for_output(self, workload: str, word: str) -> None:
        path = f"/workloads/{workload}/logs"
        until(lambda: word in self.served.ask("GET", path), self.said)

    def job_of(self, workload: str) -> str:
        lines = self.cluster.run("squeue", "-h", "-o", "%A %j").splitlines()
        (found,) = [it.split()[0] for it in lines if f"-{workload}." in it]
        return found


def examined(cluster: Slurm, town: Town, *options: str) -> dict[str, Any]:
    """What the doctor says as the agent's account, by check."""
    given = (f"conf={cluster.folder}/slurm.conf", f"launcher={town.launcher}", *options)
    words = [str(town.python), "-m", "parkade.cli", "pool", "doctor", "--json"]
    words += [word for option in given for word in ("--engine-option", option)]
    done = as_user(town.agent, "env", f"PYTHONPATH={SOURCE}", *words)
    return {it["check"]: it for it in json.loads(done.stdout)["checks"]}
