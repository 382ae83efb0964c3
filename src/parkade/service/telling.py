"""Tells people and programs outside of incidents: webhooks and mail by the queue, Alertmanager.

`messages.yaml` in the data folder says whom:

    format: 1
    alertmanager: http://127.0.0.1:9093
    webhooks:
      ops: {url: "https://hooks.example.org/parkade", secret_file: /etc/parkade/hook.secret}
    mail:
      hall: {server: localhost, from: parkade@example.org, to: hall@example.org}
    people: {private: [10.1.0.0/16], mail: {server: localhost, from: parkade@example.org,
      domains: [example.org]}}

With `people`, users and orgs set receivers of their own, which hear of their own work by the same
queue (`messages/personal.py`).

Messages follow the journal from where the queue stands, so a restart forgets none; each has the
journal's name, its entry's position and digest in its own, so that a receiver knows one that comes
again. Where the journal was restored from a backup, they follow it from the last position that both
have. Where the journal is in PostgreSQL the queue stands beside it, and the server that leads next
goes on with it. An alert stands in Alertmanager while its incident is open and its node has no
person's cordon: who cordons a node knows of it.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, ParamSpec, TypeVar

import sqlalchemy as sa
import structlog
from msgspec.structs import replace
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from parkade.control.plane import Plane
from parkade.core.healing.incident import Incident, Next
from parkade.core.healing.verdict import Level
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.time import SECOND_US
from parkade.mars.alerting import AlertError, incident_alert, post_alerts
from parkade.messages.addresses import AddressRules
from parkade.messages.queue import Message, MessageQueue, Sender
from parkade.messages.queue_file import QueueUnreachable, queue_file
from parkade.messages.receivers import Directory, MailServer, PeopleRules
from parkade.messages.senders import Mail, Webhook, addresses_in
from parkade.service.personal import Personal
from parkade.service.secrets import read_secret
from parkade.service.settings import BadSettings
from parkade.wire.yaml import Unreadable, parse

NAME = "messages.yaml"
OUTBOX = "messages.sqlite3"
EVERY_S = 5.0
ROUND_S = 1.0
ADVANCE_ENTRIES = 1_000
"""Where nothing is told, the position is kept each so many entries."""
LEAST_SECRET = 16
AHEAD_US = 60 * SECOND_US

P = ParamSpec("P")
T = TypeVar("T")

_log = structlog.get_logger(__name__)


def _host(text: str) -> str:
    if re.fullmatch(r"[^:\s]+:[0-9]+", text):
        host, _, port = text.partition(":")
        raise ValueError(f"name the host alone, {host}, and beside it port: {port}")
    return text


def _recipients(text: str) -> str:
    if not all("@" in address for address in addresses_in(text) or ("",)):
        raise ValueError("name an address of mail, or several with commas")
    return text


Host = Annotated[str, AfterValidator(_host)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HookEntry(_Model):
    """A webhook; the secret stands in a file that only its owner reads."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    secret_file: Path


class MailEntry(_Model):
    """An address, by a mail server that takes mail from here."""

    server: Host
    port: Annotated[int, Field(ge=1, le=65_535)] = 25
    sender: Annotated[str, Field(alias="from")]
    to: Annotated[str, AfterValidator(_recipients)]


class PeopleMail(_Model):
    """By which mail server people are told, and at addresses of which domains alone."""

    server: Host
    port: Annotated[int, Field(ge=1, le=65_535)] = 25
    sender: Annotated[str, Field(alias="from")]
    domains: Annotated[tuple[str, ...], Field(min_length=1)]


class PeopleEntry(_Model):
    """What people may set; `private`: networks beyond the internet that their webhooks may name."""

    mail: PeopleMail | None = None
    private: tuple[str, ...] = ()

    @field_validator("private")
    @classmethod
    def _networks(cls, private: tuple[str, ...]) -> tuple[str, ...]:
        AddressRules(private=private).networks()
        return private

    def rules(self) -> PeopleRules:
        """The same for a directory."""
        mail = self.mail
        server = None
        if mail is not None:
            domains = tuple(domain.lower() for domain in mail.domains)
            server = MailServer(
                host=mail.server, port=mail.port, sender=mail.sender, domains=domains
            )
        return PeopleRules(addresses=AddressRules(private=self.private), mail=server)


class MessagesFile(_Model):
    """The whole file."""

    format: Literal[1]
    alertmanager: Annotated[str, Field(pattern=r"^https?://")] | None = None
    webhooks: dict[str, HookEntry] = {}
    mail: dict[str, MailEntry] = {}
    people: PeopleEntry | None = None


class Telling:
    """`file` None: nothing is told. `database`: where the queue stands; None: in a file of the
    folder. BadSettings for a secret that cannot be used."""

    def __init__(
        self,
        plane: Plane,
        file: MessagesFile | None,
        folder: Path,
        directory: Directory | None = None,
        *,
        database: Callable[[], sa.Engine] | None = None,
    ) -> None:
        self._plane = plane
        self._file = file
        self._path = folder / OUTBOX
        self._database = database
        self._senders = {} if file is None else senders_of(file)
        self._directory = directory or Directory(None, None)
        self._personal = Personal(plane, self._directory)
        self._standing: dict[str, Incident] = {}
        self.queue: MessageQueue | None = None
        """While it runs, and something is told."""

    async def run(self, stop: asyncio.Event) -> None:
        """Follows the journal and sends."""
        if self._file is None:
            return
        begins_at = self._plane.health().sequence
        queue = self.queue = await self._opened(stop)
        if queue is None:
            return
        self._personal.refresh(queue, self._senders)
        sending = asyncio.create_task(self._send(queue, stop))
        parts = [self._follow(queue, begins_at)]
        if self._file.alertmanager is not None:
            parts.append(self._alert(self._file.alertmanager))
        tasks = [asyncio.create_task(part) for part in parts]
        for task in (sending, *tasks):
            task.add_done_callback(_ended)
        await stop.wait()
        for task in tasks:
            task.cancel()
        # What is being sent is waited for, or it would be sent again after the next start.
        await asyncio.gather(sending, *tasks, return_exceptions=True)
        await asyncio.to_thread(queue.close)

    async def _opened(self, stop: asyncio.Event) -> MessageQueue | None:
        """The queue, once its database answers; None where it was told to stop before."""
        while not stop.is_set():
            try:
                return await in_thread(self._open)
            except QueueUnreachable as error:
                _unreachable(error)
                await _pause(stop, EVERY_S)
        return None

    def _open(self) -> MessageQueue:
        if self._database is None:
            return MessageQueue(queue_file(self._path), {}, say=_not_heard)
        queue = MessageQueue(self._database(), {}, say=_not_heard)
        queue.adopt(self._path)
        return queue

    async def _follow(self, queue: MessageQueue, begins_at: int) -> None:
        while True:
            try:
                await self._follow_on(queue, begins_at)
            except QueueUnreachable as error:
                # What was not put in is found again: names follow from the journal.
                _unreachable(error)
                await asyncio.sleep(EVERY_S)
            else:
                return

    async def _follow_on(self, queue: MessageQueue, begins_at: int) -> None:
        after = await self._begin(queue, begins_at)
        name = await self._plane.read(lambda world, _: world.records.installation or "parkade")
        async for sequence, event in self._plane.events(after=after):
            found = message_of(event, f"{name[:12]}/{sequence}")
            personal = await self._personal.of_event(event, found)
            if found is None and not personal and sequence - after < ADVANCE_ENTRIES:
                continue
            digest = await self._plane.archive.digest_at(sequence)
            # A restored journal gives its numbers again, and never a digest.
            entry = f"{name[:12]}/{sequence}/{(digest or '')[:12]}"
            self._personal.refresh(queue, self._senders)
            if found is not None:
                named = replace(found, name=entry)
                await in_thread(queue.put, named, tuple(self._senders))
            await in_thread(self._personal.put, queue, personal, entry, event.at_us)
            await in_thread(queue.advance, sequence, digest)
            after = sequence

    async def _begin(self, queue: MessageQueue, begins_at: int) -> int:
        """Where to follow the journal from: the newest position that is of this journal; in a new
        queue `begins_at`."""
        end = self._plane.health().sequence
        for sequence, digest in await in_thread(queue.positions):
            if sequence <= end and digest in (None, await self._plane.archive.digest_at(sequence)):
                await in_thread(queue.advance, sequence, digest)
                return sequence
            _log.warning("journal_was_restored", stood_at=sequence)
        digest = await self._plane.archive.digest_at(begins_at)
        await in_thread(queue.advance, begins_at, digest)
        return begins_at

    async def _send(self, queue: MessageQueue, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._personal.refresh(queue, self._senders)
            try:
                for message, receiver in self._personal.tests(_now_us()):
                    await in_thread(queue.put, message, (receiver,))
                await in_thread(queue.send_due, _now_us(), is_over=stop.is_set, within_s=ROUND_S)
                self._directory.note_waiting(await in_thread(queue.waiting_of_each))
            except QueueUnreachable as error:
                _unreachable(error)
            except Exception as error:  # noqa: BLE001 - it may not end the messages of all
                _log.error("messages_round_failed", exc_info=error, done="the next round goes on")
            await _pause(stop, ROUND_S)

    async def _alert(self, url: str) -> None:
        while True:
            now_us = _now_us()
            incidents = {it.incident: it for it in await self._plane.read(open_incidents)}
            over = [it for name, it in self._standing.items() if name not in incidents]
            alerts = [incident_alert(it, ends_us=now_us + AHEAD_US) for it in incidents.values()]
            alerts += [incident_alert(it, ends_us=now_us) for it in over]
            try:
                await in_thread(post_alerts, url, alerts)
            except (AlertError, QueueUnreachable) as error:
                _log.warning("alerts_not_sent", why=str(error))
            else:
                self._standing = incidents
            await asyncio.sleep(EVERY_S)


def read_messages_file(folder: Path) -> MessagesFile | None:
    """The file, None where there is none. BadSettings with every fault."""
    path = folder / NAME
    if not path.exists():
        return None
    try:
        return parse(path.read_text(encoding="utf-8"), MessagesFile)
    except (Unreadable, OSError) as error:
        raise BadSettings(f"{path}: {error}") from error


def senders_of(file: MessagesFile) -> dict[str, Sender]:
    """Each receiver by its name. BadSettings where a secret cannot be used."""
    found: dict[str, Sender] = {
        f"mail/{name}": Mail(
            host=it.server, port=it.port, sender=it.sender, to=tuple(addresses_in(it.to))
        )
        for name, it in file.mail.items()
    }
    for name, hook in file.webhooks.items():
        found[f"webhook/{name}"] = Webhook(
            url=hook.url, secret=read_secret(hook.secret_file, least=LEAST_SECRET)
        )
    return found


def open_incidents(world: World, _: int) -> list[Incident]:
    """Those that an alert stands for: open, bad, and not under a person's cordon."""
    found: list[Incident] = []
    for care in world.records.cares.values():
        incident = world.records.incidents.get(care.incident or "")
        if incident is None or world.records.nodes[care.node].is_a_persons:
            continue
        if incident.level.rank >= Level.DEGRADED.rank:
            found.append(incident)
    return found


def message_of(event: events.AnyEvent, name: str) -> Message | None:
    """What is told of an event, None for most."""
    body: dict[str, Any]
    match event:
        case events.IncidentOpened(node=node, incident=it):
            held = f"; held: {it.held.value}" if it.held is not None else ""
            subject = f"{node}: {it.level.value} {it.signal}, {it.action.value}{held}"
            body = {
                "incident": it.incident, "node": node, "pool": it.pool, "level": it.level.value,
                "signal": it.signal, "action": it.action.value,
                "held": it.held and it.held.value,
            }  # fmt: skip
            return _message(name, "incident_opened", subject, body, event.at_us)
        case events.RepairEnded(node=node, incident=incident, next=Next.PERSON, says=says):
            subject = f"{node}: a person must act: {says}"
            body = {"incident": incident, "node": node, "says": event.report.says}
            return _message(name, "person_needed", subject, body, event.at_us)
        case events.IncidentClosed(node=node, incident=incident, outcome=outcome, says=says):
            body = {"incident": incident, "node": node, "outcome": outcome.value, "says": says}
            subject = f"{node}: {outcome.value}, {says}"
            return _message(name, "incident_closed", subject, body, event.at_us)
        case events.AutomationSet(automation=automation, by=by):
            state = "acts" if automation.is_on else "is stopped"
            subject = f"automatic action {state}: {automation.reason}"
            body = {"is_on": automation.is_on, "by": by, "reason": automation.reason}
            return _message(name, "automation_set", subject, body, event.at_us)
        case events.ReachabilityChanged(pool=pool, is_reachable=is_reachable, resizes_live=None):
            subject = f"pool {pool} {'is heard again' if is_reachable else 'fell silent'}"
            body = {"pool": pool, "is_reachable": is_reachable}
            return _message(name, "pool_reachability", subject, body, event.at_us)
        case _:
            return None


def _message(name: str, kind: str, subject: str, body: dict[str, Any], at_us: int) -> Message:
    return Message(name=name, kind=kind, subject=subject, body=body, at_us=at_us)


def _ended(task: asyncio.Task[None]) -> None:
    """A part that fails is said and stops no server: what waits is sent after the next start."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("telling_failed", exc_info=error, done="restart the server")


async def in_thread(call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What the call gives, made in a thread; QueueUnreachable also where no thread can be started,
    for it or for what it sends."""
    try:
        return await asyncio.to_thread(call, *args, **named)
    except RuntimeError as error:
        raise QueueUnreachable("no room for a thread") from error


async def _pause(stop: asyncio.Event, length_s: float) -> None:
    """So long, or until it is told to stop."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), length_s)


def _unreachable(error: QueueUnreachable) -> None:
    _log.warning("message_queue_unreachable", why=str(error), done="it is asked again")


def _not_heard(receiver: str, why: str) -> None:
    _log.warning("message_not_heard", receiver=receiver, why=why)


def _now_us() -> int:
    return time.time_ns() // 1_000
