"""What a test cluster's `slurm.conf` and `gres.conf` say: everything lies in one folder.

A fake GPU is a link to /dev/null: Slurm wants a device file, and takes the GPU's number from its
name. The nodes claim processors and memory that this machine has not.
"""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"
CPUS_PER_GPU = 4
MEMORY_PER_GPU_MB = 16_000

SETTINGS = {
    "ClusterName": "parkade",
    "SlurmUser": "root",
    "SlurmdUser": "root",
    "AuthType": "auth/munge",
    "CredType": "cred/munge",
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "JobAcctGatherType": "jobacct_gather/none",
    "SwitchType": "switch/none",
    "MpiDefault": "none",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_Core_Memory",
    "DefMemPerCPU": "1000",
    "GresTypes": "gpu",
    "SlurmdParameters": "config_overrides",
    "SchedulerType": "sched/backfill",
    "SchedulerParameters": (
        "sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0"
    ),
    "ReturnToService": "1",
    "SlurmdTimeout": "10",
    "SlurmctldTimeout": "10",
    "MessageTimeout": "10",
    "KillWait": "2",
    "MinJobAge": "300",
    "DebugFlags": "NO_CONF_HASH",
}
"""What each cluster has, unless a test says otherwise."""

PARTITION = "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP"


def write(
    folder: Path,
    ports: Mapping[str, int],
    *,
    gpus: int,
    settings: Mapping[str, str],
    partitions: Sequence[str],
    beyond: Mapping[str, tuple[str, str]],
) -> None:
    """Makes the folder's parts; `ports` are the nodes', and `slurmctld`'s. `beyond`: nodes that are
    elsewhere than on loopback, with the address at which they find all others, and their own."""
    nodes = [name for name in ports if name != "slurmctld"]
    for part in ("state", "run", "log", "dev", *(f"spool/{node}" for node in nodes)):
        (folder / part).mkdir(parents=True)
    folder.chmod(0o755)
    near = next(iter(beyond.values()), (LOOPBACK, LOOPBACK))[0]
    address = {node: beyond.get(node, (near, near))[1] for node in nodes}
    said = SETTINGS | places(folder, ports["slurmctld"], near) | dict(settings)
    lines = [f"{key}={value}" for key, value in said.items()]
    lines += [_node(name, ports[name], address[name], gpus=gpus) for name in nodes]
    lines += partitions or (PARTITION,)
    (folder / "slurm.conf").write_text("\n".join(lines) + "\n")
    gres = ["AutoDetect=off"]
    for index in range(gpus):
        (folder / "dev" / f"nvidia{index}").symlink_to("/dev/null")
    if gpus:
        gres.append(f"Name=gpu Type=h100 File={folder}/dev/nvidia[0-{gpus - 1}]")
    (folder / "gres.conf").write_text("\n".join(gres) + "\n")


def places(folder: Path, port: int, address: str = LOOPBACK) -> dict[str, str]:
    """The settings that name files and addresses."""
    return {
        "SlurmctldHost": f"{socket.gethostname()}({address})",
        "SlurmctldPort": str(port),
        "AuthInfo": f"socket={folder}/munge.sock,cred_expire=30",
        "StateSaveLocation": f"{folder}/state",
        "SlurmdSpoolDir": f"{folder}/spool/%n",
        "SlurmctldPidFile": f"{folder}/run/slurmctld.pid",
        "SlurmdPidFile": f"{folder}/run/%n.pid",
        "SlurmctldLogFile": f"{folder}/log/slurmctld.log",
        "SlurmdLogFile": f"{folder}/log/%n.log",
    }


def _node(name: str, port: int, address: str, *, gpus: int) -> str:
    cpus = max(2, gpus * CPUS_PER_GPU)
    of_gpus = f" Gres=gpu:h100:{gpus}" if gpus else ""
    memory = max(1, gpus) * MEMORY_PER_GPU_MB
    return (
        f"NodeName={name} NodeHostname=localhost NodeAddr={address} Port={port} CPUs={cpus}"
        f" RealMemory={memory}{of_gpus} State=UNKNOWN"
    )
