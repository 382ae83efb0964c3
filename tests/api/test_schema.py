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
EXAMPLES = 200 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 5


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_one_that_the_schema_tells(town: Town, mode: GenerationMode) -> None:
    town.pool()
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
        @given(case=operation.as_strategy(generation_mode=mode))
        def holds(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS, headers=town.headers(None), timeout=PATIENCE_S)

        holds()
    assert tried > 35


@pytest.mark.parametrize("path", ["/v1/docs", "/v1/openapi.json"])
def test_the_api_is_described_where_it_is_served(town: Town, path: str) -> None:
    assert town.http.get(path).status_code == 200
