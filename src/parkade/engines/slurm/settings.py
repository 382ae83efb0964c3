"""What an operator says of a Slurm pool."""

import msgspec


class SlurmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine of a Slurm cluster.

    `partition`, `account`, `qos`, `reservation` are what our jobs are submitted with; None: as
    Slurm chooses. `conf`: the path of slurm.conf, None where commands find it. `python`: the
    interpreter that has Parkade on the nodes, None for the agent's own path. `timeout_s`: of every
    command. `cpus_per_gpu` and `memory_per_gpu_mb`: None for the GPUs' share of their node.
    `root_workloads`: where the agent is root, run workloads of users without a Unix name as root;
    else they are refused. `launcher`: the path of root's launcher, by which an agent that is not
    root runs each workload as its user; None: all run as the agent. `owners`: whose job of the
    queue is whose, as in `account:acme=acme,qos:vision=lab`: KIND:VALUE=RESERVATION. `stands_in`: a
    partner's nodes outside the pool for which nodes of its reservation stand in when they fail, as
    `n[1-4]=acme`. `container`: the command by which a rank runs in an image, as in `apptainer exec
    --nv {image}`; empty: none.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    reservation: str | None = None
    conf: str | None = None
    python: str | None = None
    timeout_s: int = 20
    cpus_per_gpu: int | None = None
    memory_per_gpu_mb: int | None = None
    root_workloads: bool = False
    launcher: str | None = None
    owners: str = ""
    container: str = ""
    stands_in: str = ""
