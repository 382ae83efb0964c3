"""The policy file: what is shipped covers everything, and a site's file is refused with its
place."""

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.healing.finding import RECOVERIES, meaning_of
from parkade.core.healing.nvlink import decode
from parkade.core.healing.policy import find_rule
from parkade.core.healing.symptom import (
    ConditionFact,
    NodeCondition,
    NvlinkFact,
    RecoveryAction,
    RecoveryFact,
    XidFact,
)
from parkade.core.healing.verdict import Action, Level
from parkade.mars.comparing import EQUAL_ACTIONS, agreement, changes
from parkade.mars.policy_file import (
    expand,
    load_policy,
    read_policy_file,
    shipped_file,
    shipped_policy,
)
from parkade.mars.shipped import nvlink_rules, xid_facts
from parkade.sensors.kernel_log.reading import read, symptom_of
from parkade.wire.yaml import Unreadable
from tests.docs.mars_policy import PAGE, draw
from tests.shared_data import shared_data

SITE = """
format: 1
name: our-site
version: "7"
extends: default
windows: {coalesce: 10s}
ladder: {reboots: 1}
rules:
  - on: [xid/79]
    nodes: old-*
    level: warn
    action: inspect
    why: These boards lose a GPU when the fan is cleaned.
    from: [parkade]
  - on: [xid/63, pcie_width]
    devices: "0000:3b:00"
    level: info
    action: none
    why: A known board, on its way out.
    from: [parkade]
"""


def test_every_code_of_the_catalogue_has_a_row_with_a_source() -> None:
    policy = shipped_policy()
    assert sorted(xid_facts()) == list(range(1, 173))
    for xid in xid_facts():
        assert policy.rules[f"xid/{xid}"][0].provenance
    for condition in NodeCondition:
        assert condition.value in policy.rules
    for action in RecoveryAction:
        rule = policy.rules[f"recovery/{action.value}"][0]
        assert (rule.level, rule.action) == RECOVERIES[action]


def test_every_action_that_is_not_the_catalogues_says_why_and_no_other_does() -> None:
    for each in agreement(shipped_policy()):
        assert (each.agrees is False) == (each.rule.differs is not None), each
    assert {facts.nvidia for facts in xid_facts().values()} - {""} == set(EQUAL_ACTIONS)


def test_the_facts_are_those_of_the_catalogue() -> None:
    with shared_data("xid_catalog.csv").open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["type"] == "XID"]
    assert [int(row["code"]) for row in rows] == sorted(xid_facts())
    for row in rows:
        facts = xid_facts()[int(row["code"])]
        assert facts.nvidia == row["action"]
        assert row["mnemonic"].startswith(facts.mnemonic)
        on = [name.upper() for name in ("a100", "h100", "b100", "gb200") if row[name] == "YES"]
        assert facts.gpus.split() == on
        assert len(row["description"]) < 20 or facts.meaning != row["description"]


def test_the_nvlink_rules_are_those_of_the_catalogue() -> None:
    with shared_data("xid_nvlink_decode.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    policy = shipped_policy()
    checked = 0
    for row in rows:
        register = int(row["intrinfo_v2"].replace("-", "0"), 2)
        status = int(row["error_status"].split("/")[0] or "0", 16)
        unit = row["unit"].split("/")[0].replace(" ", "_").upper()
        fact = NvlinkFact(
            code=int(row["xid"]),
            unit=unit,
            is_fatal=True,
            link=0,
            interrupt=register,
            status=status,
        )
        decoded = decode(fact, policy.nvlink)
        assert decoded is not None, row
        said = {"IGNORE": "ignore", "RESET_GPU": "reset_gpu", "XID_154_EVAL": "follow_driver"}
        assert decoded.action.value == said[row["action"]], row
        checked += 1
    assert checked == len(rows) > 90
    assert sum(len(rules) for code, rules in nvlink_rules().items() if code != 74) > 60


NVLINK_CODES = range(144, 151)


def test_on_recorded_lines_the_action_is_the_catalogues_or_differs_with_a_reason() -> None:
    """Of each recorded line with an Xid: the row's or the sub-code's action beside the
    catalogue's."""
    policy = shipped_policy()
    by_code = {each.xid: each for each in agreement(policy)}
    with shared_data("kernel_log_samples.jsonl").open(encoding="utf-8") as handle:
        samples = [json.loads(line) for line in handle]
    compared = 0
    for sample in samples:
        symptom = symptom_of(read(sample["line"]), sample["line"], node="n", reporter="n", at_us=0)
        if sample["kind"] != "xid" or symptom is None:
            continue
        assert isinstance(symptom.fact, XidFact | NvlinkFact | RecoveryFact)
        if sample["code"] in NVLINK_CODES or isinstance(symptom.fact, RecoveryFact):
            continue
        rule = find_rule(policy, symptom.fact, node="n", device=symptom.device)
        finding = meaning_of(symptom, rule, policy)
        if sample["code"] in by_code:
            equal = EQUAL_ACTIONS.get(by_code[sample["code"]].nvidia, frozenset())
            assert finding.action in equal or rule.differs, sample
            compared += 1
        else:
            assert finding.action is Action.CONTACT_SUPPORT, sample
    assert compared > 50


def test_the_page_of_the_policy_is_current() -> None:
    assert PAGE.read_text("utf-8") == draw(), "python -m tests.docs.mars_policy"


def test_a_sites_rows_stand_before_the_shipped_ones() -> None:
    policy = load_policy(SITE)
    old = find_rule(
        policy, read("NVRM: Xid (PCI:0:3b:0): 79").fact or _none(), node="old-7", device="x"
    )
    new = find_rule(
        policy, read("NVRM: Xid (PCI:0:3b:0): 79").fact or _none(), node="n7", device="x"
    )
    assert (old.level, new.level) == (Level.WARN, Level.FATAL)
    assert policy.version == "our-site 7 on parkade-default 2026.11.3"
    assert policy.windows.coalesce_us == 10_000_000
    assert policy.windows.burst_gap_us == shipped_policy().windows.burst_gap_us
    assert (policy.ladder.reboots, policy.ladder.resets) == (1, 1)
    assert [each.signal for each in changes(shipped_policy(), policy)] == [
        "pcie_width",
        "xid/63",
        "xid/79",
    ]


def _none() -> ConditionFact:
    return ConditionFact(condition=NodeCondition.GPU_LOST, amount=None)


ROW = "{on: [xid/79], level: fatal, action: reboot, why: w, from: [parkade]}"
HEAD = "format: 1\nname: a\nversion: '1'\nextends: default\n"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("format: 2\nname: a\nversion: '1'", "format", "1"),
        (HEAD + "rules: [{on: [xid/79]}]", "rules[0].level", "missing"),
        (HEAD + f"rules: [{ROW.replace('fatal', 'awful')}]", "rules[0].level", "warn"),
        (HEAD + f"rules: [{ROW.replace('xid/79', 'xid/seven')}]", "rules[0].on", "no signal"),
        (HEAD + f"rules: [{ROW.replace('xid/79', 'xid/9-7')}]", "rules[0].on", "smaller"),
        (HEAD + f"rules: [{ROW.replace('parkade', 'rumour')}]", "rules[0].from[0]", "sources"),
        (HEAD + f"rules: [{ROW[:-1]}, nodes: 'a*b'}}]", "rules[0].nodes", "beginning"),
        (HEAD + f"rules: [{ROW[:-1]}, color: red}}]", "rules[0].color", ""),
        (HEAD + "windows: {coalesce: 4h}", "windows", "not decrease"),
        (HEAD + "windows: {coalesce: soon}", "windows.coalesce", "span"),
        (HEAD + "rules: [\n", "line 6", ""),
        ("format: 1\nname: a\nversion: '1'", "body", "default"),
        ("- a", "document", "keys"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place_of_its_error(
    text: str, place: str, message: str
) -> None:
    with pytest.raises(Unreadable) as caught:
        load_policy(text)
    faults = caught.value.problem.errors
    assert any(fault.place.startswith(place) and message in fault.message for fault in faults), (
        faults
    )


def test_all_errors_are_told_at_once() -> None:
    text = HEAD + "rules: [{on: [x], level: a, action: b, why: w, from: [q]}]"
    with pytest.raises(Unreadable) as caught:
        load_policy(text)
    assert len(caught.value.problem.errors) == 3


def test_a_kept_file_of_the_first_format_is_still_read() -> None:
    text = (Path(__file__).parent / "kept" / "policy-format-1.yaml").read_text("utf-8")
    policy = load_policy(text)
    assert policy.version.startswith("kept-site 1 on ")


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    try:
        read_policy_file(text)
    except Unreadable as error:
        caught = error
    else:
        return
    assert caught.problem.errors


@pytest.mark.parametrize(
    ("entry", "signals"),
    [
        ("xid/79", ("xid/79",)),
        ("xid/39-41", ("xid/39", "xid/40", "xid/41")),
        ("sxid/fatal", ("sxid/fatal",)),
        ("link_down", ("link_down",)),
    ],
)
def test_entries_name_signals(entry: str, signals: tuple[str, ...]) -> None:
    assert expand(entry) == signals


def test_no_code_has_two_shipped_rows() -> None:
    named = [signal for row in shipped_file().rules for each in row.on for signal in expand(each)]
    assert len(named) == len(set(named))
