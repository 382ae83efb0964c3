"""A statement and what has accrued beside it are of one position of the journal."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import httpx

from parkade.api import create_app
from parkade.control.clock import SystemClock
from parkade.control.plane import Plane
from parkade.control.settings import PlaneSettings
from parkade.core.state.commands import Deposit
from parkade.core.units.money import MICROS
from parkade.ports import StatedTransfer, Store
from parkade.service.first import make_operator
from parkade.store import open_sqlite
from tests import builders
from tests.api.town import SETTINGS
from tests.waits import PATIENCE_S


class Interrupted:
    """A store in which something else is committed right before a statement is read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.before: Callable[[], object] = lambda: None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def last_sequence(self) -> int:
        self.before()
        return self._store.last_sequence()

    def statement(self, account: str, **within: Any) -> Sequence[StatedTransfer]:
        self.before()
        return self._store.statement(account, **within)


def test_what_is_posted_while_it_is_read_stands_in_the_next_one(tmp_path: Path) -> None:
    first, second = asyncio.run(_statements(tmp_path))
    assert first == ("5.00", "5.00", ["5.00"])
    assert second == ("12.00", "12.00", ["5.00", "7.00"])


async def _statements(tmp_path: Path) -> list[tuple[str, str, list[str]]]:
    """(balance, closing, lines) of one while a deposit is made, and of the one after it."""
    store = open_sqlite(tmp_path / "parkade.sqlite3", crash_point=builders.no_point)
    slow = Interrupted(store)
    dependencies = builders.dependencies(cast(Store, slow), SystemClock(), on_fatal=_raise)
    plane = Plane(dependencies, PlaneSettings(check_every=1))
    plane.start()
    secrets: list[str] = []
    await make_operator(plane, show_secret=secrets.append, is_new_token_wanted=False)
    loop = asyncio.get_running_loop()

    def deposit() -> object:
        asked = plane.execute(Deposit(by=None, org="one", micros=7 * MICROS))
        return asyncio.run_coroutine_threadsafe(asked, loop).result(PATIENCE_S)

    transport = httpx.ASGITransport(app=create_app(plane, SETTINGS))
    headers = {"Authorization": f"Bearer {secrets[0]}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1/v1", headers=headers, timeout=PATIENCE_S
    ) as http:
        await http.post("/orgs", json={"org": "one"})
        await http.post("/orgs/one/deposits", json={"amount": "5"})
        found = []
        for before in (deposit, lambda: None):
            slow.before = before
            answer = await http.get("/statement", params={"account": "org/one"})
            assert answer.is_success, answer.text
            stated = answer.json()
            lines = [it["amount"] for it in stated["transfers"]]
            found.append((stated["balance"], stated["closing"], lines))
    await plane.close()
    store.close()
    return found


def _raise(error: BaseException) -> None:
    raise error
