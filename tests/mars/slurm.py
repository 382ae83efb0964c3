"""A real Slurm of a few nodes on loopback: munged, slurmctld and one slurmd a node, in a folder."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.waits import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "scontrol")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
CONF = """
ClusterName=parkade
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=1
SlurmdTimeout=10
MessageTimeout=10
DebugFlags=NO_CONF_HASH
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """The programs that this machine lacks; root alone may start them."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return lacking or ([] if os.geteuid() == 0 else ["root"])


def free_port() -> int:
    """A port of loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Slurm:
    """A running cluster; `environment` is what its commands need."""

    def __init__(self, folder: Path, nodes: tuple[str, ...]) -> None:
        self.folder = folder
        self.nodes = nodes
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}

    def run(self, *words: str) -> str:
        """What a command printed; fails the test where it failed."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def state(self, node: str) -> str:
        """As `idle`, `drained`, `down*`."""
        return self.run("sinfo", "-h", "-N", "-n", node, "-o", "%T")

    def reason(self, node: str) -> str:
        """Why it is drained or down; `none` where it is not."""
        return self.run("sinfo", "-h", "-N", "-n", node, "-o", "%E")

    def stop_node(self, node: str) -> None:
        """Its daemon is gone without a word."""
        os.kill(_process(self.folder / "run" / f"{node}.pid"), signal.SIGKILL)


@contextmanager
def slurm(folder: Path, *, nodes: int = 3) -> Iterator[Slurm]:
    """A cluster that is up, and taken down at the end by its own process ids."""
    names = tuple(f"node{number}" for number in range(1, nodes + 1))
    for part in ("state", "run", "log", *(f"spool/{name}" for name in names)):
        (folder / part).mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    lines = [
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={free_port()} CPUs=2"
        " State=UNKNOWN"
        for name in names
    ]
    conf = CONF.format(
        host=socket.gethostname(), port=free_port(), folder=folder, nodes="\n".join(lines)
    )
    (folder / "slurm.conf").write_text(conf)
    cluster = Slurm(folder, names)
    try:
        munged = [
            f"--{name}={folder}/{file}"
            for name, file in (
                ("key-file", "munge.key"),
                ("socket", "munge.sock"),
                ("pid-file", "run/munged.pid"),
                ("seed-file", "munge.seed"),
                ("log-file", "log/munged.log"),
            )
        ]
        cluster.run("munged", "--force", *munged)
        cluster.run("slurmctld", "-c")
        for name in names:
            cluster.run("slurmd", "-N", name)
        until(lambda: all(_is_idle(cluster, name) for name in names))
        yield cluster
    finally:
        _end(folder / "run")


def _is_idle(cluster: Slurm, node: str) -> bool:
    with suppress(AssertionError, subprocess.TimeoutExpired):
        return cluster.state(node) == "idle"
    return False


def _process(file: Path) -> int:
    return int(file.read_text())


def _end(folder: Path) -> None:
    """Ends each daemon that wrote its process id; the key server last."""
    for file in sorted(folder.glob("*.pid"), key=lambda it: it.stem == "munged"):
        with suppress(OSError, ValueError):
            process = _process(file)
            os.kill(process, signal.SIGTERM)
            until(lambda process=process: not Path(f"/proc/{process}").exists())  # type: ignore[misc]
