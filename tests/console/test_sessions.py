"""Sessions where their file cannot be written: a logout holds, or says that it may not."""

from pathlib import Path

from parkade.api.context import digest_of
from parkade.console.security import COOKIE
from parkade.console.sessions import Sessions
from tests.api.town import Town
from tests.console.visitor import Visitor, visitor

NAME = "console-sessions.json"


def block_the_next_write(folder: Path) -> None:
    """As a full disk does: what is there can be removed, and nothing new written."""
    Path(folder, NAME).with_suffix(".new").mkdir()


def block_all(folder: Path) -> None:
    """As a file system that is read-only: nothing can be written or removed."""
    block_the_next_write(folder)
    Path(folder, NAME).unlink()
    Path(folder, NAME, "inside").mkdir(parents=True)


def test_a_logout_on_a_full_disk_outlives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / NAME
    sessions = Sessions(file, session_s=100)
    ended, other = sessions.begin("a", 0), sessions.begin("b", 0)
    block_the_next_write(tmp_path)
    assert sessions.end(ended)
    assert sessions.find(ended, 1) is None and sessions.find(other, 1) is not None
    again = Sessions(file, session_s=100)
    assert again.find(ended, 1) is None
    assert again.find(other, 1) is None, "its price: all log in again after a restart"


def test_a_login_on_a_full_disk_holds_until_the_server_stops(tmp_path: Path) -> None:
    file = tmp_path / NAME
    sessions = Sessions(file, session_s=100)
    before = sessions.begin("a", 0)
    block_the_next_write(tmp_path)
    late = sessions.begin("b", 0)
    assert sessions.find(late, 1) is not None
    again = Sessions(file, session_s=100)
    assert again.find(late, 1) is None and again.find(before, 1) is not None


def test_a_logout_that_a_restart_would_undo_is_told(tmp_path: Path) -> None:
    sessions = Sessions(tmp_path / NAME, session_s=100)
    session = sessions.begin("a", 0)
    block_all(tmp_path)
    assert not sessions.end(session)
    assert sessions.find(session, 1) is None, "it ends here all the same"


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
