"""Where people want to hear of what: receivers that users and owners set themselves.

They are kept in the store beside the journal, and never in it: an address may be a secret, and the
secret that signs is one. The operator's file says whether people may have any, and which addresses.
Bounded for each owner of receivers, for each org, and in all; tests are bounded in an hour, for an
org and for an address. An address of mail is sent a code, and nothing else until that came back.
"""

import re
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, get_args

import msgspec
from msgspec.structs import replace

from parkade.messages.addresses import AddressRules, refusal_of
from parkade.messages.codes import Unconfirmed, is_spent, new_code, tried
from parkade.messages.guarded import GuardedWebhook
from parkade.messages.queue import Sender, Waiting
from parkade.messages.rates import Rates
from parkade.messages.senders import Mail
from parkade.wire.people import About

MOST_OF_ONE = 5
MOST_OF_AN_ORG = 200
MOST_RECEIVERS = 2_000
KINDS: tuple[str, ...] = get_args(About)
"""What a receiver may hear of; `incident` is for operators."""
# Narrower than RFC 5322: `=?` would be decoded, `%` and `!` lead mail servers to another domain,
# brackets and colons are read as groups, and `-` in front as an option.
_MAIL_NAME = re.compile(r"\w[\w+'-]*(\.[\w+'-]+)*", re.ASCII)
Kind = Literal["webhook", "mail"]


class Receiver(msgspec.Struct, frozen=True, kw_only=True):
    """`user` None: it is the org's, and hears of all its work; else of that user's alone. `secret`
    signs what a webhook gets; empty for mail. `about`: of KINDS. `unconfirmed` None: it hears all
    that it asked for; so do webhooks, and what an earlier version kept."""

    receiver: str
    org: str
    user: str | None
    kind: Kind
    address: str
    secret: str
    about: tuple[str, ...]
    made_us: int
    unconfirmed: Unconfirmed | None = None


class ReceiverStore(Protocol):
    """Where receivers are kept; every call is one transaction."""

    def receivers(self) -> Sequence[bytes]:
        """All, encoded, in order of their names."""
        ...

    def keep_receiver(self, receiver: str, body: bytes) -> None:
        """Keeps one more."""
        ...

    def change_receiver(self, receiver: str, body: bytes) -> None:
        """Keeps another body of one that is there."""
        ...

    def forget_receiver(self, receiver: str) -> None:
        """Forgets one; twice is once."""
        ...


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """By which mail for people is sent, and to which domains alone."""

    host: str
    port: int
    sender: str
    domains: tuple[str, ...]


class PeopleRules(msgspec.Struct, frozen=True, kw_only=True):
    """What people may set. `mail` None: no mail."""

    addresses: AddressRules
    mail: MailServer | None


class Refused(Exception):
    """The receiver, or its code, is not taken; the words are for the person."""


class TooOften(Refused):
    """As many tests and codes as may be were sent in the last hour."""


class Directory:
    """All receivers, in memory as in the store. `rules` None: people may set none, and the store is
    not asked. Any thread."""

    def __init__(self, store: ReceiverStore | None, rules: PeopleRules | None) -> None:
        self._store = store
        self._rules = rules if store is not None else None
        self._lock = threading.Lock()
        self._tests: dict[str, str | None] = {}
        self._rates = Rates()
        self._waiting: Mapping[str, Waiting] = {}
        rows = store.receivers() if store is not None and rules is not None else ()
        kept = map(_decoded, rows)
        self._set({each.receiver: each for each in kept})

    def _set(self, receivers: Mapping[str, Receiver]) -> None:
        of_orgs: dict[str, list[Receiver]] = {}
        for each in receivers.values():
            of_orgs.setdefault(each.org, []).append(each)
        self._all = receivers
        self._of_orgs = {org: tuple(its) for org, its in of_orgs.items()}

    @property
    def is_offered(self) -> bool:
        """Whether people may set any."""
        return self._rules is not None

    def all(self) -> tuple[Receiver, ...]:
        """Every receiver."""
        return tuple(self._all.values())

    def of_orgs(self) -> Mapping[str, tuple[Receiver, ...]]:
        """Those of each org, and of its users, by the org."""
        return self._of_orgs

    def of(self, org: str, user: str | None) -> tuple[Receiver, ...]:
        """Those of a user, or of an org itself."""
        return tuple(each for each in self._of_orgs.get(org, ()) if each.user == user)

    def find(self, receiver: str) -> Receiver | None:
        """One by its name."""
        return self._all.get(receiver)

    def add(
        self, *, org: str, user: str | None, address: str, about: Sequence[str], now_us: int
    ) -> Receiver:
        """A new one, with a secret of 256 bits where it is a webhook; an address of mail is sent a
        code soon. Refused in words."""
        if self._rules is None or self._store is None:
            raise Refused(
                "this server takes no receivers of people; its operator can add `people` to"
                " messages.yaml"
            )
        kind: Kind = "webhook" if "://" in address else "mail"
        why = self._refusal(kind, address)
        if why is not None:
            raise Refused(why)
        made = Receiver(
            receiver=f"{kind}-{secrets.token_hex(6)}",
            org=org,
            user=user,
            kind=kind,
            address=address,
            secret=secrets.token_hex(32) if kind == "webhook" else "",
            about=tuple(kind for kind in KINDS if kind in about),
            made_us=now_us,
        )
        with self._lock:
            if len(self.of(org, user)) >= MOST_OF_ONE:
                raise Refused(f"there are {MOST_OF_ONE} already: remove one first")
            if len(self._of_orgs.get(org, ())) >= MOST_OF_AN_ORG:
                raise Refused(f"{org} has {MOST_OF_AN_ORG} receivers already: remove one first")
            if len(self._all) >= MOST_RECEIVERS:
                raise Refused("this server has as many receivers as it may: ask its operator")
            code = None
            if kind == "mail":
                self._count(made, now_us)
                code, unconfirmed = new_code(made.receiver, now_us)
                made = replace(made, unconfirmed=unconfirmed)
            self._store.keep_receiver(made.receiver, msgspec.json.encode(made))
            self._set({**self._all, made.receiver: made})
            if code is not None:
                self._tests[made.receiver] = code
        return made

    def confirm(self, receiver: str, code: str, now_us: int) -> Receiver:
        """It hears all that it asked for from now on. Refused in words where the code is wrong, is
        a day old, or was tried too often; one that is confirmed stays so."""
        with self._lock:
            found = self._all.get(receiver)
            if found is None:
                raise Refused(f"{receiver} was removed")
            if found.unconfirmed is None:
                return found
            if is_spent(found.unconfirmed, now_us):
                raise Refused(
                    "its code is over a day old, or was tried too often: `parkade notify test"
                    f" {receiver}` sends another"
                )
            left = tried(receiver, found.unconfirmed, code)
            changed = self._change(replace(found, unconfirmed=left))
        if left is not None:
            raise Refused(f"this is not the code that was sent; {left.tries_left} tries are left")
        return changed

    def _change(self, receiver: Receiver) -> Receiver:
        assert self._store is not None, "there is one to change"
        self._store.change_receiver(receiver.receiver, msgspec.json.encode(receiver))
        self._set({**self._all, receiver.receiver: receiver})
        return receiver

    def remove(self, receiver: str) -> None:
        """It hears no more, also not of what waits for it."""
        assert self._store is not None, "there is one to remove"
        with self._lock:
            self._store.forget_receiver(receiver)
            self._set({name: each for name, each in self._all.items() if name != receiver})

    def note_waiting(self, waiting: Mapping[str, Waiting]) -> None:
        """What each has not heard, as the queue knows it now; also of the operator's."""
        self._waiting = waiting

    def waiting(self, receiver: str) -> Waiting:
        """What a receiver has not heard."""
        return self._waiting.get(receiver, Waiting(messages=0))

    def waiting_beside(self) -> Mapping[str, Waiting]:
        """The same of those that the operator's file names."""
        return {name: it for name, it in self._waiting.items() if name not in self._all}

    def ask_test(self, receiver: Receiver, now_us: int) -> None:
        """It is sent a message soon, or another code where it is not confirmed. TooOften where it,
        or its org, was sent as many in the last hour as may be."""
        with self._lock:
            found = self._all.get(receiver.receiver)
            if found is None:
                raise Refused(f"{receiver.receiver} was removed")
            self._count(found, now_us)
            code = None
            if found.unconfirmed is not None:
                code, unconfirmed = new_code(found.receiver, now_us)
                self._change(replace(found, unconfirmed=unconfirmed))
            self._tests[found.receiver] = code

    def _count(self, receiver: Receiver, now_us: int) -> None:
        why = self._rates.refuse(receiver.org, receiver.address, now_us)
        if why is not None:
            raise TooOften(why)

    def take_tests(self) -> list[tuple[str, str | None]]:
        """The receivers that wait for one, each with its code; None: it is confirmed."""
        with self._lock:
            taken, self._tests = list(self._tests.items()), {}
        return taken

    def senders(self) -> Mapping[str, Sender]:
        """The way to each."""
        found = {each.receiver: self._sender(each) for each in self.all()}
        return {name: sender for name, sender in found.items() if sender is not None}

    def _sender(self, receiver: Receiver) -> Sender | None:
        rules = self._rules
        if rules is None or self._refusal(receiver.kind, receiver.address) is not None:
            return None
        if receiver.kind == "webhook":
            secret = receiver.secret.encode()
            return GuardedWebhook(url=receiver.address, secret=secret, rules=rules.addresses)
        assert rules.mail is not None, "mail was refused without a server"
        mail = rules.mail
        return Mail(host=mail.host, port=mail.port, sender=mail.sender, to=(receiver.address,))

    def _refusal(self, kind: Kind, address: str) -> str | None:
        assert self._rules is not None
        if kind == "webhook":
            return refusal_of(address, self._rules.addresses)
        mail = self._rules.mail
        if mail is None:
            return "this server sends people no mail; name a webhook, like https://…"
        name, _, domain = address.rpartition("@")
        if _MAIL_NAME.fullmatch(name) is None or len(name) > 64 or len(address) > 254:
            return (
                f"{address[:80]!r} is no address of mail: before its @ stand at most 64 letters,"
                " digits, and . _ + - ' between them"
            )
        if domain.lower() not in mail.domains:
            return f"mail goes to {', '.join(mail.domains)} alone"
        return None


def _decoded(row: bytes) -> Receiver:
    """A receiver as it was kept; an earlier version kept the kind `test` as well."""
    kept = msgspec.json.decode(row, type=Receiver)
    return replace(kept, about=tuple(kind for kind in kept.about if kind in KINDS))
