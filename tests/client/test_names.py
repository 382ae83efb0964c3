"""The names of calls, and what is imported beside the clients."""

import inspect
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

import pytest
from pydantic import BaseModel

import parkade.client
from parkade.client import AsyncClient, Client
from parkade.client.call import Call
from tests.client.test_clients import described
from tests.docs.pages import documents

OF_A_WORKLOAD = frozenset(
    [
        "submit",
        "plan",
        "wait",
        "logs",
        "why",
        "bid",
        "plan_bid",
        "hold",
        "release",
        "cancel",
        "resubmit",
        "retry",
    ]
)
"""Bare verbs: each is about one workload, which most calls are about."""
ALONE = frozenset({"whoami", "events", "close", "send"})
"""Of the caller, the whole journal, and the connection."""
VERBS = frozenset(
    [
        "add",
        "begin",
        "cancel",
        "change",
        "claim",
        "close",
        "confirm",
        "cordon",
        "create",
        "delete",
        "deposit",
        "disable",
        "disburse",
        "drain",
        "enable",
        "end",
        "export",
        "extend",
        "fail",
        "fence",
        "finish",
        "get",
        "lend",
        "list",
        "observe",
        "open",
        "plan",
        "refund",
        "remove",
        "resize",
        "restore",
        "revoke",
        "schedule",
        "send",
        "set",
        "shrink",
        "split",
        "test",
        "unclaim",
        "uncordon",
        "undrain",
        "unfence",
    ]
)
MADE_WITH = ("", "create_", "change_", "set_")

POOL = {
    "pool": "p",
    "site": "s",
    "instance_type": {
        "name": "slots-1",
        "gpu_model": "slot",
        "gpus_per_node": 1,
        "memory_gib": 4,
        "cpus": 2,
    },
    "fabrics": {"a": ["a1"]},
    "terms": {"pay_as_you_go": 12, "reservation_rate": 4, "public_floor": 1, "fee": "2/7"},
}
GIVEN: dict[str, Any] = {
    "after": 0,
    "amount": "5",
    "at": 0,
    "cap": "5",
    "columns": 80,
    "command": ("nvidia-smi",),
    "end": "+2h",
    "every": timedelta(days=1),
    "floor": "1",
    "limit_price": "1",
    "nodes": 1,
    "role": "member",
    "rows": 24,
    "since": datetime(2026, 1, 31, tzinfo=UTC),
    "spec": {"name": "job", "command": "true", "limit_price": "1"},
    "unix_name": "ann",
}
"""What a call is tried with, by its parameter's name; any other is a text."""
BODIES: dict[str, dict[str, Any]] = {
    "create_pool": {"pool": POOL},
    "add_nodes": {"nodes": {"fabrics": {"a": ["a2"]}}},
    "change_market_terms": {"change": {"notice": "60s"}},
    "create_reservation": {"reservation": {"nodes": 2}},
    "plan_reservation": {"reservation": {"nodes": 2}},
    "schedule_maintenance": {"window": {"nodes": ["a1"], "end": "+2h", "reason": "disks"}},
    "set_automation": {"change": {"reason": "a storm", "is_on": False}},
}
"""Of calls that take a dict or a model, the dict."""
MOST_KEYWORDS = 4


def made(name: str, call: Callable[..., Call[Any]]) -> Call[Any]:
    needed = {
        each.name: BODIES.get(name, {}).get(each.name, GIVEN.get(each.name, "some"))
        for each in inspect.signature(call).parameters.values()
        if each.default is inspect.Parameter.empty
    }
    return call(**needed)


CALLS = {name: made(name, call) for name, call in described().items()}


def offered(kind: type) -> Iterator[str]:
    return (name for name, value in inspect.getmembers(kind, inspect.isfunction) if name[0] != "_")


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_name_is_a_verb_with_its_noun_and_a_bare_verb_is_about_a_workload(kind: type) -> None:
    for name in offered(kind):
        verb, _, noun = name.partition("_")
        assert name in OF_A_WORKLOAD | ALONE or (verb in VERBS and noun), name
    assert set(offered(kind)) >= OF_A_WORKLOAD | ALONE
    for name in OF_A_WORKLOAD - {"submit", "plan"}:
        assert list(inspect.signature(getattr(kind, name)).parameters)[1] == "workload", name


def test_what_lists_says_so_and_what_gets_one_or_changes_is_no_list() -> None:
    for name, call in CALLS.items():
        verb = name.partition("_")[0]
        if name in OF_A_WORKLOAD | ALONE:
            continue
        assert (verb in ("get", "list")) is (call.method == "GET"), name
        is_list = call.lists != () or any(name == f"list_{it}" for it in call.answer.model_fields)
        assert (verb == "list") is (is_list and call.method == "GET"), name


def test_a_plan_is_named_after_the_change_that_it_is_of() -> None:
    for name, call in CALLS.items():
        is_plan = call.path.endswith("/plan") and call.method == "POST"
        assert is_plan is (name == "plan" or name.startswith("plan_")), name
        if name.startswith("plan_"):
            of = name.removeprefix("plan_")
            assert any(f"{begins}{of}" in CALLS for begins in MADE_WITH), name


def test_a_body_of_few_values_is_given_by_keywords_and_a_larger_one_as_a_dict_or_model() -> None:
    for name, call in described().items():
        models = [
            (parameter, kind)
            for parameter, hint in get_type_hints(call).items()
            if parameter != "return"
            for kind in _models(hint)
            if parameter != "terminal"
        ]
        for parameter, kind in models:
            is_nested = any(_models(it.annotation) for it in kind.model_fields.values())
            assert len(kind.model_fields) > MOST_KEYWORDS or is_nested, f"{name}: use keywords"
            assert name in {*BODIES, "submit", "plan"}, f"{name} takes {parameter} as a dict too"


def test_what_calls_take_and_answer_is_imported_from_one_place() -> None:
    exported = {getattr(parkade.client, name) for name in parkade.client.__all__}
    for kind in (Client, AsyncClient):
        for name in offered(kind):
            if name == "send":
                continue
            signature = inspect.signature(getattr(kind, name))
            hints = [it.annotation for it in signature.parameters.values()]
            for hint in (*hints, signature.return_annotation):
                assert exported.issuperset(_models(hint)), name


def _models(hint: Any) -> list[type[BaseModel]]:
    if inspect.isclass(hint) and issubclass(hint, BaseModel):
        return [hint]
    return [it for each in get_args(hint) for it in _models(each)]


def test_the_pages_use_names_that_there_are() -> None:
    used = {
        (page.name, name)
        for page in documents()
        for name in re.findall(r"\bclient\.(\w+)\(", page.read_text("utf-8"))
    }
    assert len(used) > 10
    assert {(page, name) for page, name in used if not hasattr(Client, name)} == set()
