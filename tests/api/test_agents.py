"""What an agent tells of its engine, and what only an agent may do."""

import msgspec

from parkade.control.clock import SystemClock
from parkade.ports import Capabilities, Observation
from tests.api.town import Town


def test_a_spec_that_the_pools_engine_cannot_carry_out_is_refused_by_name(fresh: Town) -> None:
    pool, (_, owner) = fresh.pool(), fresh.org()
    engine = Capabilities(
        engine="tiny",
        version="1",
        isolates_users=False,
        has_containers=False,
        keeps_memory_limits=False,
        unsupported_keys=("env_file",),
    )
    observation = Observation(
        pool=pool,
        at_us=SystemClock().now_us(),
        is_complete=True,
        attempts=(),
        capabilities=engine,
    )
    content = msgspec.json.encode(observation)
    url = f"/v1/pools/{pool}/observation"
    assert fresh.http.post(url, content=content, headers=fresh.headers(None)).is_success
    body = {"spec": fresh.spec(env_file="~/keys")}
    for path in ("/workloads", "/workloads/plan"):
        refused = fresh.post(path, body, owner)
        problem = refused.json()
        assert (refused.status_code, problem["code"]) == (422, "unsupported")
        assert problem["errors"][0]["place"] == "spec.env_file"
    fresh.done(fresh.post("/workloads", {"spec": fresh.spec()}, owner))
