"""The notice: "save and leave", given by a signal or by a file, and pauses that end at it.

SIGUSR1, the last call SIGTERM, or a file at `$PARKADE_NOTICE_FILE` all mean the same. A notice is
never taken back. This module needs no numpy, so that a program listens before it loads anything.
"""

import json
import select
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

SIGNALS = (signal.SIGUSR1, signal.SIGTERM)
FILE_LOOK_SECONDS = 0.05


class NoticeGiven(Exception):
    """Notice was given before all ranks had met: there is nothing new to save."""


class Notice:
    """Listens from `listen()` on; ask `given()` between steps, `pause()` instead of sleeping."""

    def __init__(self, file: Path | None) -> None:
        """`file` appears when notice is given; None where there is no such file."""
        self._file = file
        self._cause: str | None = None
        self._bell, self._ringer = socket.socketpair()
        for end in (self._bell, self._ringer):
            end.setblocking(False)

    @classmethod
    def listen(cls, environment: Mapping[str, str]) -> "Notice":
        """Take over the signals of this process; call once, from its main thread."""
        name = environment.get("PARKADE_NOTICE_FILE")
        notice = cls(Path(name) if name else None)
        signal.set_wakeup_fd(notice._ringer.fileno(), warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, notice._on_signal)
        return notice

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self._cause is None:
            self._cause = signal.Signals(number).name

    def given(self) -> bool:
        """Whether notice was given; costs one look at the file system."""
        if self._cause is None and self._file is not None and self._file.exists():
            self._cause = "notice file"
        return self._cause is not None

    def describe(self) -> str:
        """What gave notice, with cause and deadline where the file tells them."""
        told = self._told()
        parts = [f"{key} {told[key]}" for key in ("cause", "deadline") if key in told]
        return ", ".join([self._cause or "another rank's notice", *parts])

    def _told(self) -> dict[str, object]:
        if self._file is None:
            return {}
        try:
            told = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def pause(self, seconds: float, doors: Sequence[socket.socket] = ()) -> None:
        """Wait; ends early when notice is given or something arrives at one of the doors."""
        end = time.monotonic() + seconds
        while not self.given() and (left := end - time.monotonic()) > 0:
            wait = left if self._file is None else min(left, FILE_LOOK_SECONDS)
            ready, _, _ = select.select([self._bell, *doors], [], [], wait)
            if any(door in ready for door in doors):
                return

    def close(self) -> None:
        """Give the signals back as they were by default."""
        signal.set_wakeup_fd(-1)
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._bell.close()
        self._ringer.close()
