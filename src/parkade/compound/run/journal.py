"""The journal of a run: cache, resume log and bill in one append-only file.

Lines are collected and written together (`FLUSH_BYTES` or `FLUSH_S`, whichever comes first), and a
thread makes them durable while the run goes on. A kill at any byte loses the lines of at most one
batch: opening a journal cuts a torn last line off, and what was cut is asked again. A line that is
broken anywhere else is damage, and opening refuses.

The sums are those of the lines, whatever the order and however often the run was restarted; a key
that stands twice is a call that was made twice, and both are on the bill.
"""

import asyncio
import fcntl
import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec

from parkade.boots import boot_id
from parkade.compound.run.budget import NOTHING, Amounts
from parkade.compound.run.index import Places, address_of
from parkade.compound.run.lines import (
    FORMAT,
    SHARING,
    VERSION,
    CallHead,
    CallLine,
    FailedLine,
    Head,
    Header,
    Line,
    PromiseLine,
    SharedHead,
    SharedLine,
    VerdictHead,
    VerdictLine,
)
from parkade.compound.run.scanning import BATCH_BYTES, DamagedLine, LineBatch, batches
from parkade.compound.values import Completion, Usage

FLUSH_BYTES = 256 * 1024
FLUSH_S = 0.05
READ_BYTES = 64 * 1024

_encoder = msgspec.json.Encoder()
_head = msgspec.json.Decoder(Head).decode
_lines = msgspec.json.Decoder(Line)


class JournalError(Exception):
    """The journal cannot be used; the message says why and what to do."""


class Journal:
    """An open journal. One process at a time; close it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places = Places()
        self.spent = NOTHING
        self.doubtful = NOTHING
        self.promised = NOTHING
        #: What was in flight when an earlier start was killed; it counts as doubtful.
        self.lost = NOTHING
        #: What a kill of this process can lose, by the last line that says so.
        self.noted = NOTHING
        #: What to tell of what is in flight with each batch of lines; None: nothing.
        self.tell: Callable[[], Amounts] | None = None
        self._boot = boot_id() or ""
        #: What lines cost that are still in this process and would be lost with it.
        self.unwritten = NOTHING
        #: What lines cost that a crash of the machine would lose: unwritten, or written and not
        #: yet said to be durable.
        self.undurable = NOTHING
        #: The part of it that becomes durable when the disk has answered.
        self._becoming_durable = NOTHING
        self.calls = 0
        self.verdicts = 0
        self._version = VERSION
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._syncing: asyncio.Future[None] | None = None
        self._needs_sync = False
        self._is_closed = False
        try:
            _lock(self._file, path)
            self._written = self._scan()
        except BaseException:
            os.close(self._file)
            raise
        self._end = self._written
        if self._end == 0:
            self._append(_encoder.encode(Header(format=FORMAT, version=VERSION)))
            self.flush()
        self._count_promise()

    @property
    def size(self) -> int:
        """Bytes of all lines, written or not."""
        return self._end

    # ------------------------------------------------------------ read

    @property
    def has_calls(self) -> bool:
        """Whether something was asked before, so that answers may be here."""
        return self.spent != NOTHING or self.doubtful != NOTHING

    def completion(self, key: str) -> CallLine | None:
        """The finished call of a key."""
        line = self._find(key)
        return line if isinstance(line, CallLine) else None

    def verdict(self, key: str) -> VerdictLine | None:
        """The verdict of a key."""
        line = self._find(key)
        return line if isinstance(line, VerdictLine) else None

    def _find(self, key: str) -> Line | None:
        for at in self._places.get(address_of(key)):
            if at >= self._written:
                self.flush()
            line: Line = _lines.decode(self._line_at(at))
            if getattr(line, "key", None) == key:
                return line
        return None

    def _line_at(self, place: int) -> bytes:
        data = os.pread(self._file, READ_BYTES, place)
        while (end := data.find(b"\n")) < 0:
            more = os.pread(self._file, READ_BYTES, place + len(data))
            assert more, "a line of the journal has no end"
            data += more
        return data[:end]

    # ------------------------------------------------------------ write

    def call(self, line: CallLine) -> None:
        """A call ended: from now on it is in the cache and on the bill."""
        self._places.put(address_of(line.key), self._end)
        self.calls += 1
        amounts = Amounts(line.cost, line.input + line.output, 1)
        self.spent = self.spent + amounts
        self._collect(amounts)
        self._append(_encoder.encode(line))

    def shared(self, line: SharedLine) -> None:
        """A question was given a call that another one had made."""
        if self._version < SHARING:
            self._version = SHARING
            self._append(_encoder.encode(Header(format=FORMAT, version=SHARING)))
        self._append(_encoder.encode(line))

    def failed(self, line: FailedLine) -> None:
        """A call gave no completion."""
        amounts = Amounts(line.cost, line.tokens, line.calls)
        self.doubtful = self.doubtful + amounts
        self._collect(amounts)
        self._append(_encoder.encode(line))

    def verdict_given(self, line: VerdictLine) -> None:
        """A verifier said something."""
        if line.key:
            self._places.put(address_of(line.key), self._end)
        self.verdicts += 1
        self._append(_encoder.encode(line))

    def promise(self, most_in_flight: Amounts, *, is_durable: bool = True) -> None:
        """So much may be in flight from here on; durable when this returns, or soon."""
        self.promised = self.noted = most_in_flight
        self._append(
            _encoder.encode(
                PromiseLine(
                    cost=most_in_flight.micros,
                    tokens=most_in_flight.tokens,
                    calls=most_in_flight.calls,
                )
            )
        )
        self.flush()
        if is_durable:
            os.fsync(self._file)
            self.undurable = self._becoming_durable = NOTHING

    def flush(self) -> None:
        """Hand all lines to the operating system: they survive the end of this process."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._write()
        self._sync()

    def _write(self, *, even_alone: bool = False) -> None:
        if not (self._pending or even_alone):
            return
        if self.tell is not None:
            self._tell(self.tell())
        data = b"".join(self._pending)
        self._pending.clear()
        self._pending_bytes = 0
        self.unwritten = NOTHING
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._written += len(data)
        self._needs_sync = True

    def write_in_flight(self) -> None:
        """Write all lines and what is in flight; they become durable with the next `flush`."""
        self._write(even_alone=True)

    def _tell(self, in_flight: Amounts) -> None:
        """Behind the lines of a batch: they are written with it or not at all."""
        self.noted = in_flight
        line = _encoder.encode(
            PromiseLine(
                cost=self.promised.micros,
                tokens=self.promised.tokens,
                calls=self.promised.calls,
                now=(in_flight.micros, in_flight.tokens, in_flight.calls),
                boot=self._boot,
            )
        )
        self._pending += (line, b"\n")
        self._end += len(line) + 1

    def close(self) -> None:
        """Write, make durable, unlock."""
        self.tell = None
        if self.promised != NOTHING:
            self.promise(NOTHING)
        self.flush()
        os.fsync(self._file)
        self._is_closed = True
        os.close(self._file)

    def _collect(self, amounts: Amounts) -> None:
        self.unwritten = self.unwritten + amounts
        self.undurable = self.undurable + amounts

    def _append(self, line: bytes) -> None:
        self._pending.append(line)
        self._pending.append(b"\n")
        self._end += len(line) + 1
        self._pending_bytes += len(line) + 1
        if self._pending_bytes >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._timer = loop.call_later(FLUSH_S, self.flush)

    def _sync(self) -> None:
        """Make durable in a thread, one at a time; what is written meanwhile gets another turn."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._syncing is None and self._needs_sync and not self._is_closed:
            self._needs_sync = False
            self._becoming_durable = self.undurable - self.unwritten
            # The thread has a descriptor of its own, which stays valid when the journal is closed.
            self._syncing = loop.run_in_executor(None, _fsync, os.dup(self._file))
            self._syncing.add_done_callback(self._synced)

    def _synced(self, syncing: "asyncio.Future[None]") -> None:
        self._syncing = None
        if not syncing.cancelled():
            syncing.result()
            self.undurable = self.undurable - self._becoming_durable
            self._becoming_durable = NOTHING
            self._sync()

    # ------------------------------------------------------------ open

    def _scan(self) -> int:
        """Read all lines; the length of what is whole, to which the file is cut."""
        end = 0
        with os.fdopen(os.dup(self._file), "rb", buffering=BATCH_BYTES) as file:
            file.seek(0)
            try:
                for batch in batches(file, _head):
                    self._read(batch)
                    end = batch.end
            except DamagedLine as error:
                raise JournalError(
                    f"{self.path}: the line at byte {error.place} is damaged ({error}); "
                    "restore the file from a copy, or remove it to start anew"
                ) from None
        self._places.sort()
        if end < os.fstat(self._file).st_size:
            os.ftruncate(self._file, end)
        return end

    def _read(self, batch: LineBatch[Head]) -> None:
        """By far the most lines are calls and verdicts: little is done for each of them."""
        if batch.places[0] == 0 and type(batch.values[0]) is not Header:
            raise JournalError(f"{self.path} is no journal: its first line is no header")
        keys: list[str] = []
        places: list[int] = []
        micros = tokens = calls = verdicts = 0
        for head, place in zip(batch.values, batch.places, strict=True):
            if isinstance(head, CallHead):
                calls += 1
                micros += head.cost
                tokens += head.input + head.output
            elif isinstance(head, VerdictHead):
                verdicts += 1
                if not head.key:
                    continue
            else:
                self._note(head)
                continue
            keys.append(head.key)
            places.append(place)
        self.calls += calls
        self.verdicts += verdicts
        self.spent = self.spent + Amounts(micros, tokens, calls)
        try:
            self._places.add(keys, places)
        except ValueError:
            is_key = re.compile(r"[0-9a-fA-F]{16}").match
            wrong = next(at for key, at in zip(keys, places, strict=True) if not is_key(key))
            raise DamagedLine(wrong, "its key is not hexadecimal") from None

    def _note(self, head: Header | SharedHead | FailedLine | PromiseLine) -> None:
        """A line that is neither call nor verdict."""
        match head:
            case FailedLine():
                self.doubtful = self.doubtful + Amounts(head.cost, head.tokens, head.calls)
            case PromiseLine():
                self.promised = Amounts(head.cost, head.tokens, head.calls)
                # On this machine and since it started, all that was written is there.
                is_whole = head.now is not None and head.boot == self._boot != ""
                self.noted = Amounts(*head.now) if is_whole and head.now else self.promised
            case Header():
                self._version = max(self._version, head.version)
                if head.format != FORMAT or head.version > SHARING:
                    raise JournalError(
                        f"{self.path} is not a journal that this version reads "
                        f"({head.format}, version {head.version})"
                    )
            case SharedHead():
                pass

    def _count_promise(self) -> None:
        """What was in flight when the run was killed may have been billed, and nothing says so."""
        if self.promised == NOTHING:
            return
        lost = self.lost = self.noted
        self.failed(
            FailedLine(
                key="",
                question="",
                node=0,
                model="",
                why="the run was killed while calls were in flight",
                cost=lost.micros,
                tokens=lost.tokens,
                calls=lost.calls,
            )
        )
        self.promise(NOTHING)


def completion_of(line: CallLine) -> Completion:
    """A completion out of the journal; it costs nothing again."""
    return Completion(
        text=line.text,
        usage=Usage(input_tokens=line.input, output_tokens=line.output),
        cost_micros=line.cost,
        finish=line.finish,
        latency_us=line.us,
        message=line.message if bytes(line.message) else None,
        is_usage_missing=line.most,
    )


def _lock(file: int, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise JournalError(f"{path} is in use by another run; wait for it or stop it") from None


def _fsync(file: int) -> None:
    try:
        os.fsync(file)
    finally:
        os.close(file)
