"""The control plane over HTTP: msgspec JSON, long polls, a bearer token from outside."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from parkade.agent.control_plane import ControlPlaneError, ReaderGone, Refused
from parkade.ports import (
    DesiredState,
    ExecInput,
    ExecOutput,
    ExecRequest,
    FolderAnswer,
    FolderReport,
    HealthReport,
    LogRequest,
    Obeyed,
    Observation,
)
from parkade.sensors.clock import HeardClock
from parkade.wire.servers import Servers

T = TypeVar("T")
ANSWER_S = 15.0
"""How long an answer may take beyond the wait that was asked for."""
JSON = {"Content-Type": "application/json"}
ANSWER_OF_SEVERAL_S = 6.0
"""The same where there is another server to ask."""
MOST_WORDS = 500
MOST_WORDS_BYTES = 65_536
TIME_HEADER = "Parkade-Time"
"""Of an answer: the server's wall clock in microseconds since 1970, after the request came."""
MOST_DIGITS = 19
BYTES = {"Content-Type": "application/octet-stream"}


class _Problem(msgspec.Struct):
    detail: str = ""


class HttpControlPlane:
    """Implements `ControlPlane`; the client's life is the caller's. `servers` are those of one
    marketplace: after a call that failed the next is asked. None: the client's base address alone.
    `clock` hears the time that answers tell."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        *,
        pool: str,
        token: str | None,
        clock: HeardClock | None = None,
        servers: Servers | None = None,
    ) -> None:
        self._client = client
        self._servers = servers or Servers(str(client.base_url))
        self._answer_s = ANSWER_S if len(self._servers) == 1 else ANSWER_OF_SEVERAL_S
        self._clock = clock or HeardClock()
        self._path = f"/v1/pools/{quote(pool, safe='')}"
        self._obeyed: Obeyed | None = None
        self._authorization = {} if token is None else {"Authorization": f"Bearer {token}"}

    def is_asked_by(self, agent: str, folder: Path) -> None:
        """See `KnowsAgents`."""
        place = quote(f"{socket.gethostname()}:{folder}", safe="/:")
        self._authorization |= {"Parkade-Agent": f"{agent} {place}"}

    def obeys(self, obeyed: Obeyed | None) -> None:
        """See `ChecksJournals`."""
        self._obeyed = obeyed

    async def desired(self, after: tuple[int, int] | None, wait_s: float) -> DesiredState | None:
        """See `ControlPlane`."""
        query: dict[str, str] = {"wait": f"{wait_s:g}"}
        if after is not None:
            query |= {"after_epoch": str(after[0]), "after_sequence": str(after[1])}
        answer = await self._ask("GET", "desired", query=query, wait_s=wait_s)
        if answer.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            return msgspec.json.decode(answer.content, type=DesiredState)
        except msgspec.DecodeError as error:
            raise ControlPlaneError(f"the desired state cannot be read: {error}") from error

    async def report(self, observation: Observation) -> None:
        """See `ControlPlane`."""
        content = msgspec.json.encode(observation)
        await self._ask("POST", "observation", content=content, headers=JSON)

    async def report_health(self, report: HealthReport) -> None:
        """See `ControlPlane`."""
        content = msgspec.json.encode(report)
        await self._ask("POST", "health", content=content, headers=JSON)

    async def folders(self, report: FolderReport) -> Sequence[FolderAnswer]:
        """See `AnswersFolders`."""
        content = msgspec.json.encode(report)
        answer = await self._ask("POST", "folders", content=content, headers=JSON)
        try:
            return msgspec.json.decode(answer.content, type=list[FolderAnswer])
        except msgspec.DecodeError as error:
            raise ControlPlaneError(f"the answers on folders cannot be read: {error}") from error

    def _obeyed_query(self) -> dict[str, str]:
        if self._obeyed is None:
            return {}
        return {
            "obeyed_epoch": str(self._obeyed.epoch),
            "obeyed_position": str(self._obeyed.position),
            "obeyed_digest": self._obeyed.digest,
        }

    async def log_requests(self, wait_s: float) -> list[LogRequest]:
        """See `ControlPlane`."""
        query = {"wait": f"{wait_s:g}"}
        answer = await self._ask("GET", "log-requests", query=query, wait_s=wait_s)
        if answer.status_code == httpx.codes.NO_CONTENT:
            return []
        try:
            return msgspec.json.decode(answer.content, type=list[LogRequest])
        except msgspec.DecodeError as error:
            raise ControlPlaneError(f"the log requests cannot be read: {error}") from error

    async def send_log(self, request_id: str, chunk: bytes, is_last: bool) -> None:
        """See `ControlPlane`."""
        query = {"last": "true" if is_last else "false"}
        path = f"log-chunks/{quote(request_id, safe='')}"
        await self._ask("POST", path, query=query, content=chunk, headers=BYTES, gone=ReaderGone)

    async def exec_requests(self, wait_s: float) -> list[ExecRequest]:
        """See `CarriesExecs`."""
        query = {"wait": f"{wait_s:g}"}
        answer = await self._ask(
            "GET", "exec-requests", query=query, wait_s=wait_s, gone=ReaderGone
        )
        return _decoded(answer, list[ExecRequest])

    async def exec_input(self, session: str, after: int, windows: int, wait_s: float) -> ExecInput:
        """See `CarriesExecs`."""
        query = {"after": str(after), "windows": str(windows), "wait": f"{wait_s:g}"}
        path = f"execs/{quote(session, safe='')}/input"
        answer = await self._ask("GET", path, query=query, wait_s=wait_s, gone=ReaderGone)
        return _decoded(answer, ExecInput)

    async def exec_output(self, session: str, output: ExecOutput, wait_s: float) -> bool:
        """See `CarriesExecs`."""
        answer = await self._ask(
            "POST",
            f"execs/{quote(session, safe='')}/output",
            query={"wait": f"{wait_s:g}"},
            content=msgspec.json.encode(output),
            headers=JSON,
            wait_s=wait_s,
            gone=ReaderGone,
        )
        return _decoded(answer, bool)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        wait_s: float = 0.0,
        gone: type[ControlPlaneError] = ControlPlaneError,
    ) -> httpx.Response:
        """One call; any answer but success raises, 404 as `gone`. Each call says what the agent
        obeyed: a control plane whose journal lacks it answers nothing."""
        asked_us = self._clock.steady()
        server = self._servers.now
        try:
            answer = await self._client.request(
                method,
                f"{server}{self._path}/{path}",
                params={**(query or {}), **self._obeyed_query()},
                content=content,
                headers={**self._authorization, **(headers or {})},
                timeout=wait_s + self._answer_s,
            )
        except (httpx.HTTPError, OSError) as error:
            self._servers.failed(server)
            raise ControlPlaneError(f"{method} {path}: {type(error).__name__}: {error}") from error
        server_time = answer.headers.get(TIME_HEADER, "")
        if server_time.isdecimal() and len(server_time) <= MOST_DIGITS:
            self._clock.hear(int(server_time), asked_us=asked_us)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise gone(f"{method} {path}: not found")
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise Refused(f"{answer.status_code} {_why(answer)}")
        if not answer.is_success:
            if answer.is_server_error:
                self._servers.failed(server)
            raise ControlPlaneError(f"{method} {path}: {answer.status_code} {_why(answer)}")
        return answer


def _decoded(answer: httpx.Response, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except msgspec.DecodeError as error:
        raise ControlPlaneError(f"the answer cannot be read: {error}") from error


def _why(answer: httpx.Response) -> str:
    """What the server says, at a bounded length."""
    try:
        problem = msgspec.json.decode(answer.content[:MOST_WORDS_BYTES], type=_Problem)
    except msgspec.DecodeError:
        return ""
    return problem.detail[:MOST_WORDS]
