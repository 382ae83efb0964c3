"""A session of `exec` or `attach` at this end: the streams and the terminal of this program.

The main thread asks for output; one thread reads the input and hands it over, another tells of a
terminal that changed its size. The terminal is given back as it was, however this program ends but
by KILL.
"""

import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from parkade.cli.calling import warn
from parkade.core.units.visible import visible

if TYPE_CHECKING:
    from parkade.client import Client
    from parkade.wire import execs as wire

LOST = 255
OF_SIGNALS = 128
WAIT_S = 5.0
PART_BYTES = 65_536
ENDING = (signal.SIGTERM, signal.SIGHUP)


class LetGo(Exception):
    """Its user ended the session from here."""


class Session:
    """One that was let in. `is_terminal`: it has a terminal at the far end."""

    def __init__(self, client: "Client", opened: "wire.ExecSession", *, is_terminal: bool) -> None:
        self._client = client
        self._opened = opened
        self._name = opened.session
        self._is_terminal = is_terminal
        self._is_raw = is_terminal and sys.stdin.isatty()
        self._is_left = threading.Event()
        self._resized = threading.Event()

    @classmethod
    def open(
        cls,
        client: "Client",
        workload: str,
        words: tuple[str, ...],
        *,
        rank: int,
        is_terminal: bool,
    ) -> "Session":
        """Asks for it; what is refused is raised."""
        from parkade.wire.execs import Terminal

        terminal = None
        if is_terminal:
            columns, rows = _size()
            term = os.environ.get("TERM", "")
            is_plain = term.isascii() and term.replace("-", "").replace(".", "").isalnum()
            kind = term if is_plain and len(term) <= 64 else "xterm"
            terminal = Terminal(columns=columns, rows=rows, term=kind)
        opened = client.open_exec(workload, command=words, rank=rank, terminal=terminal)
        return cls(client, opened, is_terminal=is_terminal)

    def run(self, *, has_input: bool) -> int:
        """Until it ends; the exit code of this program."""
        from parkade.client.errors import ParkadeError

        end: wire.ExecEnd | None = None
        with self._ended_by_signals(), self._raw():
            try:
                threading.Thread(target=self._carry_input, args=(has_input,), daemon=True).start()
                threading.Thread(target=self._tell_size, daemon=True).start()
                end = self._carry_output()
            except LetGo:
                pass
            except ParkadeError as error:
                self._say(f"the session was lost: {error.problem.detail}")
            finally:
                if end is None:
                    self._close()
        return self._code(end)

    def _code(self, end: "wire.ExecEnd | None") -> int:
        if end is None:
            return LOST
        if end.why:
            self._say(end.why)
        if end.code is not None:
            return end.code
        return LOST if end.signal is None else OF_SIGNALS + end.signal

    def _carry_output(self) -> "wire.ExecEnd":
        after = 0
        while True:
            answer = self._client.get_exec_output(self._name, after=after, wait=WAIT_S)
            after = answer.next
            for chunk in answer.chunks:
                self._write(chunk.stream, chunk.content)
            if self._is_left.is_set():
                raise LetGo
            if answer.end is not None:
                return answer.end

    def _write(self, stream: str, content: bytes) -> None:
        if stream == "note":
            says = f"parkade: {self._opened.workload}: {visible(content.decode(errors='replace'))}"
            # A raw terminal goes to a line's begin only where it is told.
            content = f"\r\n{says}\r\n".encode() if self._is_raw else f"{says}\n".encode()
            stream = "stderr"
        to = sys.stderr.buffer if stream == "stderr" else sys.stdout.buffer
        to.write(content)
        to.flush()

    def _say(self, text: str) -> None:
        warn(f"{self._opened.workload}: {text}")

    def _carry_input(self, has_input: bool) -> None:
        from parkade.client.errors import ParkadeError

        at, keys = 0, Keys() if self._is_raw else None
        try:
            if not has_input and not self._is_terminal:
                self._client.send_exec_input(self._name, at=0, is_last=True)
            while has_input:
                content = os.read(0, PART_BYTES)
                is_last = not content
                if keys is not None:
                    content = keys.typed(content)
                at = self._hand_over(at, content, is_last=is_last)
                if keys is not None and keys.is_left:
                    self._leave()
                    return
                if is_last:
                    return
        except (ParkadeError, OSError):
            # The main thread hears the same, and says it.
            return

    def _hand_over(self, at: int, content: bytes, *, is_last: bool) -> int:
        until = at + len(content)
        is_heard = not content and not is_last
        while not is_heard:
            left = content[len(content) - (until - at) :]
            at = self._client.send_exec_input(self._name, at=at, content=left, is_last=is_last).next
            is_heard = at >= until
        return until

    def _leave(self) -> None:
        """Typed by its user: the answer that the main thread waits for tells it."""
        self._is_left.set()
        self._close()

    def _tell_size(self) -> None:
        from parkade.client.errors import ParkadeError

        while self._is_raw:
            self._resized.wait()
            self._resized.clear()
            columns, rows = _size()
            try:
                self._client.resize_exec(self._name, columns=columns, rows=rows)
            except ParkadeError:
                return

    def _close(self) -> None:
        from parkade.client.errors import ParkadeError

        try:
            self._client.close_exec(self._name)
        except ParkadeError:
            # It is over there, or will be in half a minute.
            return

    @contextmanager
    def _raw(self) -> Iterator[None]:
        if not self._is_raw:
            yield
            return
        before = termios.tcgetattr(0)
        old = signal.signal(signal.SIGWINCH, lambda *_: self._resized.set())
        try:
            # What was typed before is for the far end.
            tty.setraw(0, termios.TCSADRAIN)
            yield
        finally:
            termios.tcsetattr(0, termios.TCSADRAIN, before)
            signal.signal(signal.SIGWINCH, old)

    @contextmanager
    def _ended_by_signals(self) -> Iterator[None]:
        """What ends this program from outside ends it by an exception, so that all is put back."""

        def leave(number: int, _frame: object) -> NoReturn:
            raise SystemExit(OF_SIGNALS + number)

        before = {number: signal.signal(number, leave) for number in ENDING}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)


class Keys:
    """What is typed, without the two keys that end a session: ~. where a line begins, as in ssh;
    ~~ is a tilde there."""

    def __init__(self) -> None:
        self.is_left = False
        self._is_begin = True
        self._is_tilde = False

    def typed(self, content: bytes) -> bytes:
        """What of it goes to the far end; nothing after the two keys."""
        sent = bytearray()
        for letter in content:
            if self._is_tilde:
                self._is_tilde = False
                if letter == ord("."):
                    self.is_left = True
                    break
                if letter != ord("~"):
                    sent += b"~"
            elif self._is_begin and letter == ord("~"):
                self._is_tilde = True
                continue
            sent.append(letter)
            self._is_begin = letter in b"\r\n"
        return bytes(sent)


def _size() -> tuple[int, int]:
    """(columns, rows) of the terminal as it is, whatever COLUMNS and LINES say of it."""
    for stream in (0, 1, 2):
        try:
            columns, rows = os.get_terminal_size(stream)
        except OSError:
            continue
        if columns and rows:
            return columns, rows
    return 80, 24
