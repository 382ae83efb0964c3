"""Brings what concerns people to the receivers that they set, through the one queue.

Each receiver is told at most MOST_AN_HOUR things in an hour; the first that is left out is told as
such, the rest is not: an array of ten thousand members must not send ten thousand mails.
"""

import secrets
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from parkade.control.plane import Plane
from parkade.core.state import events
from parkade.core.state.world import World
from parkade.core.units.time import HOUR_US
from parkade.messages.personal import (
    HEARD,
    Notification,
    hearing_incidents,
    hears,
    notifications_of,
)
from parkade.messages.queue import Message, MessageQueue, Sender
from parkade.messages.receivers import Directory, Receiver

MOST_AN_HOUR = 240
Personally = list[tuple[Message, tuple[str, ...]]]
"""Messages without their names, and the receivers of each."""


class Personal:
    """Used in one event loop."""

    def __init__(self, plane: Plane, directory: Directory) -> None:
        self._plane = plane
        self._directory = directory
        self._known: tuple[Receiver, ...] | None = None
        self._counted: dict[str, tuple[int, int]] = {}

    def refresh(self, queue: MessageQueue, others: Mapping[str, Sender]) -> None:
        """The queue sends to the receivers that there are now, and to the operator's."""
        now = self._directory.all()
        if now != self._known:
            self._known = now
            queue.send_by({**others, **self._directory.senders()})

    async def of_event(self, event: events.AnyEvent, incident: Message | None) -> Personally:
        """What an event tells which receivers; `incident`: what it tells the operator's.

        In the writer's thread it costs, for each notification, the receivers of its org alone; for
        an incident, every user and every receiver once.
        """
        receivers, of_orgs = self._directory.all(), self._directory.of_orgs()
        if not receivers or not (incident is not None or isinstance(event, HEARD)):
            return []

        def view(world: World, _: int) -> Personally:
            found: Personally = []
            for each in notifications_of(event, world):
                own = of_orgs.get(each.org, ())
                to = tuple(it.receiver for it in own if hears(it, each, world))
                found += [(_message(each, event.at_us), to)] if to else []
            if incident is not None:
                of = hearing_incidents(receivers, world)
                found += [(incident, of)] if of else []
            return found

        return await self._plane.read(view)

    def put(self, queue: MessageQueue, found: Personally, entry: str, at_us: int) -> None:
        """Puts them in, each under a name of its own, as far as the hour has room; from any thread,
        one at a time."""
        for number, (message, receivers) in enumerate(found):
            named = replace(message, name=f"{entry}/{number}")
            within, first_over = self._count(receivers, at_us)
            queue.put(named, within)
            if first_over:
                queue.put(_over(f"{entry}/{number}/over", at_us), first_over)

    def tests(self, now_us: int) -> list[tuple[Message, str]]:
        """The messages that people asked for to see whether they come, and the codes, each with its
        receiver."""
        found: list[tuple[Message, str]] = []
        for name, code in self._directory.take_tests():
            receiver = self._directory.find(name)
            if receiver is not None:
                found.append((_test(receiver, code, now_us), name))
        return found

    def _count(
        self, receivers: Sequence[str], at_us: int
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Those that have room in this hour, and those that have none for the first time."""
        hour = at_us // HOUR_US
        within, first_over = [], []
        for name in receivers:
            of, count = self._counted.get(name, (hour, 0))
            count = count + 1 if of == hour else 1
            self._counted[name] = (hour, count)
            if count <= MOST_AN_HOUR:
                within.append(name)
            elif count == MOST_AN_HOUR + 1:
                first_over.append(name)
        return tuple(within), tuple(first_over)


def _message(notification: Notification, at_us: int) -> Message:
    return Message(
        name="",
        kind=notification.kind,
        subject=notification.subject,
        body=notification.body,
        at_us=at_us,
    )


def _test(receiver: Receiver, code: str | None, now_us: int) -> Message:
    kind, subject = "test", "Parkade reaches you here"
    body: dict[str, str] = {"receiver": receiver.receiver}
    if code is not None:
        kind, subject = "confirm", "Confirm that Parkade may write to you here"
        whose = receiver.org if receiver.user is None else f"{receiver.user} of {receiver.org}"
        body |= {
            "asked_by": whose,
            "code": code,
            "to_confirm": f"parkade notify confirm {receiver.receiver} {code}",
            "otherwise": "do nothing: no more than such codes is sent here",
        }
    name = f"{kind}/{secrets.token_hex(8)}"
    return Message(name=name, kind=kind, subject=subject, body=body, at_us=now_us)


def _over(name: str, at_us: int) -> Message:
    subject = f"more than {MOST_AN_HOUR} messages in an hour: the rest is left out"
    return Message(name=name, kind="limited", subject=subject, body={}, at_us=at_us)
