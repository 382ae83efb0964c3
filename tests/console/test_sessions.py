"""Sessions are bounded, for each user too. Where their file cannot be written, a logout holds, or
says that it may not."""

import asyncio
import threading
from pathlib import Path

import pytest

from parkade.api.context import digest_of
from parkade.console import sessions as module
from parkade.console.security import COOKIE
from parkade.console.sessions import MOST_OF_A_TOKEN, MOST_OF_A_USER, Sessions
from tests.api.town import Town
from tests.console.visitor import Visitor, visitor

NAME = "console-sessions.json"


async def begin(sessions: Sessions, token: str, *, user: str = "ann", org: str = "acme") -> str:
    return await sessions.begin(token, 0, user=user, org=org)


def block_the_next_write(folder: Path) -> None:
    """As a full disk does: what is there can be removed, and nothing new written."""
    Path(folder, NAME).with_suffix(".new").mkdir()


def block_all(folder: Path) -> None:
    """As a file system that is read-only: nothing can be written or removed."""
    block_the_next_write(folder)
    Path(folder, NAME).unlink()
    Path(folder, NAME, "inside").mkdir(parents=True)


async def test_a_logout_on_a_full_disk_outlives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / NAME
    sessions = Sessions(file, session_s=100)
    ended, other = await begin(sessions, "a"), await begin(sessions, "b")
    block_the_next_write(tmp_path)
    assert await sessions.end(ended)
    assert sessions.find(ended, 1) is None and sessions.find(other, 1) is not None
    again = Sessions(file, session_s=100)
    assert again.find(ended, 1) is None
    assert again.find(other, 1) is None, "its price: all log in again after a restart"


async def test_a_login_on_a_full_disk_holds_until_the_server_stops(tmp_path: Path) -> None:
    file = tmp_path / NAME
    sessions = Sessions(file, session_s=100)
    before = await begin(sessions, "a")
    block_the_next_write(tmp_path)
    late = await begin(sessions, "b")
    assert sessions.find(late, 1) is not None
    again = Sessions(file, session_s=100)
    assert again.find(late, 1) is None and again.find(before, 1) is not None


async def test_a_logout_that_a_restart_would_undo_is_told(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / NAME, session_s=100)
    session = await begin(sessions, "a")
    block_all(tmp_path)
    assert not await sessions.end(session)
    assert sessions.find(session, 1) is None, "it ends here all the same"


async def test_a_token_and_a_user_have_so_many_sessions_and_their_own_oldest_ends() -> None:
    sessions = Sessions(None, session_s=100)
    other = await begin(sessions, "of ben", user="ben")
    made = [await begin(sessions, "t0") for _ in range(MOST_OF_A_TOKEN + 1)]
    assert sessions.find(made[0], 1) is None
    assert all(sessions.find(each, 1) for each in made[1:])
    made += [await begin(sessions, f"t{number}") for number in range(MOST_OF_A_USER)]
    found = [each for each in made if sessions.find(each, 1) is not None]
    assert found == made[-MOST_OF_A_USER:], "many tokens make no more"
    assert sessions.find(other, 1) is not None


async def test_where_all_sessions_are_taken_the_org_with_the_most_gives_one_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_SESSIONS", 8)
    sessions = Sessions(None, session_s=100)
    operators = await begin(sessions, "o", user="op", org="house")
    many = [
        await begin(sessions, f"t{number}", user=f"u{number}", org="many") for number in range(20)
    ]
    late = await begin(sessions, "late", user="eve", org="rival")
    assert sessions.find(operators, 1) is not None and sessions.find(late, 1) is not None
    assert [each for each in many if sessions.find(each, 1) is not None] == many[-6:]


async def test_logins_at_once_share_what_is_written_and_each_outlives_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    replaced = Path.replace

    def replace(self: Path, target: Path) -> Path:
        threads.append(threading.current_thread().name)
        return replaced(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    file = tmp_path / NAME
    sessions = Sessions(file, session_s=100)
    made = await asyncio.gather(*(begin(sessions, f"t{n}", user=f"u{n}") for n in range(50)))
    again = Sessions(file, session_s=100)
    assert all(again.find(each, 1) is not None for each in made)
    assert len(threads) <= 2, "the first, and one for all that waited meanwhile"
    assert threading.main_thread().name not in threads


def test_the_page_says_that_a_logout_may_not_hold_and_what_to_do(fresh: Town) -> None:
    person = visitor(fresh.url, fresh.operator)
    cookie = person.http.cookies[COOKIE]
    form = person.text("/")
    block_all(fresh.folder)
    answer = person.submit("/logout", form)
    assert answer.status_code == 507
    assert "parkade token revoke" in answer.text and "Max-Age=0" in answer.headers["set-cookie"]
    kept = Visitor(fresh.url)
    kept.http.cookies.set(COOKIE, cookie)
    assert kept.get("/").status_code == 303, "this server knows it no more"
    assert digest_of(fresh.operator) not in answer.text
