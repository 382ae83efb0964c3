"""Sessions of the console: a cookie stands for a token that was pasted once.

A session's id is 256 random bits; the browser alone has it. The server keeps its digest, the
digest of the token and when it ends, so that neither memory nor file holds anything a thief could
use. A session ends when it is logged out, after `session_s`, or with its token, which is looked up
at every request. The file lets sessions outlive a restart of the server. Where it cannot be
written, as on a full disk, a new session ends with the server, and a logout removes the whole file,
for an old one would bring the session back: then all users log in again after a restart.

Sessions are bounded for a token, a user and in all, and none of them ends another user's while it
has some of its own to end: where all are taken, the oldest of the org with the most goes. The file
is written in a thread, once for all logins that wait for it.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

MOST_SESSIONS = 4096
MOST_OF_A_USER = 32
MOST_OF_A_TOKEN = 16
_VERSION = 1
logger = logging.getLogger(__name__)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """`token_digest`: as the journal knows the token. Times are seconds since 1970. `user`, `org`:
    whose it is; empty where a version before these were kept began it."""

    token_digest: str
    began_s: float
    ends_s: float
    user: str = ""
    org: str = ""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The file. Sessions are by the digest of their id."""

    version: int = _VERSION
    sessions: dict[str, Session]


class Sessions:
    """The open sessions, oldest first. Used in one event loop."""

    def __init__(self, file: Path | None, *, session_s: float) -> None:
        self._file = file
        self._session_s = session_s
        self._open: dict[str, Session] = {} if file is None else _read(file)
        self._changes = self._written = 0
        self._writing = asyncio.Lock()

    async def begin(self, token_digest: str, now_s: float, *, user: str, org: str) -> str:
        """A new session's id. Where there are too many, the oldest ends, the same token's first,
        then the same user's, then one of the org that has the most."""
        self._open = {key: it for key, it in self._open.items() if it.ends_s > now_s}
        self._end_over(MOST_OF_A_TOKEN, lambda it: it.token_digest == token_digest)
        self._end_over(MOST_OF_A_USER, lambda it: it.user == user)
        if len(self._open) >= MOST_SESSIONS:
            most = max(Counter(it.org for it in self._open.values()).items(), key=lambda of: of[1])
            del self._open[next(key for key, it in self._open.items() if it.org == most[0])]
        session = secrets.token_urlsafe(32)
        self._open[_digest(session)] = Session(
            token_digest=token_digest,
            began_s=now_s,
            ends_s=now_s + self._session_s,
            user=user,
            org=org,
        )
        error = await self._keep()
        if error is not None:
            logger.warning("a session of the console ends with the server: %s", error)
        return session

    def _end_over(self, most: int, is_one: Callable[[Session], bool]) -> None:
        """Makes room for one more of these."""
        own = [key for key, it in self._open.items() if is_one(it)]
        for key in own[: max(0, len(own) - most + 1)]:
            del self._open[key]

    def find(self, session: str, now_s: float) -> Session | None:
        """The open session of an id."""
        found = self._open.get(_digest(session))
        return None if found is None or found.ends_s <= now_s else found

    async def end(self, session: str) -> bool:
        """Ends it; twice is once. Whether it stays so after a restart of the server."""
        if self._open.pop(_digest(session), None) is None or self._file is None:
            return True
        error = await self._keep()
        if error is None:
            return True
        logger.warning("the console's sessions cannot be written: %s", error)
        try:
            self._file.unlink(missing_ok=True)
        except OSError:
            return False
        return True

    async def _keep(self) -> OSError | None:
        """Once the file has the sessions of now, or why it has not. It is written though the asker
        goes meanwhile."""
        self._changes += 1
        return await asyncio.shield(asyncio.create_task(self._written_up_to(self._changes)))

    async def _written_up_to(self, change: int) -> OSError | None:
        async with self._writing:
            if self._file is None or self._written >= change:
                return None
            written, sessions = self._changes, dict(self._open)
            try:
                await asyncio.to_thread(_write, self._file, sessions)
            except OSError as error:
                return error
            self._written = written
            return None


def _write(file: Path, sessions: dict[str, Session]) -> None:
    beside = file.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(msgspec.json.encode(Kept(sessions=sessions)))
    beside.replace(file)


def _digest(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()


def _read(file: Path) -> dict[str, Session]:
    """What the file has; where it cannot be read, all users log in again."""
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return {}
    return kept.sessions if kept.version == _VERSION else {}
