"""People are told of their own work and of nothing else, by receivers that they set themselves."""

import ast
import asyncio
import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from parkade.control.answers import Decided
from parkade.control.plane import Plane
from parkade.control.rules import RULES
from parkade.core.state import commands, events, lines
from parkade.core.state.people import CapPeriod, Role
from parkade.core.state.world import World
from parkade.core.units.time import HOUR_US
from parkade.core.workloads.observed import EnginePhase, RankExit
from parkade.core.workloads.workload import Rate, Workload
from parkade.messages import personal as messages_personal
from parkade.messages.addresses import AddressRules
from parkade.messages.personal import HEARD, hears, is_at_risk, notifications_of
from parkade.messages.rates import OF_AN_ORG, TO_AN_ADDRESS
from parkade.messages.receivers import (
    KINDS,
    Directory,
    MailServer,
    PeopleRules,
    Receiver,
    Refused,
)
from parkade.messages.senders import is_signed
from parkade.ports import Observation, ObservedAttempt
from parkade.service import personal
from parkade.service.settings import BadSettings
from parkade.service.telling import Telling, read_messages_file
from parkade.store import SqlStore, open_sqlite
from parkade.wire.people import About
from tests import builders
from tests.agent.test_agent import until
from tests.api.test_turns import made_plane
from tests.core import records
from tests.messages.test_queue import message, post, web
from tests.waits import PATIENCE_S

pytestmark = pytest.mark.system

RULES_OF_PEOPLE = PeopleRules(addresses=AddressRules(private=("127.0.0.0/8",)), mail=None)
MAIL = MailServer(host="127.0.0.1", port=25, sender="p@x.org", domains=("x.org",))


class House:
    """A plane with two orgs, what tells, and the receivers of their people."""

    def __init__(self, plane: Plane, telling: Telling, directory: Directory) -> None:
        self.plane, self.telling, self.directory = plane, telling, directory

    async def do(self, command: Any) -> Decided:
        outcome = await self.plane.execute(command)
        assert isinstance(outcome, Decided), outcome
        return outcome

    async def open(self) -> None:
        await self.do(builders.open_pool("box", {"a": 2}))
        for org in ("acme", "rival"):
            await self.do(commands.CreateOrg(by=None, org=org))
            await self.do(commands.Deposit(by=None, org=org, micros=10**12))
        for user, org, role in (
            ("ann", "acme", Role.MEMBER),
            ("ben", "acme", Role.MEMBER),
            ("olga", "acme", Role.OWNER),
            ("eve", "rival", Role.OWNER),
        ):
            await self.do(builders.create_user(user, org, role=role))

    def add(self, url: str, org: str, user: str | None, *about: str) -> str:
        kinds = about or ("notice", "started", "ended", "budget", "at_risk", "incident")
        made = self.directory.add(org=org, user=user, address=url, about=kinds, now_us=1)
        return made.receiver

    def test(self, receiver: str) -> None:
        found = self.directory.find(receiver)
        assert found is not None
        self.directory.ask_test(found, 1)

    async def run_to_its_end(self, org: str, user: str) -> str:
        """A workload that starts, is told to leave by its user, and leaves."""
        decided = await self.do(builders.submit(org, user))
        (submitted,) = (it for it in decided.events if isinstance(it, events.Submitted))
        workload = submitted.workload.workload

        await self.report()
        found = await self.attempt_of(workload)
        seen = builders.observed(found, started_us=self.plane.present_us())
        await self.report(seen)
        await self.do(commands.Cancel(by=user, workload=workload, now=False))
        exits = (RankExit(rank=0, code=0, signal=None),)
        ended_us = self.plane.present_us()
        await self.report(
            replace(seen, phase=EnginePhase.RELEASED, released_us=ended_us, exits=exits)
        )
        return workload

    async def attempt_of(self, workload: str) -> str:
        """The attempt that the agent of the pool is told to run."""
        after = None
        for _ in range(int(PATIENCE_S)):
            state = await self.plane.desired("box", after=after, wait_s=1.0)
            if state is None:
                continue
            after = (state.epoch, state.sequence)
            for each in state.attempts:
                if each.workload == workload:
                    return each.attempt
        raise AssertionError(f"{workload} was not launched")

    async def report(self, *attempts: ObservedAttempt) -> None:
        """The agent sees these."""
        at_us = self.plane.present_us()
        seen = Observation(pool="box", at_us=at_us, is_complete=True, attempts=attempts)
        await self.plane.observe("box", seen)


@asynccontextmanager
async def house(folder: Path, *, mail_port: int | None = None) -> AsyncIterator[House]:
    """`mail_port`: people are told by mail too, at x.org."""
    mail = f"{{server: 127.0.0.1, port: {mail_port}, from: p@x.org, domains: [x.org]}}"
    people = "private: [127.0.0.0/8]" + (f", mail: {mail}" if mail_port is not None else "")
    (folder / "messages.yaml").write_text(f"format: 1\npeople: {{{people}}}\n")
    store = open_sqlite(folder / "journal.sqlite3")
    plane = made_plane(store, RULES)
    plane.start()
    file = read_messages_file(folder)
    assert file is not None and file.people is not None
    directory = Directory(store, file.people.rules())
    stop = asyncio.Event()
    telling = Telling(plane, file, folder, directory)
    task = asyncio.create_task(telling.run(stop))
    try:
        await until(lambda: telling.queue is not None and telling.queue.positions())
        yield House(plane, telling, directory)
    finally:
        stop.set()
        await task
        await plane.close()
        store.close()


def heard(got: list[tuple[dict[str, str], bytes]]) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in got]


def test_a_user_hears_of_its_own_work_and_its_org_of_all(tmp_path: Path) -> None:
    async def body() -> None:
        with (
            web(200) as (anns, of_ann),
            web(200) as (bens, of_ben),
            web(200) as (orgs, of_org),
            web(200) as (rivals, of_rival),
        ):
            async with house(tmp_path) as here:
                await here.open()
                ann = here.add(anns, "acme", "ann")
                here.add(bens, "acme", "ben")
                here.add(orgs, "acme", None)
                here.add(rivals, "rival", "eve")
                here.add(rivals, "rival", None)
                workload = await here.run_to_its_end("acme", "ann")
                await until(lambda: len(of_ann) == len(of_org) == 3)
                secret = here.directory.find(ann)
        assert of_ben == [] and of_rival == []
        told = sorted(heard(of_ann), key=lambda it: it["at_us"])
        assert [it["kind"] for it in told] == ["started", "notice", "ended"]
        assert all(it["body"]["workload"] == workload for it in told)
        assert told[1]["body"]["cause"] == "cancelled" and "must leave by" in told[1]["subject"]
        assert len({it["name"] for it in told}) == 3
        headers, sent = of_ann[0]
        assert secret is not None
        stamp, signature = headers["Parkade-Timestamp"], headers["Parkade-Signature"]
        assert is_signed(secret.secret.encode(), int(stamp), sent, signature)

    asyncio.run(body())


def test_a_receiver_hears_what_it_asked_for_and_of_what_left_it_no_more(tmp_path: Path) -> None:
    async def body() -> None:
        with web(200) as (url, got), web(200) as (other, of_other):
            async with house(tmp_path) as here:
                await here.open()
                here.add(url, "acme", "ann", "ended")
                gone = here.add(other, "acme", "ann")
                here.directory.remove(gone)
                await here.run_to_its_end("acme", "ann")
                await until(lambda: got)
                here.test(here.add(other, "acme", "ben", "budget"))
                await until(lambda: of_other)
            assert [it["kind"] for it in heard(got)] == ["ended"]
            assert [it["kind"] for it in heard(of_other)] == ["test"]

    asyncio.run(body())


def test_receivers_outlive_a_restart_and_no_secret_of_theirs_is_in_the_journal(
    tmp_path: Path,
) -> None:
    async def body() -> None:
        with web(200) as (url, got):
            async with house(tmp_path) as here:
                await here.open()
                name = here.add(f"{url}?key=of-the-address", "acme", "ann", "started")
                made = here.directory.find(name)
            async with house(tmp_path) as here:
                again = here.directory.find(name)
                assert made is not None and again == made
                await here.run_to_its_end("acme", "ann")
                await until(lambda: got)
        store = open_sqlite(tmp_path / "journal.sqlite3")
        journal = b"".join(it.body for it in store.entries(after=0, limit=10**6))
        snapshots = b"".join(it.body for it in store.snapshots())
        store.close()
        assert again is not None
        for secret in (again.secret.encode(), b"of-the-address"):
            assert secret not in journal + snapshots

    asyncio.run(body())


def test_more_than_so_many_in_an_hour_are_told_once_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(personal, "MOST_AN_HOUR", 1)

    async def body() -> None:
        with web(200) as (url, got):
            async with house(tmp_path) as here:
                await here.open()
                here.add(url, "acme", "ann")
                await here.run_to_its_end("acme", "ann")
                await until(lambda: len(got) >= 2)
                last = here.add(url, "acme", "ben", "budget")
                here.test(last)
                await until(lambda: "test" in [it["kind"] for it in heard(got)])
        kinds = sorted(it["kind"] for it in heard(got))
        assert kinds == ["limited", "started", "test"]

    asyncio.run(body())


def test_an_operator_hears_of_incidents_and_a_member_of_none(tmp_path: Path) -> None:
    async def body() -> None:
        with web(200) as (url, got), web(200) as (room, of_room), web(200) as (members, of_member):
            async with house(tmp_path) as here:
                await here.open()
                await here.do(commands.CreateOrg(by=None, org="house"))
                await here.do(builders.create_user("chief", "house", role=Role.OPERATOR))
                here.add(url, "house", "chief")
                here.add(room, "house", None)
                here.add(members, "acme", "olga")
                here.add(members, "acme", None)
                await here.do(commands.SetAutomation(by=None, reason="x", is_on=False))
                await until(lambda: got and of_room)
            assert [it["kind"] for it in heard(got)] == ["automation_set"]
            assert [it["kind"] for it in heard(of_room)] == ["automation_set"]
            assert of_member == []

    asyncio.run(body())


def test_a_price_near_the_limit_is_a_risk() -> None:
    assert is_at_risk(9, 10) and is_at_risk(11, 10) and not is_at_risk(89, 100)


PRICES_TOLD = (
    # price before, price, limit, told?
    (50, 89, 100, False),
    (50, 90, 100, True),
    (90, 95, 100, False),
    (95, 80, 100, False),
    (80, 95, 100, True),
    (None, 95, 100, True),
)


@pytest.mark.parametrize(("before", "price", "limit", "is_told"), PRICES_TOLD)
def test_a_risk_is_told_when_it_comes_to_be_and_not_again(
    before: int | None, price: int, limit: int, *, is_told: bool
) -> None:
    workload = sitting(limit, *(() if before is None else ((5, before),)), (10, price))
    world = records.world(workload)
    rate = Rate(from_us=10, price_micros=price, shares=())
    change = lines.Repriced(workload=workload.workload, rate=rate, price_set_by=None)
    cleared = events.Cleared(
        at_us=10, market="box", won=(), left=(), repriced=(change,), waiting=(), ladder=()
    )
    assert [it.kind for it in notifications_of(cleared, world)] == ["at_risk"] * is_told
    bid = events.BidChanged(at_us=11, workload=workload.workload, limit_price_micros=limit)
    is_near = price >= 90
    assert [it.kind for it in notifications_of(bid, world)] == ["at_risk"] * is_near


def test_work_that_becomes_on_demand_is_told_to_its_user() -> None:
    workload = sitting(100, (10, 90))
    fell = events.FellBack(
        at_us=20, workload=workload.workload, fabric="a", must_end_us=30, withdraws=False
    )
    (one,) = notifications_of(fell, records.world(workload))
    assert (one.kind, one.user) == ("budget", workload.user)
    assert "on-demand now, for its deadline" in one.subject


def test_what_is_told_of_an_event_comes_to_its_receivers(tmp_path: Path) -> None:
    async def body() -> None:
        async with house(tmp_path) as here:
            await here.open()
            receiver = here.add("http://127.0.0.1:9090/", "acme", "ann")
            decided = await here.do(builders.submit("acme", "ann"))
            (made,) = (it for it in decided.events if isinstance(it, events.Submitted))
            fell = events.FellBack(
                at_us=20,
                workload=made.workload.workload,
                fabric="a",
                must_end_us=30,
                withdraws=False,
            )
            found = await personal.Personal(here.plane, here.directory).of_event(fell, None)
            assert [(it.kind, to) for it, to in found] == [("budget", (receiver,))]

    asyncio.run(body())


def test_each_event_of_which_something_is_told_is_heard() -> None:
    source = ast.parse(inspect.getsource(messages_personal))
    cases = [it.pattern for it in ast.walk(source) if isinstance(it, ast.match_case)]
    named = {ast.unparse(it.cls) for it in cases if isinstance(it, ast.MatchClass)}
    assert len(named) > 5
    assert named == {f"events.{kind.__name__}" for kind in HEARD}


def sitting(limit: int, *rates: tuple[int, int]) -> Workload:
    """A workload with seats that paid these prices, each from an instant on."""
    paid = tuple(Rate(from_us=at_us, price_micros=price, shares=()) for at_us, price in rates)
    made = records.workload(attempt=records.attempt(rates=paid))
    return replace(made, spec=replace(made.spec, limit_price_micros=limit))


def test_what_a_clearing_and_a_cap_tell_names_no_other_org(tmp_path: Path) -> None:
    async def body() -> None:
        async with house(tmp_path) as here:
            await here.open()
            ours, theirs = [
                (await here.do(builders.submit(org, user))).events[0]
                for org, user in (("acme", "ann"), ("rival", "eve"))
            ]
            assert isinstance(ours, events.Submitted) and isinstance(theirs, events.Submitted)

            def view(world: World, now_us: int) -> None:
                limit = ours.workload.spec.limit_price_micros
                assert limit is not None
                rate = Rate(from_us=now_us, price_micros=limit, shares=())
                repriced = tuple(
                    lines.Repriced(
                        workload=it.workload.workload,
                        rate=rate,
                        price_set_by=theirs.workload.workload,
                    )
                    for it in (ours, theirs)
                )
                cleared = events.Cleared(
                    at_us=now_us, market="box", won=(), left=(), repriced=repriced, waiting=(),
                    ladder=(),
                )  # fmt: skip
                for each in (ours, theirs):
                    sits = replace(each.workload, attempt=records.attempt(rates=(rate,)))
                    world.records.workloads[each.workload.workload] = sits
                told = notifications_of(cleared, world)
                for each in (ours, theirs):
                    world.records.workloads[each.workload.workload] = each.workload
                assert [(it.org, it.user, it.kind) for it in told] == [
                    ("acme", "ann", "at_risk"), ("rival", "eve", "at_risk")
                ]  # fmt: skip
                assert "rival" not in str(told[0]) and "eve" not in str(told[0])
                assert theirs.workload.workload not in str(told[0])
                cap = events.CapNoted(
                    at_us=now_us, org="acme", user=None, spent_micros=8, cap_micros=10,
                    period=CapPeriod.TOTAL,
                )  # fmt: skip
                (of_org,) = notifications_of(cap, world)
                add = here.directory.add
                owner = add(org="acme", user=None, address=WEB, about=("budget",), now_us=1)
                member = add(org="acme", user="ann", address=WEB, about=("budget",), now_us=1)
                assert hears(owner, of_org, world) and not hears(member, of_org, world)
                for_ann = notifications_of(replace(cap, user="ann"), world)[0]
                assert hears(owner, for_ann, world) and hears(member, for_ann, world)

            def without_her(world: World, now_us: int) -> None:
                cap = events.CapNoted(
                    at_us=now_us, org="acme", user="ann", spent_micros=8, cap_micros=10,
                    period=CapPeriod.TOTAL,
                )  # fmt: skip
                (told,) = notifications_of(cap, world)
                found = [hears(it, told, world) for it in here.directory.all()]
                assert found == [it.user is None for it in here.directory.all()]

            await here.plane.read(view)
            await here.do(commands.SetUserDisabled(by=None, user="ann", is_disabled=True))
            await here.plane.read(without_her)

    asyncio.run(body())


WEB = "https://hooks.example.org/x"


@pytest.fixture
def store(tmp_path: Path) -> Any:
    opened = open_sqlite(tmp_path / "parkade.sqlite3")
    yield opened
    opened.close()


def test_receivers_are_bounded_for_each_and_in_all(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parkade.messages.receivers.MOST_RECEIVERS", 6)
    directory = Directory(store, RULES_OF_PEOPLE)

    def add(user: str) -> None:
        directory.add(org="acme", user=user, address=WEB, about=("ended",), now_us=1)

    for _ in range(5):
        add("ann")
    with pytest.raises(Refused, match="remove one first"):
        add("ann")
    add("ben")
    with pytest.raises(Refused, match="as many receivers"):
        add("cid")


def test_an_org_has_so_many_receivers_and_keeps_no_other_out(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parkade.messages.receivers.MOST_OF_AN_ORG", 6)
    directory = Directory(store, RULES_OF_PEOPLE)

    def add(org: str, user: str) -> None:
        directory.add(org=org, user=user, address=WEB, about=("ended",), now_us=1)

    for user in ("ann", "ben", "cid", "dan", "eva", "fay"):
        add("many", user)
    with pytest.raises(Refused, match="many has 6 receivers already"):
        add("many", "gus")
    add("few", "eve")


def test_tests_are_bounded_for_an_org_and_an_address_in_an_hour(store: SqlStore) -> None:
    directory = Directory(store, RULES_OF_PEOPLE)

    def add(user: str, address: str) -> Receiver:
        return directory.add(org="acme", user=user, address=address, about=("ended",), now_us=1)

    def is_refused(receiver: Receiver, at_us: int) -> bool:
        try:
            directory.ask_test(receiver, at_us)
        except Refused:
            return True
        return False

    one, same = add("ann", WEB), add("ben", WEB)
    assert not any(is_refused(one, 1) for _ in range(TO_AN_ADDRESS))
    assert is_refused(same, 2), "the address, whoever asks"
    assert directory.take_tests() == [(one.receiver, None)], (
        "one waits, however often it was asked for"
    )
    others = [add(f"u{number}", f"{WEB}/{number}") for number in range(10)]
    asked = [is_refused(each, 3) for each in others for _ in range(6)]
    assert asked.count(False) == OF_AN_ORG - TO_AN_ADDRESS
    rival = directory.add(org="rival", user="eve", address=f"{WEB}/r", about=KINDS, now_us=1)
    assert not is_refused(rival, 3)
    sent = [*[each.receiver for each in others[:9]], rival.receiver]
    assert directory.take_tests() == [(each, None) for each in sent]
    assert not is_refused(same, 1 + HOUR_US)


def test_a_receiver_that_an_earlier_version_kept_is_about_what_it_may_hear_of(
    store: SqlStore,
) -> None:
    made = Directory(store, RULES_OF_PEOPLE).add(
        org="acme", user="ann", address=WEB, about=KINDS, now_us=1
    )
    assert made.about == get_args(About)
    earlier = replace(made, receiver="webhook-0", about=(*made.about, "test"))
    store.keep_receiver(earlier.receiver, msgspec.json.encode(earlier))
    found = Directory(store, RULES_OF_PEOPLE).find("webhook-0")
    assert found == replace(earlier, about=made.about)


def test_receivers_are_found_by_their_org_also_after_a_restart(store: SqlStore) -> None:
    directory = Directory(store, RULES_OF_PEOPLE)
    add = directory.add
    ann, acme, eve = (
        add(org=org, user=user, address=WEB, about=("ended",), now_us=1).receiver
        for org, user in (("acme", "ann"), ("acme", None), ("rival", "eve"))
    )

    def found(of: Directory) -> dict[str, set[str]]:
        return {org: {it.receiver for it in its} for org, its in of.of_orgs().items()}

    assert found(directory) == {"acme": {ann, acme}, "rival": {eve}}
    assert found(Directory(store, RULES_OF_PEOPLE)) == found(directory)
    directory.remove(eve)
    assert found(directory) == {"acme": {ann, acme}}


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("ann@y.org", "alone"),
        ("ann@evil.org\nBcc: all@x.org", "no address"),
        ("ann@x.org, bob@x.org", "no address"),
        ("@x.org", "no address"),
        ("a@b@x.org", "no address"),
        ("=?utf-8?b?dkBldmlsLm9yZyw=?=x@x.org", "no address"),
        ("root]@x.org", "no address"),
        ("root:@x.org", "no address"),
        ("=?.:-Qz-@x.org", "no address"),
        ("ann%evil.org@x.org", "no address"),
        ("evil.org!ann@x.org", "no address"),
        ("-oQ/tmp@x.org", "no address"),
        ("|sh@x.org", "no address"),
        ("a..b@x.org", "no address"),
        ("a" * 65 + "@x.org", "no address"),
        ("ann@x.org.", "alone"),
        ("ann@=?x?=", "alone"),
    ],
)
def test_mail_goes_to_the_operators_domains_alone(store: SqlStore, address: str, says: str) -> None:
    directory = Directory(store, replace(RULES_OF_PEOPLE, mail=MAIL))
    with pytest.raises(Refused, match=says):
        directory.add(org="acme", user="ann", address=address, about=("ended",), now_us=1)
    for taken in ("ann@X.org", "ann.o'neil+runs@x.org"):
        made = directory.add(org="acme", user="ann", address=taken, about=("ended",), now_us=1)
        assert (made.kind, made.secret) == ("mail", "")


def test_a_person_is_told_by_mail(tmp_path: Path) -> None:
    with post() as (port, sent):
        mail = replace(MAIL, port=port)
        opened = open_sqlite(tmp_path / "parkade.sqlite3")
        directory = Directory(opened, replace(RULES_OF_PEOPLE, mail=mail))
        made = directory.add(org="a", user="b", address="b@x.org", about=("ended",), now_us=1)
        directory.senders()[made.receiver].send(message("a"), 10**15)
        opened.close()
        assert any(line.startswith("To: b@x.org") for line in sent)
        assert [line for line in sent if line.startswith("rcpt")] == ["rcpt TO:<b@x.org>\r\n"]


@given(st.text("abz=?:.,;<>[]()@!%|`'\"\\/-+_ \n", max_size=20))
def test_an_address_that_is_taken_is_the_only_one_in_the_header(name: str) -> None:
    directory = Directory(_Nowhere(), replace(RULES_OF_PEOPLE, mail=MAIL))
    address = f"{name}@x.org"
    with contextlib.suppress(Refused):
        directory.add(org="a", user="b", address=address, about=("ended",), now_us=1)
        mail = EmailMessage()
        mail["To"] = address
        assert [each for _, each in getaddresses([str(mail["To"])])] == [address]


class _Nowhere:
    """A store that keeps nothing."""

    def receivers(self) -> Sequence[bytes]:
        return ()

    def keep_receiver(self, receiver: str, body: bytes) -> None: ...

    def change_receiver(self, receiver: str, body: bytes) -> None: ...

    def forget_receiver(self, receiver: str) -> None: ...


def test_what_an_operator_allowed_and_takes_back_is_sent_no_more(store: SqlStore) -> None:
    lab = Directory(store, RULES_OF_PEOPLE)
    made = lab.add(org="a", user="b", address="http://127.0.0.1:9999/", about=("ended",), now_us=1)
    assert made.receiver in lab.senders()
    strict = Directory(store, PeopleRules(addresses=AddressRules(), mail=None))
    assert strict.find(made.receiver) == made and strict.senders() == {}
    assert Directory(store, None).all() == ()


def test_a_network_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "messages.yaml").write_text("format: 1\npeople: {private: [lab]}\n")
    with pytest.raises(BadSettings, match="private"):
        read_messages_file(tmp_path)
