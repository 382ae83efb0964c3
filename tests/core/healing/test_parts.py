"""Small parts: the ladder, NVLink rules, rows that match, and texts that are bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkade.core.healing.ladder import Repair, RepairResult, climb
from parkade.core.healing.nvlink import decode, parse_bits
from parkade.core.healing.policy import LadderLimits, find_rule, matches
from parkade.core.healing.symptom import (
    NvlinkFact,
    Severity,
    SwitchFact,
    bounded,
    signals_of,
)
from parkade.core.healing.verdict import Action, Level
from parkade.core.units.time import DAY_US
from parkade.mars.shipped import nvlink_rules
from tests.core.healing.builder import GPU, OTHER_GPU, policy, rule, xid

LIMITS = LadderLimits()


def _done(action: Action, at_us: int = 0, device: str | None = GPU) -> Repair:
    return Repair(device=device, action=action, result=RepairResult.DONE, at_us=at_us)


@pytest.mark.parametrize(
    ("wanted", "tried", "rung"),
    [
        (Action.RESET_GPU, (), Action.RESET_GPU),
        (Action.RESET_GPU, (_done(Action.DRAIN_AND_RESET),), Action.REBOOT),
        (Action.REBOOT, (_done(Action.REBOOT),), Action.REBOOT),
        (Action.REBOOT, (_done(Action.REBOOT), _done(Action.REBOOT)), Action.DIAGNOSE),
        (Action.DIAGNOSE, (_done(Action.DIAGNOSE),), Action.RMA),
        (Action.RESET_GPU, (_done(Action.RESET_GPU, device=OTHER_GPU),), Action.RESET_GPU),
        (Action.RESET_GPU, (_done(Action.RESET_GPU, -8 * DAY_US),), Action.RESET_GPU),
        (Action.REBOOT, (_done(Action.REBOOT, device=None),) * 2, Action.DIAGNOSE),
        (Action.CHECK_APP, (_done(Action.CHECK_APP),) * 5, Action.CHECK_APP),
    ],
)
def test_the_ladder_is_climbed(wanted: Action, tried: tuple[Repair, ...], rung: Action) -> None:
    assert climb(wanted, tried, device=GPU, now_us=0, limits=LIMITS) is rung


def _nvlink(code: int, unit: str, interrupt: int, status: int) -> NvlinkFact:
    return NvlinkFact(
        code=code, unit=unit, is_fatal=True, link=0, interrupt=interrupt, status=status
    )


@pytest.mark.parametrize(
    ("fact", "said"),
    [
        (_nvlink(145, "RLW_REMAP", 0x00000004, 0x00000040), "reset_gpu fatal"),
        (_nvlink(145, "RLW_REMAP", 0x00000004, 0x00000001), "follow_driver non_fatal"),
        (_nvlink(145, "RLW_RXPIPE", 0x0409A0C2, 0x00000008), "ignore non_fatal"),
        (_nvlink(145, "RLW_RXPIPE", 0x000004C2, 0x00000001), "reset_gpu non_fatal"),
        (_nvlink(145, "RLW_RXPIPE", 0x000000C2, 0x00000001), "ignore non_fatal"),
        (_nvlink(149, "NETIR_LINK_EVT", 0x004505C6, 0), "reset_gpu link_fatal"),
        (_nvlink(146, "TLW_RX/TLW_RX_PIPE1", 0x0000000B, 4), "reset_gpu fatal"),
        (_nvlink(150, "MSE_WATCHDOG", 0, 0), "reset_gpu fatal"),
        (_nvlink(74, "LINK", 1 << 16, 0), "reset_gpu fatal"),
        (_nvlink(74, "LINK", 1 << 21, 0), "reset_gpu link_fatal"),
        (_nvlink(74, "LINK", 1 << 0, 0), None),
        (_nvlink(144, "SAW_EGR", 4, 1), None),
        (_nvlink(7, "LINK", 4, 1), None),
    ],
)
def test_sub_codes_are_decoded_by_the_rules(fact: NvlinkFact, said: str | None) -> None:
    found = decode(fact, nvlink_rules())
    assert (None if found is None else f"{found.action} {found.severity}") == said


@given(st.text(alphabet="01-", min_size=32, max_size=32), st.integers(0, 2**32 - 1))
def test_a_pattern_matches_the_registers_that_agree_with_it(pattern: str, register: int) -> None:
    written = f"{register:032b}"
    agrees = all(p in ("-", r) for p, r in zip(pattern, written, strict=True))
    assert parse_bits(pattern).matches(register) == agrees


@pytest.mark.parametrize("pattern", ["", "01", "2" * 32, "0" * 33])
def test_a_pattern_of_another_form_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="32 places"):
        parse_bits(pattern)


def test_the_first_row_that_matches_answers_and_classes_stand_behind_codes() -> None:
    table = policy(
        rule("xid/79", Level.WARN, Action.NONE, nodes="old-*"),
        rule("xid/79", Level.FATAL, Action.REBOOT),
        rule("sxid/fatal", Level.FATAL, Action.RESET_FABRIC),
        rule("sxid/20034", Level.WARN, Action.NONE),
    )
    switch = SwitchFact(code=20034, severity=Severity.FATAL, link=None)
    other = SwitchFact(code=1, severity=Severity.FATAL, link=None)
    assert find_rule(table, xid(79), node="old-7", device=GPU).level is Level.WARN
    assert find_rule(table, xid(79), node="new-7", device=GPU).level is Level.FATAL
    assert find_rule(table, switch, node="n", device=None).level is Level.WARN
    assert find_rule(table, other, node="n", device=None).level is Level.FATAL
    assert find_rule(table, xid(4), node="n", device=None).signal == "default"
    assert signals_of(other) == ("sxid/1", "sxid/fatal")


@pytest.mark.parametrize(
    ("pattern", "name", "is_match"),
    [("*", "", True), ("gpu-*", "gpu-7", True), ("gpu-*", "cpu", False), ("a", "ab", False)],
)
def test_a_pattern_of_a_row(pattern: str, name: str, is_match: bool) -> None:
    assert matches(pattern, name) is is_match


@given(st.text(), st.integers(1, 50))
def test_a_bounded_text_is_printable_and_short(text: str, most: int) -> None:
    cut = bounded(text, most)
    assert len(cut) <= most
    assert all(character.isprintable() for character in cut)
