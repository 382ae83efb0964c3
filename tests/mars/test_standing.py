"""Verdicts that stand: told, superseded, taken back, over, and bounded."""

import msgspec

from parkade.core.healing.verdict import Action, Level, Scope, Verdict
from parkade.mars.alerting import alert_of
from parkade.mars.standing import MOST_STANDING, StandingVerdicts


def verdict(name: str, *, signal: str = "xid/79", level: Level = Level.FATAL) -> Verdict:
    return Verdict(
        verdict=name,
        supersedes=None,
        node="n1",
        device="gpu",
        scope=Scope.NODE,
        signal=signal,
        level=level,
        action=Action.REBOOT,
        reasons=("why",),
        count=1,
        jobs=(),
        since_us=0,
        at_us=0,
        sources=(),
        evidence=(),
        policy="p",
    )


def names(standing: StandingVerdicts) -> list[str]:
    return [each.verdict for each in standing.verdicts()]


def test_a_verdict_stands_until_nothing_was_seen_for_so_long() -> None:
    standing = StandingVerdicts(100)
    standing.tell(verdict("a"))
    standing.see("n1", "gpu", "xid/79", 90)
    standing.see("n1", "other", "xid/79", 500)
    assert standing.expire(189) == ()
    assert [each.verdict for each in standing.expire(190)] == ["a"]
    assert names(standing) == []


def test_info_does_not_stand_and_a_worse_verdict_takes_the_place_of_its_burst() -> None:
    standing = StandingVerdicts(100)
    standing.tell(verdict("i", level=Level.INFO))
    standing.tell(verdict("a", level=Level.WARN))
    standing.tell(verdict("b"))
    assert names(standing) == ["b"]


def test_a_wish_takes_the_place_of_what_it_overrides_and_ends_when_it_is_taken_back() -> None:
    standing = StandingVerdicts(100)
    standing.tell(verdict("a"))
    wish = msgspec.structs.replace(verdict("w", signal="recovery/reboot"), supersedes="a")
    standing.tell(wish)
    assert names(standing) == ["w"]
    standing.tell(verdict("n", signal="recovery/none", level=Level.INFO))
    assert names(standing) == []


def test_standing_verdicts_are_bounded_and_the_least_bad_go_first() -> None:
    standing = StandingVerdicts(100)
    for number in range(MOST_STANDING):
        standing.tell(verdict(f"f{number}", signal=f"sxid/{number}"))
    standing.tell(verdict("warning", signal="disk_full", level=Level.WARN))
    assert len(standing.verdicts()) == MOST_STANDING
    assert "warning" not in names(standing)


def test_an_alert_has_labels_that_stay_and_says_what_is_held() -> None:
    alert = alert_of(verdict("a"), ends_us=60_000_000, held="observe_only")
    assert alert["labels"] == {
        "alertname": "ParkadeMarsVerdict",
        "severity": "critical",
        "node": "n1",
        "device": "gpu",
        "signal": "xid/79",
    }
    assert alert["endsAt"] == "1970-01-01T00:01:00+00:00"
    later = msgspec.structs.replace(verdict("a"), since_us=90_000_000)
    set_back = alert_of(later, ends_us=60_000_000, held=None)
    assert set_back["startsAt"] == set_back["endsAt"], "of a clock that was a day ahead"
    annotations = alert["annotations"]
    assert isinstance(annotations, dict)
    assert annotations["held"] == "observe_only"
