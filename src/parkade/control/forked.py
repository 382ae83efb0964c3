"""A decision in a child of this process, which has the world as it was at the fork.

Theory of operation. `fork` gives the child every value of this process at once, and the system
copies a page only when one of both writes to it. The child has one thread, closes all files but its
pipe, decides, writes the events as the journal has them, and ends without running anything that the
process would run at its end. It never touches the journal. It ends with its parent, so it cannot
outlast a server that was killed. A thread of the parent waits for the answer.

Why no thread: it would take the interpreter's lock from the event loop for as long as it decides.
What the child learns for later clearings (`World.memories`) is lost with it.
"""

import contextlib
import ctypes
import gc
import os
import signal
import struct
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

import msgspec
import structlog

from parkade.control.beside import Decide, Decision, DecisionFailed, NoDecision
from parkade.core.state.codec import decode_event, encode_event
from parkade.core.state.events import EVENT_VERSION
from parkade.core.units.refusal import Refusal

PR_SET_PDEATHSIG = 1
HIGHEST_FILE = 1 << 20
LONGEST_FAILURE = 20_000
"""Characters of a traceback."""

_log = structlog.get_logger(__name__)
_LENGTH = struct.Struct("!Q")
_libc = ctypes.CDLL(None, use_errno=True)


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`events` as the journal has them, or what else came of it."""

    events: list[bytes] = []
    refusal: Refusal | None = None
    failure: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Answer).decode


class Forked:
    """A child that decides."""

    def __init__(self, pid: int, reads: int, done: Callable[[], None]) -> None:
        self._pid, self._reads, self._done = pid, reads, done
        self._answer: _Answer | None = None
        self._is_done = threading.Event()
        self._reaping = threading.Lock()
        threading.Thread(target=self._wait, name="parkade-clearing", daemon=True).start()

    def is_done(self) -> bool:
        """Without waiting."""
        return self._is_done.is_set()

    def result(self) -> Decision:
        """Once it is done. NoDecision; DecisionFailed."""
        assert self.is_done()
        answer = self._answer
        if answer is None:
            raise NoDecision("the process that decided ended without an answer")
        if answer.failure:
            raise DecisionFailed(answer.failure)
        if answer.refusal is not None:
            return answer.refusal
        return tuple(decode_event(body, EVENT_VERSION) for body in answer.events)

    def give_up(self) -> None:
        """The child is killed."""
        with self._reaping:
            if not self.is_done():
                os.kill(self._pid, signal.SIGKILL)

    def _wait(self) -> None:
        with os.fdopen(self._reads, "rb") as pipe:
            head = pipe.read(_LENGTH.size)
            body = pipe.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
        with contextlib.suppress(msgspec.DecodeError):
            self._answer = _decode(body)
        with self._reaping:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._is_done.set()
        self._done()


def decide_in_child(decide: Decide, done: Callable[[], None]) -> Forked | None:
    """See `BeginBeside`. Linux only."""
    parent = os.getpid()
    reads, writes = os.pipe()
    try:
        pid = os.fork()
    except OSError as error:
        _log.warning("no_child", why=str(error), done="the clearing is decided within the turn")
        os.close(reads)
        os.close(writes)
        return None
    if pid == 0:
        _decide_and_end(decide, writes, parent)
    os.close(writes)
    return Forked(pid, reads, done)


def _decide_and_end(decide: Decide, writes: int, parent: int) -> NoReturn:
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() == parent:
            os.closerange(3, writes)
            os.closerange(writes + 1, HIGHEST_FILE)
            body = _encode(_answer_of(decide))
            with os.fdopen(writes, "wb") as pipe:
                pipe.write(_LENGTH.pack(len(body)) + body)
    finally:
        os._exit(0)


def _answer_of(decide: Decide) -> _Answer:
    try:
        made = decide()
    except Exception:  # noqa: BLE001 - a bug in a pure decision; the parent logs it
        return _Answer(failure=traceback.format_exc()[-LONGEST_FAILURE:])
    if isinstance(made, Refusal):
        return _Answer(refusal=made)
    return _Answer(events=[encode_event(event) for event in made])
