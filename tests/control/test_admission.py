"""Which agents are answered: one of a pool, and of this journal."""

import asyncio
from pathlib import Path

import pytest

from parkade.control.admission import Admission, AskingAgent, PoolAgent
from parkade.core.units.refusal import Reason
from parkade.ports import Obeyed
from parkade.store import open_sqlite

FIRST = PoolAgent(agent="1", place="a:/data")
SECOND = PoolAgent(agent="2", place="b:/data")


def admission(folder: Path, *, accepting: int = 0) -> Admission:
    """Over an empty journal."""

    async def accepts() -> int:
        return accepting

    store = open_sqlite(folder / "journal.sqlite3", crash_point=lambda _: None)
    return Admission(store, accepts, silence_us=15)


def other(found: Admission, pool: str, agent: PoolAgent, steady_us: int) -> str | None:
    """Why an agent is not answered."""
    asking = AskingAgent(pool=pool, agent=agent, obeyed=None)
    refusal = asyncio.run(found.refuse(asking, steady_us))
    return None if refusal is None else refusal.detail


def test_a_second_agent_is_refused_while_the_first_is_heard_and_follows_it_in_silence(
    tmp_path: Path,
) -> None:
    found = admission(tmp_path)
    assert other(found, "box", FIRST, 100) is None
    assert "at a:/data" in str(other(found, "box", SECOND, 110))
    assert other(found, "lab", SECOND, 110) is None
    assert other(found, "box", FIRST, 114) is None
    assert "at a:/data" in str(other(found, "box", SECOND, 128))
    assert other(found, "box", SECOND, 129) is None
    assert "at b:/data" in str(other(found, "box", FIRST, 130))


@pytest.mark.parametrize(("accepting", "is_refused"), [(0, True), (7, True), (8, False)])
def test_an_agent_of_another_life_is_refused_unless_a_later_epoch_accepted_it(
    tmp_path: Path, accepting: int, is_refused: bool
) -> None:
    found = admission(tmp_path, accepting=accepting)
    obeyed = Obeyed(epoch=7, position=3, digest="0" * 64)
    asking = AskingAgent(pool="box", agent=FIRST, obeyed=obeyed)
    refusal = asyncio.run(found.refuse(asking, 100))
    assert (refusal is not None) is is_refused
    assert bool(found.lacking(115)) is is_refused
    if refusal is not None:
        assert refusal.reason is Reason.CONFLICT
        assert "lacks entry 3" in refusal.detail
    # Of an agent that asks no more nothing is known.
    assert found.lacking(116) == {}
