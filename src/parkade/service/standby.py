"""A server that waits to lead: it follows the journal of the one that does, and takes its place.

Each half second it looks who holds the lock of the database. While another server does, it reads
what that commits, and answers every request with where to go instead. It takes the lock where it is
free, as within a moment of the death of its holder, and where its holder has not been heard by
PostgreSQL for `takeover_s`, which three looks in a row must find: then it ends that server's
sessions first. Nothing is led before the lock is held, and nothing is written before a new term
has begun (`store/terms.py`).
"""

import threading
import time

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from parkade.control.following import Follower
from parkade.ports import AlreadyLed, StoreError
from parkade.service.journal_place import head_path
from parkade.service.owner import join
from parkade.service.settings import ServiceSettings
from parkade.store import Holder, LockWatch, PostgresqlLeadership, SqlStore, open_postgresql
from parkade.wire.problems import PROBLEM_JSON, problem

LOOK_S = 0.5
SILENT_LOOKS = 3
"""A beat comes each second: so many looks miss none, also where PostgreSQL's clock was set."""

AFTER_TROUBLE_S = 10.0
"""A journal that could not be read is read again after that; the lock is looked at meanwhile."""

_log = structlog.get_logger(__name__)


class Switch:
    """An app in whose place another comes while it serves."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        await self.app(scope, receive, send)


class Standby:
    """`wait` runs in a thread, `answer` in the event loop beside it."""

    def __init__(self, settings: ServiceSettings, leadership: PostgresqlLeadership) -> None:
        self.follower = Follower()
        self._settings = settings
        self._leadership = leadership
        self._watch = LockWatch(settings.database)
        self._store: SqlStore | None = None
        self._last: Holder | None = None
        self._silent_looks = 0
        self._leader: str | None = None
        self._stopping = threading.Event()
        self._trouble = ""
        self._follows_at_s = 0.0

    def wait(self) -> bool:
        """Whether the lock is held now; else it was told to stop. BadSettings where the data folder
        is another journal's."""
        try:
            while not self._stopping.is_set():
                if self._look():
                    return True
                self._stopping.wait(LOOK_S)
            return False
        finally:
            self._let_go()
            self._watch.close()

    def stop(self) -> None:
        """`wait` ends soon."""
        self._stopping.set()

    def _look(self) -> bool:
        try:
            if self._is_free() and self._take():
                return True
            self._follow()
        except StoreError as error:
            self._let_go()
            self._follows_at_s = time.monotonic() + AFTER_TROUBLE_S
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.warning("standby_cannot_follow", why=self._trouble, done="it looks again")
        return False

    def _is_free(self) -> bool:
        """Whether the lock may be taken: no session holds it, or its holder is silent for too long;
        `_take` ends that one. Remembers the holder of this look."""
        found = self._watch.holder()
        if found is None:
            return True
        is_same = self._last is not None and self._last.pid == found.pid
        is_silent = (found.silent_s or 0.0) >= self._settings.takeover_s
        self._silent_looks = self._silent_looks + 1 if is_same and is_silent else 0
        self._last = found
        if self._silent_looks < SILENT_LOOKS or not found.is_ours:
            return False
        _log.error("leader_hangs", leader=str(found), silent_s=found.silent_s, done="it is ended")
        return True

    def _take(self) -> bool:
        """Takes the lock; what the last holder has begun to write, and holds, is undone first."""
        if self._last is not None and self._last.is_ours:
            self._watch.end(self._last)
        try:
            self._leadership.acquire()
        except AlreadyLed:
            return False
        return True

    def _follow(self) -> None:
        if time.monotonic() < self._follows_at_s:
            return
        if self._store is None:
            head = head_path(self._settings)
            self._store = open_postgresql(self._settings.database, head=head, is_read_only=True)
            join(self._store, self._settings)
        self._leader = self._store.leader_address()
        while self.follower.follow(self._store) and not self._stopping.is_set():
            self._store.follow_head(self.follower.sequence, self.follower.digest)
        self._trouble = ""

    def _let_go(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app of a server that does not lead: where to go instead."""
        if scope["type"] == "http":
            await self._response(Request(scope))(scope, receive, send)

    def _response(self, request: Request) -> Response:
        path, leader = request.url.path, self._leader
        state = {"role": "standby", "leader": leader, "sequence": self.follower.sequence}
        if path == "/healthz":
            return JSONResponse(state)
        if path == "/readyz":
            return JSONResponse(state, 503)
        if path == "/metrics":
            lines = f"parkade_leads 0\nparkade_journal_sequence {self.follower.sequence}\n"
            return PlainTextResponse(lines)
        hint = {"Retry-After": "1", "Cache-Control": "no-store"}
        says = "this server stands by; another one leads"
        if leader is not None:
            hint["Parkade-Leader"] = leader
            says = f"this server stands by; {leader} leads"
            is_page = request.method in ("GET", "HEAD") and not path.startswith("/v1/")
            if is_page:
                query = f"?{request.url.query}" if request.url.query else ""
                return RedirectResponse(f"{leader.rstrip('/')}{path}{query}", 307, headers=hint)
        found = problem("standby", says)
        return Response(
            found.model_dump_json(), found.status, media_type=PROBLEM_JSON, headers=hint
        )
