"""Nodes of a cluster whose daemon is believed no longer, or believes the controller no longer."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.slurm_cluster.cluster import Slurm
from tests.slurm_cluster.daemons import Daemon
from tests.waits import until


@contextmanager
def another_daemon(cluster: Slurm, node: str, *, was: str, instead: str) -> Iterator[Daemon]:
    """The node's daemon runs with a slurm.conf that differs in one text; what it had started lives
    on."""
    folder = cluster.folder / f"another-{node}"
    folder.mkdir(exist_ok=True)
    conf = (cluster.folder / "slurm.conf").read_text()
    assert was in conf
    (folder / "slurm.conf").write_text(conf.replace(was, instead))
    shutil.copy(cluster.folder / "gres.conf", folder / "gres.conf")
    daemon = Daemon(
        "slurmd", "-D", "-N", node,
        environment={**cluster.environment, "SLURM_CONF": str(folder / "slurm.conf")},
        log=folder / "slurmd.out",
    )  # fmt: skip
    cluster.stop_node(node)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop(signal.SIGKILL)
        cluster.start_node(node)


@contextmanager
def stranger_to_the_key(cluster: Slurm, node: str) -> Iterator[None]:
    """The node's daemon runs beside a Munge of another key, as after a key was revoked there."""
    folder = cluster.folder / f"stranger-{node}"
    folder.mkdir(exist_ok=True)
    munged, socket = _munge_of_another_key(cluster, folder)
    ours = f"socket={cluster.folder}/munge.sock"
    try:
        with another_daemon(cluster, node, was=ours, instead=f"socket={socket}"):
            yield
    finally:
        munged.stop()


@contextmanager
def no_credential_counts(cluster: Slurm, node: str) -> Iterator[None]:
    """The node answers and takes part, and refuses every credential that the controller signed."""
    with another_daemon(cluster, node, was="CredType=cred/munge", instead="CredType=cred/none"):
        yield


def _munge_of_another_key(cluster: Slurm, folder: Path) -> tuple[Daemon, Path]:
    key, socket = folder / "munge.key", folder / "munge.sock"
    key.unlink(missing_ok=True)
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    munged = Daemon(
        "munged", "-F", "--force", f"--key-file={key}", f"--socket={socket}",
        f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed",
        f"--log-file={folder}/munged.log",
        environment=cluster.environment,
        log=folder / "munged.out",
    )  # fmt: skip
    munged.start()
    until(socket.exists)
    return munged, socket
