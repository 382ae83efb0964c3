"""Starts a gang whole or not at all: every rank stands ready before any runs its command.

Each rank is forked, takes its own session, its user's rights, environment, folder and output, says
it is ready, and waits at a barrier. Only when all are ready does the keeper let them through; if
the keeper dies before that, they leave. Everything of the user's is touched with the user's rights.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn, Self

import msgspec

from parkade.engines.local import cgroups, environment, output, report
from parkade.engines.local.records import Launch

SHELL = "/bin/bash"
READY = b"r"
GO = b"g"
PREPARE_S = 30.0
LOOK_MS = 100
REASON_BYTES = 1024


class StartingRank(msgspec.Struct, kw_only=True):
    """A forked rank; `report` is where it says that it is ready, or why it is not."""

    index: int
    pid: int
    report: int


class StartingGang:
    """The ranks between fork and command."""

    def __init__(self, ranks: Sequence[StartingRank], open_gate: int) -> None:
        self.ranks = ranks
        self._open_gate = open_gate

    @classmethod
    def fork(cls, launch: Launch, folder: Path, indexes: Iterable[int] | None = None) -> Self:
        """A process for each rank of this machine, or those of these numbers; all wait at one
        gate."""
        gate, open_gate = os.pipe()
        ranks: list[StartingRank] = []
        for index in range(len(launch.attempt.ranks)) if indexes is None else indexes:
            report, write_report = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(open_gate)
                _become(launch, folder, index, gate=gate, report=write_report)
            os.close(write_report)
            ranks.append(StartingRank(index=index, pid=pid, report=report))
        os.close(gate)
        return cls(ranks, open_gate)

    def wait_ready(self, why_not: Callable[[], str | None]) -> str | None:
        """None once every rank stands at the barrier, else why one does not. `why_not` is asked
        every LOOK_MS: the user can make its own rank wait, and what is told ends the wait."""
        for rank, found in self._answers(why_not):
            if found is None:
                return f"rank {rank.index}: not ready within {PREPARE_S:.0f} s"
            if found != READY:
                return f"rank {rank.index}: {found.decode(errors='replace') or 'died early'}"
        return None

    def let_go(self, meanwhile: Callable[[], None]) -> str | None:
        """Lets all through at once; None when each runs its command, else why one does not.
        `meanwhile` is called every LOOK_MS: the user can hold its own rank up here as well."""
        os.write(self._open_gate, GO * len(self.ranks))
        os.close(self._open_gate)
        troubles: dict[int, str] = {}
        for rank, found in self._answers(meanwhile):
            os.close(rank.report)
            if found is None:
                troubles[rank.index] = f"its command was not run within {PREPARE_S:.0f} s"
            elif found:
                troubles[rank.index] = found.decode(errors="replace")
        first = min(troubles, default=None)
        return None if first is None else f"rank {first}: {troubles[first]}"

    def _answers(
        self, meanwhile: Callable[[], str | None]
    ) -> Iterator[tuple[StartingRank, bytes | None]]:
        """What each rank reports next, as it comes; None for those that do not in PREPARE_S. What
        `meanwhile` tells stands for all that is not reported yet."""
        ends_at = time.monotonic() + PREPARE_S
        left = {rank.report: rank for rank in self.ranks}
        poller = select.poll()
        for pipe in left:
            poller.register(pipe, select.POLLIN)
        while left:
            ready = poller.poll(LOOK_MS)
            for pipe, _ in ready:
                poller.unregister(pipe)
                yield left.pop(pipe), os.read(pipe, REASON_BYTES)
            if left and not ready:
                why = meanwhile()
                if why is not None:
                    yield from ((rank, why.encode()) for rank in left.values())
                    return
                if time.monotonic() >= ends_at:
                    yield from ((rank, None) for rank in left.values())
                    return

    def dismiss(self) -> None:
        """Sends away those at the barrier, and ends those that never came to it."""
        os.close(self._open_gate)
        for rank in self.ranks:
            os.close(rank.report)
            os.kill(rank.pid, signal.SIGKILL)


def rank_words(launch: Launch, command: str) -> list[str]:
    """What a rank runs, in its container if it has one."""
    return [*launch.container, SHELL, "-c", command]


def run_beside(launch: Launch, folder: Path, index: int, command: str) -> int:
    """Runs another command in a rank's place: its user, folder, environment and output; its pid."""
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        os.setsid()
        reset_signals()
        cgroups.join(launch.cgroup)
        _take_output(folder, index)
        take_rights(launch)
        variables = prepare(launch, folder, index)
        words = rank_words(launch, command)
        os.execvpe(words[0], words, variables)
    except (OSError, environment.BadEnvFile, ValueError) as error:
        os.write(2, f"save command not run: {type(error).__name__}\n".encode())
    finally:
        os._exit(127)


def _become(launch: Launch, folder: Path, index: int, *, gate: int, report: int) -> NoReturn:
    """The life of the forked child up to its command; never returns."""
    try:
        os.setsid()
        reset_signals()
        cgroups.join(launch.cgroup)
        _take_output(folder, index)
        take_rights(launch)
        variables = prepare(launch, folder, index)
        os.write(report, READY)
        if os.read(gate, 1) == GO:
            words = rank_words(launch, launch.attempt.command)
            os.execvpe(words[0], words, variables)
    except OSError as error:
        about = f": {error.filename}" if error.filename else ""
        os.write(report, f"{error.strerror}{about}".encode()[:REASON_BYTES])
    except (environment.BadEnvFile, ValueError) as error:
        # A ValueError's text may quote a value; only our own message is safe to pass on.
        text = str(error) if isinstance(error, environment.BadEnvFile) else "bad environment"
        os.write(report, text.encode()[:REASON_BYTES])
    finally:
        os._exit(127)


def reset_signals() -> None:
    """As a program expects them at its start."""
    for number in signal.valid_signals():
        if signal.getsignal(number) not in (signal.SIG_DFL, None):
            signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _take_output(folder: Path, index: int) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    pipe = os.open(output.pipe_path(folder, index), os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(pipe, 1)
    os.dup2(pipe, 2)


def take_rights(launch: Launch) -> None:
    """From here on this process is the workload's user."""
    account = launch.account
    os.umask(0o022)
    if launch.is_other_user:
        os.initgroups(account.name, account.gid)
        os.setgid(account.gid)
        os.setuid(account.uid)
        assert os.getuid() == os.geteuid() == account.uid != 0


def prepare(launch: Launch, folder: Path, index: int) -> dict[str, str]:
    """Goes to the workload's folder; the environment of the rank. With the user's rights."""
    attempt, home = launch.attempt, launch.account.home
    os.chdir(environment.at_home(attempt.workdir, home))
    if not os.access(launch.checkpoint_dir, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(13, "checkpoint folder cannot be used", launch.checkpoint_dir)
    secret = {}
    if attempt.env_file is not None:
        secret = environment.read_env_file(environment.at_home(attempt.env_file, home))
    variables = environment.base(launch) | secret
    variables |= environment.rank_variables(launch, folder, index)
    return variables | environment.resume_variables(report.read(Path(launch.checkpoint_dir)))
