"""The API against its own schema: whatever is sent, the answer is one that the schema tells."""

import os

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.town import Town
from tests.waits import PATIENCE_S

pytestmark = pytest.mark.system

CHECKS: list[CheckFunction] = [
    schemathesis.checks.not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
]
# It takes no parameter, no body and no token.
NOTHING_TO_SPOIL = "POST /v1/logins"
# These stream, or wait as long as they are told to.
STREAMS = {"/v1/events", "/v1/pools/{pool}/desired", "/v1/pools/{pool}/log-requests"}
EXAMPLES = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 3


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_that_the_schema_tells(town: Town, mode: GenerationMode) -> None:
    """Each example is sent with the token of each kind of caller, the operator's last."""
    tokens = tokens_of_all_kinds(town)
    schema = schemathesis.openapi.from_url(f"{town.url}/v1/openapi.json")
    tried = 0
    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        if operation.path in STREAMS:
            continue
        if mode is GenerationMode.NEGATIVE and operation.label == NOTHING_TO_SPOIL:
            continue
        tried += 1

        @settings(
            max_examples=EXAMPLES,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode).filter(is_sent_as_made))
        def holds(case: schemathesis.Case) -> None:
            for caller, token in tokens.items():
                try:
                    headers = town.headers(token)
                    case.call_and_validate(checks=CHECKS, headers=headers, timeout=PATIENCE_S)
                except Exception as error:
                    error.add_note(f"sent as {caller}")
                    raise

        holds()
    assert tried > 35


def is_sent_as_made(case: schemathesis.Case) -> bool:
    """Whether no query parameter is spoilt by a list that a query cannot tell from what is right:
    an empty one is not sent, and one of one value is sent as that value."""
    return not any(isinstance(it, list) and len(it) < 2 for it in (case.query or {}).values())


def tokens_of_all_kinds(town: Town) -> dict[str, str]:
    """Good tokens of an org with money, of its pool's agent, and of the operator."""
    pool, org = town.pool(), town.name("org")
    town.done(town.post("/orgs", {"org": org}))
    town.done(town.post(f"/orgs/{org}/deposits", {"amount": "10000"}))
    tokens = {"agent": town.done(town.post(f"/pools/{pool}/agent-tokens", {}))["secret"]}
    for caller, role, is_read_only in (
        ("partner", "partner", False),
        ("member", "member", False),
        ("owner who only looks", "owner", True),
        ("owner", "owner", False),
    ):
        user = town.name("user")
        town.done(town.post("/users", {"user": user, "org": org, "role": role}))
        asked = {"user": user, "is_read_only": is_read_only}
        tokens[caller] = town.done(town.post("/tokens", asked))["secret"]
    return {**tokens, "operator": town.operator}


@pytest.mark.parametrize("path", ["/v1/docs", "/v1/openapi.json"])
def test_the_api_is_described_where_it_is_served(town: Town, path: str) -> None:
    assert town.http.get(path).status_code == 200
