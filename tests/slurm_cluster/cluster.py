"""One cluster: started, asked, broken by tests, and taken down."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.namespaces import Cable
from tests.slurm_cluster import accounting, configuration
from tests.slurm_cluster.daemons import Daemon, end_marked
from tests.slurm_cluster.ports import free_ports
from tests.waits import until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "scontrol", "sbatch", "srun", "setpriv")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def missing(*, with_accounting: bool = False) -> list[str]:
    """The programs that this machine lacks; root alone may start them."""
    wanted = (*PROGRAMS, *(accounting.PROGRAMS if with_accounting else ()))
    lacking = [name for name in wanted if shutil.which(name, path=PATH) is None]
    return lacking or ([] if os.geteuid() == 0 else ["root"])


class Slurm:
    """A running cluster; `environment` is what its commands need."""

    def __init__(self, folder: Path, nodes: Sequence[str], beyond: Mapping[str, Cable]) -> None:
        self.folder = folder
        self.nodes = tuple(nodes)
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}
        self.munged = self._daemon("munged", "munged", "-F", "--force", *_munge_files(folder))
        self.controller = self._daemon("slurmctld", "slurmctld", "-D")
        enter = {node: cable.enter for node, cable in beyond.items()}
        self.daemons = {
            node: self._daemon(node, *enter.get(node, ()), "slurmd", "-D", "-N", node)
            for node in nodes
        }
        self.of_accounting: list[Daemon] = []

    def run(self, *words: str, timeout_s: float = 120) -> str:
        """What a command printed; fails the test where it failed."""
        done = subprocess.run(
            words,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}{done.stdout}"
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """Submits a batch job of these lines; its id. Output goes to `NAME.out` in the folder."""
        file = self.folder / "job.sh"
        file.write_text(f"#!/bin/bash\n{script}\n")
        out = f"--output={self.folder}/%x.out"
        return self.run("sbatch", "--parsable", out, *options, str(file)).partition(";")[0]

    def job_state(self, job: str) -> str:
        """As `RUNNING`, `COMPLETED`."""
        line = self.run("scontrol", "--oneliner", "show", "job", job)
        return line.partition("JobState=")[2].partition(" ")[0]

    def state(self, node: str) -> str:
        """As `idle`, `drained`, `down*`."""
        return self.run("sinfo", "-h", "-N", "-n", node, "-o", "%T").partition("\n")[0]

    def reason(self, node: str) -> str:
        """Why it is drained or down; `none` where it is not."""
        return self.run("sinfo", "-h", "-N", "-n", node, "-o", "%E").partition("\n")[0]

    def resume(self, node: str) -> None:
        """Ends its drain. A node that was down may be back by itself between a look and the
        order, which is refused then."""

        def serves() -> bool:
            if not self.state(node).startswith(("drain", "down")):
                return True
            self._succeeds("scontrol", "update", f"NodeName={node}", "State=RESUME")
            return False

        until(serves, self.log)

    def stop_node(self, node: str) -> None:
        """Its daemon is gone without a word; what it started lives on."""
        self.daemons[node].stop(signal.SIGKILL)

    def start_node(self, node: str) -> None:
        """Its daemon is back."""
        self.daemons[node].start()

    def stop_controller(self) -> None:
        """The controller is killed: what it did not save is lost."""
        self.controller.stop(signal.SIGKILL)

    def start_controller(self) -> None:
        """The controller is back, and answers."""
        self.controller.start()
        until(lambda: self._succeeds("scontrol", "ping"))

    def start(self, *, with_accounting: int | None) -> None:
        """Everything, until each node is idle; `with_accounting` is slurmdbd's port."""
        self.munged.start()
        until((self.folder / "munge.sock").exists)
        if with_accounting is not None:
            self.of_accounting = accounting.start(self.folder, with_accounting, self.environment)
        self.start_controller()
        for daemon in self.daemons.values():
            daemon.start()
        until(self.is_idle, self.log)

    def end(self) -> None:
        """Takes it down; whatever its jobs left behind goes too."""
        for daemon in self.daemons.values():
            daemon.stop(signal.SIGKILL)
        for daemon in (self.controller, *self.of_accounting, self.munged):
            with suppress(ProcessLookupError):
                daemon.thaw() if daemon.child is not None else None
            daemon.stop()
        end_marked(f"{self.folder}/")

    def is_idle(self) -> bool:
        """Whether each node is up and has no job."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            lines = self.run("sinfo", "-h", "-N", "-o", "%N %T").splitlines()
            return {f"{node} idle" for node in self.nodes} == set(lines)
        return False

    def log(self) -> str:
        """The end of the controller's log, for a test that waited in vain."""
        return (self.folder / "log" / "slurmctld.log").read_text()[-4_000:]

    def _daemon(self, name: str, *words: str) -> Daemon:
        log = self.folder / "log" / f"{name}.out"
        return Daemon(*words, environment=self.environment, log=log)

    def _succeeds(self, *words: str) -> bool:
        with suppress(AssertionError, subprocess.TimeoutExpired):
            self.run(*words, timeout_s=30)
            return True
        return False


@contextmanager
def slurm(
    folder: Path,
    *,
    nodes: int | Sequence[str] = 3,
    gpus: int = 0,
    with_accounting: bool = False,
    settings: Mapping[str, str] | None = None,
    partitions: Sequence[str] = (),
    beyond: Mapping[str, Cable] | None = None,
) -> Iterator[Slurm]:
    """A cluster that is up, and is taken down at the end. `nodes`: their names, or how many
    (`node1`, `node2`, …); `gpus` of each; `settings` of slurm.conf beside or instead of ours.
    `beyond`: nodes at the far end of a cable; all of them of one."""
    names = [f"node{number}" for number in range(1, nodes + 1)] if isinstance(nodes, int) else nodes
    cluster, of_accounting = prepared(
        folder,
        names,
        gpus=gpus,
        with_accounting=with_accounting,
        settings=settings,
        partitions=partitions,
        beyond=beyond,
    )
    try:
        cluster.start(with_accounting=of_accounting if with_accounting else None)
        yield cluster
    finally:
        cluster.end()


def prepared(
    folder: Path,
    names: Sequence[str],
    *,
    gpus: int,
    with_accounting: bool = False,
    settings: Mapping[str, str] | None = None,
    partitions: Sequence[str] = (),
    beyond: Mapping[str, Cable] | None = None,
) -> tuple[Slurm, int]:
    """A cluster whose files are there and of which nothing runs, and the port of its slurmdbd."""
    of_controller, of_accounting, *of_nodes = free_ports(2 + len(names))
    of_database = accounting.settings(folder, of_accounting) if with_accounting else {}
    configuration.write(
        folder,
        {"slurmctld": of_controller, **dict(zip(names, of_nodes, strict=True))},
        gpus=gpus,
        settings=of_database | dict(settings or {}),
        partitions=partitions,
        beyond={node: (it.near, it.far) for node, it in (beyond or {}).items()},
    )
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    return Slurm(folder, names, beyond or {}), of_accounting


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder whose path any user may walk, as jobs of several Unix users need it."""
    with tempfile.TemporaryDirectory(prefix="parkade-slurm-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _munge_files(folder: Path) -> list[str]:
    files = {
        "key-file": "munge.key",
        "socket": "munge.sock",
        "pid-file": "run/munged.pid",
        "seed-file": "munge.seed",
        "log-file": "log/munged.log",
    }
    return [f"--{option}={folder}/{file}" for option, file in files.items()]
