"""What the page says bounds a thing is what bounds it."""

import pytest

from parkade.console import history, recent, sessions
from parkade.control.settings import PlaneSettings
from parkade.core.units.time import DAY_US
from parkade.messages import queue, receivers
from parkade.service.telling import OUTBOX
from parkade.store.tables import metadata
from tests.docs.pages import ROOT, table

ROWS = {
    what.partition(":")[0]: (where, bound)
    for what, where, bound in table(ROOT / "docs/operate.md", "What grows, and what bounds it")
}
SETTINGS = PlaneSettings()


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("snapshots of the world", f"newest {SETTINGS.snapshots_kept},"),
        ("answers kept for repeated requests", f"{SETTINGS.answers_kept_us // DAY_US} days"),
        ("people's own receivers", f"{receivers.MOST_OF_ONE} of a user"),
        ("people's own receivers", f"{receivers.MOST_OF_AN_ORG} of an org"),
        (
            "people's own receivers",
            f"{receivers.MOST_RECEIVERS} in all",
        ),
        ("messages that wait", f"{queue.MOST_WAITING} of a receiver"),
        ("messages that wait", f"names {queue.KEPT_US // DAY_US} days"),
        ("events for followers and the console", f"{SETTINGS.feed_length} and {recent.MOST};"),
        ("sessions of the console", f"{sessions.MOST_OF_A_USER} of a user"),
        ("sessions of the console", f"{sessions.MOST_SESSIONS} in all"),
    ],
)
def test_a_bound_on_the_page_is_the_programs(what: str, told: str) -> None:
    assert told in ROWS[what][1]


def test_the_curves_are_as_long_as_the_page_says() -> None:
    assert "half an hour finely, a day by the minute" in ROWS["the console's curves"][1]
    assert (history.FINE_S, history.DAY_S, history.MINUTE_S) == (1_800, 86_400, 60)


def test_every_table_of_the_journal_is_on_the_page() -> None:
    named = " ".join(where for where, _ in ROWS.values())
    assert {name for name in metadata.tables if f"`{name}`" not in named} == {"meta"}
    assert OUTBOX in named
