"""An address of mail that a person sets gets a code, and nothing else until that came back."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from parkade.core.state import commands, events
from parkade.core.units.time import DAY_US
from parkade.messages.codes import LASTS_US, TRIES
from parkade.messages.rates import TO_AN_ADDRESS
from parkade.messages.receivers import KINDS, Directory, Receiver, Refused, TooOften
from parkade.store import SqlStore, open_sqlite
from tests import builders
from tests.agent.test_agent import until
from tests.messages.test_queue import post, web
from tests.service.test_notify import MAIL, RULES_OF_PEOPLE, house

pytestmark = pytest.mark.system

RULES = replace(RULES_OF_PEOPLE, mail=MAIL)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    opened = open_sqlite(tmp_path / "parkade.sqlite3")
    yield opened
    opened.close()


def added(directory: Directory, address: str = "head@x.org", now_us: int = 1) -> Receiver:
    return directory.add(org="acme", user="ann", address=address, about=KINDS, now_us=now_us)


def code_of(directory: Directory, receiver: Receiver) -> str:
    """What waits to be sent to it."""
    (code,) = [code for name, code in directory.take_tests() if name == receiver.receiver]
    assert code is not None
    return code


def is_confirmed(directory: Directory, receiver: Receiver) -> bool:
    found = directory.find(receiver.receiver)
    assert found is not None
    return found.unconfirmed is None


def test_an_address_of_mail_hears_nothing_but_its_code_until_that_came_back(tmp_path: Path) -> None:
    async def body() -> None:
        with post() as (port, sent), web(200) as (orgs, of_org):
            async with house(tmp_path, mail_port=port) as here:
                await here.open()
                here.add("head@x.org", "acme", "ann")
                here.add(orgs, "acme", None)
                await until(lambda: any(it.startswith("code: ") for it in sent))
                await here.run_to_its_end("acme", "ann")
                await until(lambda: len(of_org) == 3)
                assert subjects(sent) == ["Confirm that Parkade may write to you here"]
                assert "asked_by: ann of acme\r\n" in sent
                (name,) = (it.receiver for it in here.directory.of("acme", "ann"))
                code = re.findall(r"^code: (\d{8})\r\n", "".join(sent), re.MULTILINE)[0]
                here.directory.confirm(name, code, 2)
                before = len(subjects(sent))
                decided = await here.do(builders.submit("acme", "ann"))
                (made,) = (it for it in decided.events if isinstance(it, events.Submitted))
                workload = made.workload.workload
                await here.do(commands.Cancel(by="ann", workload=workload, now=True))
                await until(lambda: len(subjects(sent)) > before)
        assert before == 1 and subjects(sent)[1].startswith(f"{workload} ")

    asyncio.run(body())


def subjects(sent: list[str]) -> list[str]:
    return [it.removeprefix("Subject: ").strip() for it in sent if it.startswith("Subject: ")]


def test_a_code_is_good_once_for_a_day_and_after_a_restart(store: SqlStore) -> None:
    directory = Directory(store, RULES)
    late, soon = added(directory), added(directory)
    codes = dict(directory.take_tests())
    code, other = codes[late.receiver], codes[soon.receiver]
    assert code is not None and other is not None
    assert code.encode() not in b"".join(store.receivers())
    again = Directory(store, RULES)
    with pytest.raises(Refused, match="sends another"):
        again.confirm(late.receiver, code, 1 + LASTS_US)
    assert LASTS_US == DAY_US
    again.confirm(soon.receiver, other, LASTS_US)
    assert is_confirmed(again, soon) and not is_confirmed(again, late)
    assert is_confirmed(Directory(store, RULES), soon)
    again.confirm(soon.receiver, "no matter", LASTS_US)
    assert is_confirmed(again, soon), "a repeated answer changes nothing"


def test_a_code_may_be_tried_so_often_also_over_restarts_and_another_is_sent(
    store: SqlStore,
) -> None:
    directory = Directory(store, RULES)
    made = added(directory)
    code = code_of(directory, made)
    wrong = "0" * 8 if code != "0" * 8 else "1" * 8
    for _ in range(TRIES):
        with pytest.raises(Refused, match="not the code"):
            Directory(store, RULES).confirm(made.receiver, wrong, 2)
    directory = Directory(store, RULES)
    with pytest.raises(Refused, match="sends another"):
        directory.confirm(made.receiver, code, 2)
    found = directory.find(made.receiver)
    assert found is not None
    directory.ask_test(found, 3)
    another = code_of(directory, made)
    directory.confirm(made.receiver, f" {another[:4]} {another[4:]} ", 3)
    assert is_confirmed(directory, made)
    directory.ask_test(directory.find(made.receiver) or made, 4)
    assert directory.take_tests() == [(made.receiver, None)]


def test_codes_are_sent_under_the_rate_of_tests(store: SqlStore) -> None:
    directory = Directory(store, RULES)
    for _ in range(TO_AN_ADDRESS):
        made = added(directory)
        directory.remove(made.receiver)
    with pytest.raises(TooOften, match="this address"):
        added(directory, "HEAD@x.org")
    assert directory.all() == ()
    added(directory, "other@x.org")


def test_a_webhook_and_a_receiver_kept_before_need_no_code(store: SqlStore) -> None:
    directory = Directory(store, RULES)
    made = added(directory)
    kept = msgspec.json.decode(msgspec.json.encode(made))
    del kept["unconfirmed"]
    store.keep_receiver("mail-0", msgspec.json.encode({**kept, "receiver": "mail-0"}))
    hook = added(directory, "https://hooks.example.org/x")
    assert hook.unconfirmed is None
    earlier = Directory(store, RULES).find("mail-0")
    assert earlier is not None and earlier.unconfirmed is None
