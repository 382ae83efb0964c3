"""Accounting for a test cluster: a database and slurmdbd, so that `sacct` and QOS are there."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.slurm_cluster.daemons import Daemon
from tests.slurm_cluster.ports import free_port
from tests.waits import until

PROGRAMS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb", "sacctmgr", "sacct")
USER, PASSWORD, DATABASE = "slurm", "pw", "slurm_acct_db"


def settings(folder: Path, port: int) -> dict[str, str]:
    """What `slurm.conf` says where there is accounting; `port` is slurmdbd's."""
    return {
        "AccountingStorageType": "accounting_storage/slurmdbd",
        "AccountingStorageHost": "127.0.0.1",
        "AccountingStoragePort": str(port),
        "AccountingStoragePass": f"{folder}/munge.sock",
        "AccountingStorageTRES": "gres/gpu,gres/gpu:h100",
    }


def start(folder: Path, port: int, environment: Mapping[str, str]) -> list[Daemon]:
    """Starts both and waits for them; the order in which they are to be ended."""
    database_port = free_port()
    database = _database(folder, database_port, environment)
    (folder / "slurmdbd.conf").write_text(_configuration(folder, port, database_port))
    (folder / "slurmdbd.conf").chmod(0o600)
    slurmdbd = Daemon(
        "slurmdbd", "-D", environment=environment, log=folder / "log" / "slurmdbd.out"
    )
    slurmdbd.start()
    until(lambda: _answers(environment, "sacctmgr", "-n", "show", "cluster"))
    return [slurmdbd, database]


def _database(folder: Path, port: int, environment: Mapping[str, str]) -> Daemon:
    data, socket = folder / "database", folder / "database.sock"
    installs = (
        "mariadb-install-db", "--no-defaults", "--user=root", f"--datadir={data}",
        "--auth-root-authentication-method=normal", "--skip-test-db",
    )  # fmt: skip
    done = subprocess.run(installs, env=environment, capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    database = Daemon(
        "mariadbd", "--no-defaults", "--user=root", f"--datadir={data}", f"--socket={socket}",
        "--bind-address=127.0.0.1", f"--port={port}", f"--pid-file={folder}/run/mariadbd.pid",
        "--innodb-buffer-pool-size=128M", "--innodb-lock-wait-timeout=900",
        "--innodb-flush-log-at-trx-commit=0",
        environment=environment,
        log=folder / "log" / "mariadbd.out",
    )  # fmt: skip
    database.start()
    asks = ("mariadb", "--no-defaults", "-uroot", f"-S{socket}", "-e")
    until(lambda: _answers(environment, *asks, "select 1"))
    make = f"create database {DATABASE};"
    for host in ("localhost", "127.0.0.1"):
        make += f"create user '{USER}'@'{host}' identified by '{PASSWORD}';"
        make += f"grant all on {DATABASE}.* to '{USER}'@'{host}';"
    assert _answers(environment, *asks, make)
    return database


def _configuration(folder: Path, port: int, database_port: int) -> str:
    return f"""AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser={USER}
StoragePass={PASSWORD}
StorageLoc={DATABASE}
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
"""


def _answers(environment: Mapping[str, str], *words: str) -> bool:
    try:
        done = subprocess.run(words, env=environment, capture_output=True, check=False, timeout=30)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
