"""The queue: kept on disk, sent at least once, tried again with pauses, given up out loud."""

import http.server
import json
import math
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from parkade.core.units.time import DAY_US, MINUTE_US, SECOND_US
from parkade.messages import queue, tables
from parkade.messages.queue import FIRST_US, Message, MessageQueue, NotHeard, Waiting
from parkade.messages.queue_file import QueueUnreachable, queue_file, waiting_in
from parkade.messages.senders import Mail, Webhook, addresses_in, is_signed
from tests.messages.conftest import Place
from tests.waits import PATIENCE_S, until

S = SECOND_US


class Receiver:
    """Takes messages unless a test says otherwise."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.trouble: NotHeard | None = None

    def send(self, message: Message, now_us: int) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.heard.append(message.name)


def message(name: str = "incident-1/opened", at_us: int = S) -> Message:
    return Message(
        name=name, kind="incident", subject=f"{name} began", body={"node": "n1"}, at_us=at_us
    )


def test_a_message_is_sent_once_to_each_receiver_also_if_it_is_put_in_again(place: Place) -> None:
    one, two = Receiver(), Receiver()
    messages = MessageQueue(place(), {"one": one, "two": two})
    messages.put(message())
    messages.put(message())
    assert messages.send_due(S) is None
    messages.put(message())
    messages.send_due(2 * S)
    assert one.heard == two.heard == ["incident-1/opened"]
    messages.close()


class Holding(Receiver):
    """Takes its time for each message: as long as the test likes."""

    def __init__(self) -> None:
        super().__init__()
        self.may_take = threading.Semaphore(0)
        self.asked_s = math.inf

    def send(self, message: Message, now_us: int) -> None:
        self.asked_s = time.monotonic()
        assert self.may_take.acquire(timeout=PATIENCE_S)
        super().send(message, now_us)


def test_receivers_that_take_their_time_delay_no_other(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where they take every thread there is, until they are known."""
    monkeypatch.setattr(queue, "TURN_S", 0.05)
    holding = {f"slow-{number}": Holding() for number in range(queue.SENT_AT_ONCE)}
    quick = Receiver()
    messages = MessageQueue(place(), {**holding, "quick": quick})
    for name in ("a", "b", "c"):
        messages.put(message(name), holding)
    messages.send_due(S, within_s=0.0)
    until(lambda: time.monotonic() > queue.TURN_S + max(it.asked_s for it in holding.values()))
    for each in holding.values():
        each.may_take.release()
    until(lambda: not messages._busy)
    assert all(each.heard == ["a"] for each in holding.values()), "one turn each"
    assert messages._slow == set(holding)
    messages.send_due(S, within_s=0.0)
    messages.put(message("quick"), ["quick"])
    messages.send_due(S, within_s=0.0)
    until(lambda: quick.heard == ["quick"])
    assert all(each.heard == ["a"] for each in holding.values())
    for each in holding.values():
        each.may_take.release(2)
    until(lambda: messages.send_due(S, within_s=0.1) is None)
    assert all(each.heard == ["a", "b", "c"] for each in holding.values())
    messages.close()


def test_only_the_servers_user_reads_the_file(tmp_path: Path) -> None:
    """Others may pass the folder that it lies in, and could lock it as well."""
    path = tmp_path / "outbox"
    path.touch(0o644)
    messages = MessageQueue(queue_file(path), {"one": Receiver()})
    messages.put(message())
    modes = {it.name: it.stat().st_mode & 0o777 for it in tmp_path.iterdir()}
    assert len(modes) > 1 and set(modes.values()) == {0o600}, modes
    messages.close()


def test_of_what_has_ended_its_name_alone_is_kept(tmp_path: Path) -> None:
    """A code that confirms an address is in such a message; a final no ends it as well."""
    path, no = tmp_path / "outbox", Receiver()
    no.trouble = NotHeard("no such address", is_final=True)
    messages = MessageQueue(queue_file(path), {"one": Receiver(), "no": no})
    messages.put(msgspec.structs.replace(message(), subject="13572468", body={"code": "13572468"}))
    messages.send_due(S)
    with sa.create_engine(f"sqlite:///{path}").connect() as connection:
        rows = connection.execute(sa.select(tables.messages)).mappings().all()
    assert [it["name"] for it in rows] == ["incident-1/opened"] * 2
    assert "13572468" not in str(rows)
    messages.close()


def test_what_waits_survives_a_restart_and_what_was_sent_is_still_known(place: Place) -> None:
    receiver = Receiver()
    receiver.trouble = NotHeard("down")
    messages = MessageQueue(place(), {"one": receiver})
    messages.put(message("a"))
    messages.send_due(S)
    messages.close()
    receiver.trouble = None
    messages = MessageQueue(place(), {"one": receiver})
    messages.send_due(MINUTE_US)
    messages.put(message("a"))
    messages.send_due(2 * MINUTE_US)
    assert receiver.heard == ["a"]
    messages.close()


def test_what_was_being_sent_when_the_process_died_comes_again_under_the_same_name(
    place: Place,
) -> None:
    class Dying(Receiver):
        def send(self, message: Message, now_us: int) -> None:
            super().send(message, now_us)
            if len(self.heard) == 1:
                raise KeyboardInterrupt

    receiver = Dying()
    messages = MessageQueue(place(), {"one": receiver})
    messages.put(message("a"))
    with pytest.raises(KeyboardInterrupt):
        messages.send_due(S)
    messages.close()
    messages = MessageQueue(place(), {"one": receiver})
    messages.send_due(2 * S)
    assert receiver.heard == ["a", "a"]
    messages.close()


def test_what_one_server_left_the_next_one_sends_and_knows_what_was_heard(place: Place) -> None:
    receiver = Receiver()
    first = MessageQueue(place(), {"one": receiver})
    first.put(message("a"))
    first.send_due(S)
    first.put(message("b"))
    first.advance(7, "digest")
    # The first one hangs, and lets go of nothing.
    second = MessageQueue(place(), {"one": receiver})
    assert second.positions() == [(7, "digest")]
    second.put(message("a"))
    second.put(message("b"))
    second.send_due(2 * S)
    first.put(message("b"))
    first.send_due(3 * S)
    assert receiver.heard == ["a", "b"]
    first.close()
    second.close()


def test_a_queue_takes_what_a_file_of_before_holds_once(place: Place, tmp_path: Path) -> None:
    path, receiver = tmp_path / "messages.sqlite3", Receiver()
    receiver.trouble = NotHeard("down")
    before = MessageQueue(queue_file(path), {"one": receiver})
    before.put(message("a"))
    before.advance(3, "three")
    before.close()
    receiver.trouble = None
    messages = MessageQueue(place(), {"one": receiver})
    for _ in range(2):
        messages.adopt(path)
    assert messages.positions() == [(3, "three")]
    messages.send_due(2 * S)
    assert receiver.heard == ["a"] and not path.exists()
    messages.close()


def test_the_newest_positions_are_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "MOST_POSITIONS", 3)
    messages = MessageQueue(place(), {})
    for sequence in (1, 2, 3, 4, 5):
        messages.advance(sequence, str(sequence))
    assert [it for it, _ in messages.positions()] == [5, 4, 3]
    messages.advance(4, "other")
    assert messages.positions() == [(4, "other"), (3, "3")]
    messages.close()


def test_a_database_that_does_not_answer_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(QueueUnreachable):
        MessageQueue(queue_file(tmp_path / "no" / "folder"), {})


def test_pauses_grow_to_ten_minutes_and_a_day_is_the_end(place: Place) -> None:
    receiver, told = Receiver(), []
    receiver.trouble = NotHeard("down")
    messages = MessageQueue(place(), {"one": receiver}, say=lambda *it: told.append(it))
    messages.put(message(at_us=0))
    now_us, pauses = 0, []
    while (due_us := messages.send_due(now_us)) is not None:
        pauses.append((due_us - now_us) // S)
        now_us = due_us
    assert pauses[:5] == [5, 10, 20, 40, 80] and max(pauses) == 600
    assert now_us >= DAY_US and messages.given_up == 1
    assert told[0] == ("one", "down")
    assert told[-1] == ("one", "down; incident-1/opened is given up")
    messages.close()


def test_a_final_no_is_not_asked_again_and_delays_no_other(place: Place) -> None:
    receiver = Receiver()
    messages = MessageQueue(place(), {"one": receiver})
    messages.put(message("a"))
    receiver.trouble = NotHeard("gone", is_final=True)
    assert messages.send_due(S) is None
    receiver.trouble = None
    messages.put(message("b"))
    messages.send_due(2 * S)
    messages.put(message("a"))
    messages.send_due(3 * S)
    assert receiver.heard == ["b"] and messages.given_up == 1
    messages.close()


def test_the_oldest_of_too_many_is_given_up_out_loud_and_stays_known(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MOST_WAITING", 3)
    receiver, told = Receiver(), []
    messages = MessageQueue(place(), {"one": receiver}, say=lambda *it: told.append(it))
    for number in range(5):
        messages.put(message(f"m{number}", at_us=number))
    assert messages.waiting() == 3 and messages.given_up == 2
    assert told[0] == ("one", "more than 3 messages wait; m0 is given up")
    messages.send_due(S)
    messages.put(message("m0", at_us=0))
    messages.send_due(S)
    assert receiver.heard == ["m2", "m3", "m4"]
    messages.close()


def test_what_waits_for_a_silent_receiver_delays_no_other(place: Place) -> None:
    silent, other = Receiver(), Receiver()
    silent.trouble = NotHeard("down")
    messages = MessageQueue(place(), {"silent": silent})
    for number in range(300):
        messages.put(message(f"m{number:03}"))
    messages.close()
    messages = MessageQueue(place(), {"silent": silent, "other": other})
    messages.put(message("new", at_us=2 * S))
    messages.send_due(2 * S)
    assert other.heard == ["new"]
    messages.close()


def test_a_receiver_that_is_silent_is_asked_once_a_round(place: Place) -> None:
    receiver, other = Receiver(), Receiver()
    receiver.trouble = NotHeard("slow")
    messages = MessageQueue(place(), {"one": receiver, "two": other})
    for number in range(20):
        messages.put(message(f"m{number:02}"))
    messages.send_due(S)
    assert messages.failed == 1 and len(other.heard) == 20
    messages.close()


class Failing(Receiver):
    """Its sender has a fault, as one had that was given `https://a..b/`."""

    def send(self, message: Message, now_us: int) -> None:
        raise UnicodeError("label empty or too long")


def test_a_sender_that_fails_in_a_way_it_should_not_is_its_receivers_trouble_alone(
    place: Place,
) -> None:
    heard = Receiver()
    messages = MessageQueue(place(), {"bad": Failing(), "good": heard})
    for number in range(3):
        messages.put(message(f"m{number}", number * S))
        messages.send_due(number * S)
    assert heard.heard == ["m0", "m1", "m2"]
    waiting = messages.waiting_of_each()["bad"]
    assert (waiting.messages, waiting.says) == (3, "it could not be sent: UnicodeError")
    messages.close()


def test_what_stands_broken_in_the_queue_is_its_receivers_trouble_alone(place: Place) -> None:
    heard = Receiver()
    messages = MessageQueue(place(), {"bad": Receiver(), "good": heard})
    messages.put(message(), ("bad",))
    engine = place()
    with engine.begin() as connection:
        connection.execute(sa.update(tables.messages).values(body="{"))
    engine.dispose()
    messages.put(message())
    messages.send_due(S)
    assert heard.heard == ["incident-1/opened"]
    assert messages.waiting_of_each()["bad"].says == "it could not be sent: JSONDecodeError"
    messages.close()


def test_what_is_not_heard_is_told_with_the_error_until_it_is_heard(place: Place) -> None:
    receiver, other = Receiver(), Receiver()
    receiver.trouble = NotHeard("HTTP 500")
    messages = MessageQueue(place(), {"one": receiver, "two": other})
    messages.put(message("m1"))
    messages.put(message("m2"))
    messages.send_due(S)
    told = Waiting(messages=2, says="HTTP 500", failed_us=S, again_us=S + FIRST_US)
    assert messages.waiting_of_each() == {"one": told}
    receiver.trouble = NotHeard("HTTP 410", is_final=True)
    messages.send_due(S + FIRST_US)
    given_up = Waiting(messages=0, says="HTTP 410", failed_us=S + FIRST_US)
    assert messages.waiting_of_each() == {"one": given_up}
    receiver.trouble = None
    messages.put(message("m3", at_us=S + FIRST_US))
    messages.send_due(S + 2 * FIRST_US)
    assert messages.waiting_of_each() == {}
    messages.close()


def test_why_a_receiver_failed_outlives_the_server_until_it_hears_or_is_removed(
    place: Place,
) -> None:
    receiver = Receiver()
    receiver.trouble = NotHeard("HTTP 500")
    messages = MessageQueue(place(), {"one": receiver})
    messages.put(message("m1"))
    messages.send_due(S)
    before = messages.waiting_of_each()
    messages.close()
    messages = MessageQueue(place(), {"one": receiver})
    assert messages.waiting_of_each() == before
    assert before["one"].says == "HTTP 500" and before["one"].again_us == S + FIRST_US
    receiver.trouble = NotHeard("HTTP 410", is_final=True)
    messages.send_due(S + FIRST_US)
    messages.close()
    messages = MessageQueue(place(), {"one": receiver})
    given_up = Waiting(messages=0, says="HTTP 410", failed_us=S + FIRST_US)
    assert messages.waiting_of_each() == {"one": given_up}
    receiver.trouble = None
    messages.put(message("m2", at_us=S + FIRST_US))
    messages.send_due(S + 2 * FIRST_US)
    messages.close()
    messages = MessageQueue(place(), {"one": receiver})
    assert messages.waiting_of_each() == {}
    receiver.trouble = NotHeard("gone", is_final=True)
    messages.put(message("m3", at_us=S + 2 * FIRST_US))
    messages.send_due(S + 3 * FIRST_US)
    messages.send_by({})
    messages.send_due(S + 4 * FIRST_US)
    messages.close()
    messages = MessageQueue(place(), {"one": receiver})
    assert messages.waiting_of_each() == {}
    messages.close()


def test_a_file_that_no_server_has_open_tells_how_many_wait(tmp_path: Path) -> None:
    path, receiver = tmp_path / "messages.sqlite3", Receiver()
    assert waiting_in(path) == 0
    receiver.trouble = NotHeard("down")
    messages = MessageQueue(queue_file(path), {"one": receiver})
    messages.put(message("m1"))
    messages.put(message("m2"))
    messages.close()
    assert waiting_in(path) == 2


def test_a_receiver_that_was_removed_holds_no_other_and_its_messages_are_counted(
    place: Place,
) -> None:
    gone, told = Receiver(), []
    gone.trouble = NotHeard("down")
    outbox = MessageQueue(place(), {"old": gone})
    for number in range(150):
        outbox.put(message(f"m{number:03}"))
    outbox.close()
    here = Receiver()
    outbox = MessageQueue(place(), {"new": here}, say=lambda *it: told.append(it))
    outbox.put(message("z", at_us=2 * S))
    assert outbox.send_due(3 * S) is None
    assert here.heard == ["z"] and outbox.given_up == 150
    assert told[0] == ("old", "the receiver was removed; m000 is given up")
    outbox.close()


def test_a_dead_receiver_delays_no_other_and_is_left_alone_for_its_pause(place: Place) -> None:
    dead, live = Receiver(), Receiver()
    dead.trouble = NotHeard("down")
    outbox = MessageQueue(place(), {"dead": dead, "live": live})
    for second in range(100):
        outbox.put(message(f"m{second:04}", at_us=second * S))
        outbox.send_due(second * S)
        assert live.heard[-1] == f"m{second:04}", "each message is heard in its own round"
    assert outbox.failed <= 5, "asked after 5, 10, 20, 40, … seconds, not for each message"
    outbox.close()


@contextmanager
def dripping(greeting: bytes) -> Iterator[int]:
    """A server that says the greeting, and then a byte every 20 ms for as long as it is heard."""
    over = threading.Event()

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                self.request.sendall(greeting)
                while not over.wait(0.02):
                    self.request.sendall(b"x")
            except OSError:
                return

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            over.set()
            server.shutdown()
            thread.join()


def ends(send: Callable[[], None]) -> BaseException | None:
    """What it ended with; fails the test where it does not end."""
    found: list[BaseException | None] = []

    def run() -> None:
        try:
            send()
        except NotHeard as error:
            found.append(error)
        else:
            found.append(None)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert found, "the sender does not end"
    return found[0]


def test_a_webhook_that_drips_its_header_is_not_heard_after_the_time_out() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nX-Long: ") as port:
        hook = Webhook(url=f"http://127.0.0.1:{port}/", secret=b"s", timeout_s=0.5)
        assert isinstance(ends(lambda: hook.send(message(), S)), NotHeard)


def test_a_webhook_that_drips_its_body_is_heard_by_its_status_alone() -> None:
    with dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n") as port:
        hook = Webhook(url=f"http://127.0.0.1:{port}/", secret=b"s")
        assert ends(lambda: hook.send(message(), S)) is None


def test_a_mail_server_that_drips_is_not_heard_after_the_time_out() -> None:
    with dripping(b"220-") as port:
        mail = Mail(host="127.0.0.1", port=port, sender="a@x", to=("b@x.org",), timeout_s=0.5)
        assert isinstance(ends(lambda: mail.send(message(), S)), NotHeard)


@contextmanager
def web(*codes: int) -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """A web server that answers with these codes in turn, then with 200."""
    got: list[tuple[dict[str, str], bytes]] = []
    answers = list(codes)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((dict(self.headers), body))
            self.send_response(answers.pop(0) if answers else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_webhook_is_signed_over_time_and_body() -> None:
    with web() as (url, got):
        Webhook(url=url, secret=b"shared").send(message(), 1_700_000_000 * S)
    ((headers, body),) = got
    timestamp, given = int(headers["Parkade-Timestamp"]), headers["Parkade-Signature"]
    assert timestamp == 1_700_000_000 and is_signed(b"shared", timestamp, body, given)
    assert not is_signed(b"other", timestamp, body, given)
    assert not is_signed(b"shared", timestamp + 1, body, given), "an old one cannot be replayed"
    assert not is_signed(b"shared", timestamp, body + b" ", given)
    told: dict[str, Any] = json.loads(body)
    assert told == {
        "format": 1,
        "name": "incident-1/opened",
        "kind": "incident",
        "subject": "incident-1/opened began",
        "at_us": S,
        "body": {"node": "n1"},
    }


@pytest.mark.parametrize(
    ("code", "is_final"),
    [
        (500, False),
        (503, False),
        (429, False),
        (425, False),
        (408, False),
        (410, True),
        (400, True),
        (302, True),
    ],
)
def test_which_answers_are_final(code: int, is_final: bool) -> None:
    with web(code) as (url, _), pytest.raises(NotHeard) as found:
        Webhook(url=url, secret=b"s").send(message(), S)
    assert found.value.is_final is is_final


def test_a_webhook_that_no_server_answers_is_tried_again() -> None:
    with pytest.raises(NotHeard) as found:
        Webhook(url="http://127.0.0.1:9/hook", secret=b"s").send(message(), S)
    assert not found.value.is_final


class Post(socketserver.StreamRequestHandler):
    """As little of SMTP as a client needs; keeps the lines of RCPT and of the mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        is_data = False
        while line := self.rfile.readline():
            if is_data:
                is_data = line != b".\r\n"
                if is_data:
                    self.server.lines.append(line.decode())  # type: ignore[attr-defined]
                    continue
                self.wfile.write(b"250 kept\r\n")
                continue
            word = line[:4].upper().strip()
            if word == b"RCPT":
                self.server.lines.append(line.decode())  # type: ignore[attr-defined]
            is_data = word == b"DATA"
            answer = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}
            self.wfile.write(answer.get(word, b"250 fine\r\n"))
            if word == b"QUIT":
                return


@contextmanager
def post() -> Iterator[tuple[int, list[str]]]:
    """A mail server: its port, and the lines of what it took, after whom it is for."""
    lines: list[str] = []
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        server.lines = lines  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1]), lines
        finally:
            server.shutdown()
            thread.join()


def test_a_mail_arrives_with_one_line_of_subject_and_a_name_that_stays() -> None:
    with post() as (port, lines):
        mail = Mail(host="127.0.0.1", port=port, sender="parkade@x.org", to=("ops@x.org",))
        evil = Message(name="n", kind="k", subject="a\nBcc: all@x.org", body={"é": 1}, at_us=S)
        mail.send(evil, S)
        text = "".join(lines)
    assert lines[0] == "rcpt TO:<ops@x.org>\r\n"
    assert "Subject: a Bcc: all@x.org" in text and "\nBcc:" not in text
    assert "Message-ID: <" in text and "To: ops@x.org" in text


def test_no_subject_is_decoded_into_lines_of_the_header() -> None:
    with post() as (port, lines):
        mail = Mail(host="127.0.0.1", port=port, sender="parkade@x.org", to=("ops@x.org",))
        hidden = "=?utf-8?q?x=0D=0ABcc:_all=40evil.org=0D=0A=0D=0Abody?="
        mail.send(Message(name="n", kind="k", subject=hidden, body={}, at_us=S), S)
    assert [line for line in lines if line.startswith("rcpt")] == ["rcpt TO:<ops@x.org>\r\n"]
    assert not any(line.startswith(("Bcc", "body")) for line in lines)
    assert "Subject: = ?utf-8" in "".join(lines)


def test_a_mail_of_an_operator_goes_to_each_address_that_it_names() -> None:
    to = tuple(addresses_in("Hall <hall@x.org>, ops@x.org"))
    with post() as (port, lines):
        Mail(host="127.0.0.1", port=port, sender="p@x.org", to=to).send(message(), S)
    assert lines[:2] == ["rcpt TO:<hall@x.org>\r\n", "rcpt TO:<ops@x.org>\r\n"]
    assert "To: hall@x.org, ops@x.org\r\n" in lines


def test_a_mail_says_its_facts_a_line_each_and_one_that_fails_is_tried_again(
    place: Place,
) -> None:
    with post() as (port, lines):
        here = Mail(host="127.0.0.1", port=port, sender="parkade@x.org", to=("ops@x.org",))
        away = Mail(host="127.0.0.1", port=9, sender="parkade@x.org", to=("ops@x.org",))
        outbox = MessageQueue(place(), {"mail/hall": away})
        facts = {"node": "n1", "held": None, "jobs": ["w1", "w2"], "evil": "a\r\n.\r\nQUIT"}
        outbox.put(Message(name="n", kind="k", subject="n1 is sick", body=facts, at_us=S))
        outbox.send_due(S)
        outbox.close()
        outbox = MessageQueue(place(), {"mail/hall": here})
        assert outbox.send_due(MINUTE_US) is None and outbox.sent == 1
        outbox.close()
    text = "".join(lines).replace("\r\n", "\n").partition("\n\n")[2]
    assert text.strip().splitlines() == [
        "n1 is sick",
        "",
        "node: n1",
        'jobs: ["w1", "w2"]',
        'evil: "a\\r\\n.\\r\\nQUIT"',
    ]
