"""Commands beside the ranks of an attempt: how its keeper begins, ends and tells of them.

For each the engine puts a socket into the folder EXECS and pokes the keeper. The keeper connects,
takes the order with the ends of the command's pipes or of its terminal, and forks: so the command
is a process of the attempt, as a rank is, and nothing of the attempt outlives its kill. The
connection stands as long as the command. Closed by the keeper after it told how the command ended;
closed by the other side, or lost with it, it means that the command has no listener: it is hung
up on, and killed HANG_UP_US later.

What the command began ends with it. Of it counts what descends from it, its Unix session, and what
has its name in the environment.
"""

import contextlib
import fcntl
import os
import select
import signal
import socket
import termios
from pathlib import Path
from typing import NoReturn

import msgspec

from parkade.engines.local import cgroups, environment, processes, records, spawn
from parkade.engines.local.gang import Gang
from parkade.engines.local.processes import Process
from parkade.engines.local.records import Launch
from parkade.engines.local.state_file import StateFile

EXECS = "execs"
SESSION = "PARKADE_SESSION"
MOST_ORDER_BYTES = 196_608
MOST_ENDS = 3
MOST_TAKEN = 16
"""At one look; the next comes soon."""
HANG_UP_US = 2_000_000
MOST_ROUNDS = 10
NOT_FOUND, NOT_RUN = 127, 126


class ExecOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper is to run, and beside which of its ranks. `term` None: without a terminal."""

    session: str
    index: int
    words: tuple[str, ...]
    term: str | None


class ExecWord(msgspec.Struct, frozen=True, kw_only=True):
    """What the keeper tells: that it began, or how it ended. `why`: see `ports.ExecEnd`."""

    has_begun: bool = False
    code: int | None = None
    signal: int | None = None
    why: str = ""


_order = msgspec.json.Decoder(ExecOrder)
_encode = msgspec.json.Encoder().encode


class _Session:
    """`pid` None: its order has not come yet. `kill_us`: it has no listener, and is killed then."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.name = ""
        self.pid: int | None = None
        self.kill_us: int | None = None


class Execs:
    """The sessions of one attempt; `poller` is the keeper's, which hands its events on."""

    def __init__(self, state: StateFile, gang: Gang, poller: "select.poll") -> None:
        self._state = state
        self._folder = state.folder
        self._gang = gang
        self._poller = poller
        self._sessions: dict[int, _Session] = {}

    def has(self, descriptor: int) -> bool:
        """Whether it is the connection of a session."""
        return descriptor in self._sessions

    def look(self, now_us: int, *, is_over: bool) -> None:
        """Takes new ones, kills what is due, and tells of those that ended. `is_over`: the attempt
        is to leave or has."""
        self._connect()
        for descriptor, session in list(self._sessions.items()):
            if session.pid is None:
                continue
            status = self._gang.execs[session.pid]
            if status is not None:
                self._kill(session)
                del self._gang.execs[session.pid]
                why = "the workload ended" if is_over and status < 0 else ""
                code, number = (status, None) if status >= 0 else (None, -status)
                self._tell(session, ExecWord(code=code, signal=number, why=why))
                self._drop(descriptor)
            elif session.kill_us is not None and now_us >= session.kill_us:
                self._kill(session)

    def take(self, descriptor: int, now_us: int, *, why_not: str | None) -> None:
        """What came on a connection: the order, or that the other side has gone. `why_not`: nothing
        is begun any more."""
        session = self._sessions[descriptor]
        try:
            content, ends, _, _ = socket.recv_fds(
                session.connection, MOST_ORDER_BYTES, MOST_ENDS, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        except OSError:
            content, ends = b"", []
        if content and session.pid is None:
            try:
                self._begin(session, _order.decode(content), ends, why_not)
            except (msgspec.DecodeError, OSError) as error:
                self._tell(session, ExecWord(why=f"it was not begun: {error}"))
            finally:
                for end in ends:
                    os.close(end)
        if session.pid is None:
            self._drop(descriptor)
        elif not content:
            self._hang_up(session, now_us)

    def _connect(self) -> None:
        """The socket goes with the first look at it, so that no later keeper begins it again."""
        home = self._folder / EXECS
        try:
            names = sorted(os.listdir(home))[:MOST_TAKEN]  # noqa: PTH208
        except OSError:
            return
        for name in names:
            place = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
            try:
                # A socket's path is short; the folder's may be long.
                connection.connect(f"/proc/self/fd/{place}/{name}")
            except OSError:
                connection.close()
            else:
                self._sessions[connection.fileno()] = _Session(connection)
                self._poller.register(connection, select.POLLIN)
            finally:
                os.close(place)
            with contextlib.suppress(OSError):
                (home / name).unlink()

    def _begin(
        self, session: _Session, order: ExecOrder, ends: list[int], why_not: str | None
    ) -> None:
        launch = self._state.current
        places = min(len(self._gang.ranks), len(launch.attempt.ranks))
        is_there = records.is_present(self._state.now, order.index)
        if not (0 <= order.index < places and is_there):
            why_not = f"there is no rank {order.index} here"
        if why_not is not None:
            self._tell(session, ExecWord(why=why_not))
            return
        pid = os.fork()
        if pid == 0:
            _become(launch, self._folder, order, ends)
        session.pid, session.name = pid, order.session
        self._gang.execs[pid] = None
        self._gang.has_children = True
        self._tell(session, ExecWord(has_begun=True))

    def _hang_up(self, session: _Session, now_us: int) -> None:
        self._poller.unregister(session.connection)
        session.kill_us = now_us + HANG_UP_US
        for process in self._members(session):
            processes.send(process.pid, process.start_ticks, signal.SIGHUP)
            processes.send(process.pid, process.start_ticks, signal.SIGCONT)

    def _kill(self, session: _Session) -> None:
        """In rounds, for what forks while it is looked for."""
        killed: set[tuple[int, int]] = set()
        for _ in range(MOST_ROUNDS):
            found = [it for it in self._members(session) if (it.pid, it.start_ticks) not in killed]
            if not found:
                return
            for process in found:
                processes.send(process.pid, process.start_ticks, signal.SIGKILL)
                killed.add((process.pid, process.start_ticks))

    def _members(self, session: _Session) -> list[Process]:
        assert session.pid is not None, "what has not begun has no processes"
        return self._gang.of_exec(session.pid, f"{SESSION}={session.name}".encode())

    def _tell(self, session: _Session, word: ExecWord) -> None:
        with contextlib.suppress(OSError):
            session.connection.send(_encode(word))

    def _drop(self, descriptor: int) -> None:
        session = self._sessions.pop(descriptor)
        with contextlib.suppress(KeyError):
            # It was taken out where the other side had gone.
            self._poller.unregister(descriptor)
        session.connection.close()


def _become(launch: Launch, folder: Path, order: ExecOrder, ends: list[int]) -> NoReturn:
    """The life of the forked child up to its command; never returns."""
    code, keeper = NOT_RUN, os.getppid()
    try:
        os.setsid()
        spawn.reset_signals()
        cgroups.join(launch.cgroup)
        if order.term is not None:
            ends = _take_terminal(launch, ends[0])
        for number, end in enumerate(ends):
            os.dup2(end, number)
        spawn.take_rights(launch)
        # After the rights, for the kernel forgets it with them: no keeper is left to end it.
        processes.prctl(processes.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == keeper:
            variables = spawn.prepare(launch, folder, order.index) | {SESSION: order.session}
            if order.term is not None:
                variables["TERM"] = order.term
            words = [*launch.container, *order.words]
            os.execvpe(words[0], words, variables)
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN
        about = f": {order.words[0]}" if error.filename else ""
        if isinstance(error, FileNotFoundError) and " " in order.words[0]:
            about += "; for a shell line: -- bash -c '...'"
        os.write(2, f"parkade: not run: {error.strerror}{about}\r\n".encode())
    except (environment.BadEnvFile, ValueError) as error:
        # A ValueError's text may quote a value; only our own message is safe to pass on.
        text = str(error) if isinstance(error, environment.BadEnvFile) else "bad words"
        os.write(2, f"parkade: not run: {text}\r\n".encode())
    finally:
        os._exit(code)


def _take_terminal(launch: Launch, terminal: int) -> list[int]:
    """Makes it the terminal of this Unix session, and its user's; the three ends of it."""
    if launch.is_other_user:
        os.fchown(terminal, launch.account.uid, -1)
        os.fchmod(terminal, 0o620)
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    return [terminal] * 3
