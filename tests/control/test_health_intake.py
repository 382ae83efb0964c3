"""What a report of health means: bounded, allowed so much a node, and no news told twice."""

from msgspec.structs import replace

from parkade.control.health_intake import (
    AT_ONCE,
    MOST_COUNT,
    MOST_REPAIRS_OF_NODE,
    PER_MINUTE,
    HealthIntake,
    cut,
)
from parkade.core.healing.incident import RepairKind, RepairReport
from parkade.core.healing.symptom import MOST_LINE_CHARACTERS
from parkade.core.healing.topology import Surroundings
from parkade.core.healing.verdict import Verdict
from parkade.core.state.commands import (
    ReportRepair,
    ReportRepairKinds,
    ReportSurroundings,
    ReportVerdict,
)
from parkade.core.units.refusal import Reason, Refusal
from parkade.core.units.time import MINUTE_US
from parkade.ports import HealthReport, LogStates
from tests.core.repairing.sick import verdict

KINDS = (RepairKind.RESET, RepairKind.VALIDATE)
NODES = frozenset({"a1", "a2"})


def report(*verdicts: Verdict, repairs: tuple[RepairReport, ...] = ()) -> HealthReport:
    return HealthReport(pool="pool", at_us=1, verdicts=verdicts, repairs=repairs, kinds=KINDS)


def test_repairs_come_before_verdicts_and_what_it_can_do_is_told_once() -> None:
    intake = HealthIntake()
    ended = RepairReport(
        order="i.1", node="a1", is_done=True, exit_code=0, says="", began_us=1, ended_us=2
    )
    found = intake.take(report(verdict("a1"), repairs=(ended,)), nodes=NODES, steady_us=0)
    assert [type(it) for it in found] == [ReportRepairKinds, ReportRepair, ReportVerdict]
    assert intake.take(report(), nodes=NODES, steady_us=1) == []
    intake.refused(found[0], Refusal(reason=Reason.NOT_FOUND, detail="no such pool"))
    assert [type(it) for it in intake.take(report(), nodes=NODES, steady_us=2)] == [
        ReportRepairKinds
    ]


def test_a_node_says_only_so_much_and_the_rest_is_counted() -> None:
    intake = HealthIntake()
    storm = [verdict("a1", f"v{number}") for number in range(AT_ONCE + 5)]
    found = intake.take(report(*storm, verdict("a2")), nodes=NODES, steady_us=0)
    verdicts = [it for it in found if isinstance(it, ReportVerdict)]
    assert len(verdicts) == AT_ONCE + 1, "another node has its own allowance"
    assert intake.rejected["too_many"] == 5
    later = intake.take(report(*storm[:20]), nodes=NODES, steady_us=MINUTE_US)
    assert len(later) == PER_MINUTE


def test_what_is_kept_for_ever_is_short_whoever_wrote_it() -> None:
    long = "x" * 100_000
    made = verdict("a1", device=long, reasons=(long,) * 100, jobs=(long,) * 100, signal=long)
    evidence = replace(made.evidence[0], line=long, reporter=long, parser="a\x1b[31m")
    kept = cut(replace(made, evidence=(evidence,) * 100, policy=long))
    assert len(kept.reasons) <= 8 and len(kept.evidence) == 2 and len(kept.jobs) <= 8
    assert max(map(len, kept.reasons)) <= 300
    assert len(kept.evidence[0].line) <= MOST_LINE_CHARACTERS
    assert "\x1b" not in kept.evidence[0].parser
    assert kept.verdict == made.verdict and kept.node == made.node


def test_counts_of_symptoms_are_of_known_sources_once_and_small_enough_to_show() -> None:
    intake = HealthIntake()
    lies = (("nvml", 10**400), ("x" * 2_000_000, 1), ("dcgm", -1), ("kernel_log", 1))
    intake.take(replace(report(), symptoms=(*lies, ("kernel_log", 2))), nodes=NODES, steady_us=0)
    assert intake.symptoms["pool"] == (("kernel_log", 2),)


def test_numbers_of_logs_are_bounded_and_go_with_the_agent_that_tells_them() -> None:
    intake = HealthIntake()
    lies = LogStates(unread_bytes=-5, behind_us=10**400, gaps=3, gap_end_us=-1)
    intake.take(replace(report(), logs=lies), nodes=NODES, steady_us=0)
    assert intake.logs["pool"] == LogStates(
        unread_bytes=0, behind_us=MOST_COUNT, gaps=3, gap_end_us=0
    )
    intake.take(report(), nodes=NODES, steady_us=0)
    assert intake.logs == {}


def test_invented_nodes_and_repeated_repairs_cost_the_writer_nothing() -> None:
    intake = HealthIntake()
    ended = RepairReport(
        order="i.1", node="a1", is_done=True, exit_code=0, says="", began_us=1, ended_us=2
    )
    lies = [verdict(f"invented-{number}") for number in range(1_000)]
    repairs = (replace(ended, node="invented"), *(ended for _ in range(1_000)))
    found = intake.take(report(*lies, repairs=repairs), nodes=NODES, steady_us=0)
    assert len([it for it in found if isinstance(it, ReportRepair)]) == MOST_REPAIRS_OF_NODE
    assert not any(isinstance(it, ReportVerdict) for it in found)
    assert intake.rejected["not_found"] == 1_001
    assert intake.rejected["too_many"] == 1_000 - MOST_REPAIRS_OF_NODE


def test_a_pool_that_changes_its_mind_about_repairs_is_heard_so_often_only() -> None:
    intake = HealthIntake()
    reported = [KINDS, ()] * 100
    found = [
        command
        for kinds in reported
        for command in intake.take(replace(report(), kinds=kinds), nodes=NODES, steady_us=0)
    ]
    assert len(found) == AT_ONCE


def test_what_nodes_share_is_told_once_bounded_and_of_the_pools_own_nodes() -> None:
    intake = HealthIntake()
    told = (
        Surroundings(node="a1", rack="r" * 1000, driver="570.1"),
        Surroundings(node="a1", rack="r2"),
        Surroundings(node="of-another", rack="r1"),
    )
    given = replace(report(), surroundings=told)
    found = [
        it
        for it in intake.take(given, nodes=NODES, steady_us=0)
        if isinstance(it, ReportSurroundings)
    ]
    (command,) = found
    assert [each.node for each in command.nodes] == ["a1"] and command.nodes[0].rack == "r2"
    assert intake.take(given, nodes=NODES, steady_us=1) == []
    changed = [
        replace(given, surroundings=(Surroundings(node="a1", rack=f"r{n}"),)) for n in range(100)
    ]
    asked = [it for each in changed for it in intake.take(each, nodes=NODES, steady_us=2)]
    assert len(asked) <= AT_ONCE, "an agent that changes its mind costs a bounded number"
