"""A real Slurm with accounting and fake GPUs: munged, MariaDB, slurmdbd, slurmctld, many slurmd.

All of it stands in one folder and on loopback, and is taken down by its own process ids. A fake GPU
is a link to /dev/null: Slurm counts it and gives it to jobs, and nothing uses it.
"""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.slurm_cluster.ports import free_port
from tests.waits import until

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
PROGRAMS = (
    "munged", "slurmctld", "slurmd", "slurmdbd", "sacct", "sacctmgr", "mariadbd",
    "mariadb-install-db", "mariadb",
)  # fmt: skip
GPUS = 8
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
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=1
SlurmdTimeout=60
MessageTimeout=30
KillWait=2
MinJobAge=300
DebugFlags=NO_CONF_HASH
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge.sock
AccountingStorageTRES=gres/gpu,gres/gpu:h100
AccountingStorageEnforce=associations,limits,qos
{policy}
{nodes}
PartitionName=main Nodes=ALL Default=YES DefaultTime=60 MaxTime=120 State=UP
"""
DBD_CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql_port}
StorageUser=slurm
StoragePass=recorded
StorageLoc=slurm_acct_db
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
"""
GRANTS = """
create database slurm_acct_db;
create user 'slurm'@'localhost' identified by 'recorded';
create user 'slurm'@'127.0.0.1' identified by 'recorded';
grant all on slurm_acct_db.* to 'slurm'@'localhost';
grant all on slurm_acct_db.* to 'slurm'@'127.0.0.1';
"""


class Recorded:
    """A running cluster; `environment` is what its commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}

    def run(self, *words: str) -> str:
        """What a command printed; fails the test where it failed."""
        done = subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def state(self, node: str) -> str:
        """As `idle`, `mixed`, `down*`."""
        return self.run("sinfo", "-h", "-N", "-n", node, "-o", "%T")


def missing() -> list[str]:
    """The programs that this machine lacks; root alone may start them."""
    lacking = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    return lacking or ([] if os.geteuid() == 0 else ["root"])


@contextmanager
def accounting_cluster(folder: Path, *, nodes: int, policy: str) -> Iterator[Recorded]:
    """A cluster that is up; `policy` are lines of slurm.conf that say who starts when."""
    names = tuple(f"gpu{number:02}" for number in range(1, nodes + 1))
    for part in ("state", "run", "log", "sql", "dev", *(f"spool/{name}" for name in names)):
        (folder / part).mkdir(parents=True)
    folder.chmod(0o755)
    cluster = Recorded(folder)
    ports = {"dbd_port": free_port(), "sql_port": free_port()}
    _write_files(folder, names, policy, ports)
    database = None
    try:
        _start_munge(cluster)
        database = _start_database(cluster, ports["sql_port"])
        cluster.run("slurmdbd")
        until(lambda: _answers(cluster, "sacctmgr", "-n", "show", "cluster"))
        cluster.run("sacctmgr", "-i", "add", "cluster", "parkade")
        cluster.run("slurmctld", "-c")
        for name in names:
            cluster.run("slurmd", "-N", name)
        until(lambda: all(_is_idle(cluster, name) for name in names))
        yield cluster
    finally:
        _end(folder / "run")
        if database is not None:
            database.terminate()
            database.wait(120)


def _write_files(folder: Path, names: tuple[str, ...], policy: str, ports: dict[str, int]) -> None:
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    for number in range(GPUS):
        (folder / "dev" / f"nvidia{number}").symlink_to("/dev/null")
    lines = [
        f"NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={free_port()} CPUs=64"
        f" RealMemory=500000 Gres=gpu:h100:{GPUS} State=UNKNOWN"
        for name in names
    ]
    conf = CONF.format(
        host=socket.gethostname(),
        port=free_port(),
        dbd_port=ports["dbd_port"],
        folder=folder,
        policy=policy,
        nodes="\n".join(lines),
    )
    (folder / "slurm.conf").write_text(conf)
    devices = f"NodeName=gpu[01-{len(names):02}] Name=gpu Type=h100"
    (folder / "gres.conf").write_text(
        f"AutoDetect=off\n{devices} File={folder}/dev/nvidia[0-{GPUS - 1}]\n"
    )
    accounting = folder / "slurmdbd.conf"
    accounting.write_text(DBD_CONF.format(folder=folder, **ports))
    accounting.chmod(0o600)


def _start_munge(cluster: Recorded) -> None:
    files = {
        "key-file": "munge.key",
        "socket": "munge.sock",
        "pid-file": "run/munged.pid",
        "seed-file": "munge.seed",
        "log-file": "log/munged.log",
    }
    words = [f"--{name}={cluster.folder}/{file}" for name, file in files.items()]
    cluster.run("munged", "--force", *words)


def _start_database(cluster: Recorded, port: int) -> subprocess.Popen[bytes]:
    folder = cluster.folder
    data = f"--datadir={folder}/sql/data"
    cluster.run(
        "mariadb-install-db",
        "--no-defaults",
        "--user=root",
        data,
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    )
    log = (folder / "log" / "mariadbd.log").open("wb")
    database = subprocess.Popen(
        [
            "mariadbd",
            "--no-defaults",
            "--user=root",
            data,
            f"--socket={folder}/sql.sock",
            "--bind-address=127.0.0.1",
            f"--port={port}",
            f"--pid-file={folder}/sql/pid",
            "--innodb-buffer-pool-size=64M",
            "--innodb-lock-wait-timeout=900",
        ],
        env=cluster.environment,
        stdout=log,
        stderr=log,
    )
    log.close()
    client = ("mariadb", "--no-defaults", "-uroot", "-S", f"{folder}/sql.sock", "-e")
    until(lambda: _answers(cluster, *client, "select 1"))
    cluster.run(*client, GRANTS)
    return database


def _answers(cluster: Recorded, *words: str) -> bool:
    with suppress(AssertionError, subprocess.TimeoutExpired):
        cluster.run(*words)
        return True
    return False


def _is_idle(cluster: Recorded, node: str) -> bool:
    with suppress(AssertionError, subprocess.TimeoutExpired):
        return cluster.state(node) == "idle"
    return False


def _end(folder: Path) -> None:
    """Ends each daemon that wrote its process id; the key server last."""
    for file in sorted(folder.glob("*.pid"), key=lambda it: it.stem == "munged"):
        with suppress(OSError, ValueError):
            process = int(file.read_text())
            os.kill(process, signal.SIGTERM)
            until(lambda process=process: not Path(f"/proc/{process}").exists())  # type: ignore[misc]
