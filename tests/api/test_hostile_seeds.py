"""Whatever is sent, the server answers in its own words, soon and shortly, and goes on."""

import random
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from parkade.wire.problems import CODES
from tests.api import hostile
from tests.api.roles import NEEDS, Cast
from tests.api.town import town as running
from tests.store import postgres

LONGEST_REFUSAL = 20_000
SLOW = pytest.mark.slow
ROUTES = sorted(NEEDS)
CALLERS = ("operator", "operator", "owner", "user", "stranger")


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=SLOW)])
def people(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cast]:
    """A server on a file and, in the long run, one on a real PostgreSQL."""
    with ExitStack() as opened:
        database = ""
        if request.param == "postgresql":
            if not postgres.IS_THERE:
                pytest.skip("PostgreSQL or psycopg is not installed")
            database = postgres.new_database(opened.enter_context(postgres.server()), "hostile")
        folder = tmp_path_factory.mktemp("hostile")
        yield Cast(opened.enter_context(running(folder, database=database)))


def send(people: Cast, seed: int) -> tuple[hostile.Sent, httpx.Response]:
    """The request of a seed and its answer."""
    chance = random.Random(seed)
    route = ROUTES[seed % len(ROUTES)]
    names = people.names_kept(route)
    sent = hostile.request(route, names, lambda: people.body(route, names), chance)
    headers = {**people.town.headers(people.tokens[chance.choice(CALLERS)]), **sent.headers}
    with people.town.http.stream(
        sent.method,
        sent.url,
        headers={key.encode(): value.encode("latin-1") for key, value in headers.items()},
        content=sent.content,
    ) as answer:
        is_stream = answer.headers.get("content-type", "").startswith("text/event-stream")
        if not is_stream:
            answer.read()
    return sent, answer


def holds(sent: hostile.Sent, answer: httpx.Response) -> None:
    """What must be true of every answer."""
    if answer.is_success:
        return
    assert answer.status_code < 500 or answer.status_code == 503, (sent, answer.text)
    if answer.headers.get("content-type") == "application/problem+json":
        assert answer.json()["code"] in CODES, (sent, answer.text)
    else:
        assert answer.status_code in (307, 400), (sent, answer.status_code, answer.text)
    assert len(answer.content) < LONGEST_REFUSAL, sent


@pytest.mark.parametrize(
    "path",
    ["statement?account=a%00b", "workloads/a%00b", "mars/incidents/a%00b", "workloads?org=a%00b"],
)
def test_a_name_with_a_zero_byte_is_refused_by_every_database(people: Cast, path: str) -> None:
    answer = people.town.http.get(f"/v1/{path}", headers=people.town.headers(None))
    assert answer.status_code in (200, 404)


@pytest.mark.parametrize("seeds", [range(186), pytest.param(range(186, 20_000), marks=SLOW)])
def test_no_request_is_answered_by_a_failure_or_at_length(people: Cast, seeds: range) -> None:
    for seed in seeds:
        holds(*send(people, seed))
    metrics = people.town.http.get("/metrics").text
    assert "parkade_up 1.0" in metrics
    assert "parkade_internal_refusals_total 0.0" in metrics
