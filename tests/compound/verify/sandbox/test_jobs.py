import json
import signal

import msgspec
import pytest

from parkade.compound.verify.sandbox import jobs
from parkade.compound.verify.sandbox.errors import JobTooLarge, UnfitTests
from parkade.compound.verify.sandbox.inside import frames
from parkade.compound.verify.sandbox.jobs import CallJob, JobEnding, Raised, Reply, Returned, Silent
from parkade.compound.verify.sandbox.jobs import TestJob as Tested
from parkade.compound.verify.sandbox.limits import Limits

LIMITS = Limits(cpu_seconds=2)
REPLY = Reply(
    end="exited", status=0, is_killed=False, cpu_us=1, peak_bytes=1, tester_status=0, is_read=True
)
PASSED = frames.pack(b'{"kind":"passed","reason":""}')
TESTED = Tested(source="S", prelude="P", tests="T-SECRET", names=("f",), check=None)


def reply(**changes: object) -> Reply:
    return msgspec.structs.replace(REPLY, **changes)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (reply(), JobEnding.FINISHED),
        (reply(end="wall"), JobEnding.WALL),
        (reply(end="memory"), JobEnding.MEMORY),
        (reply(end="output"), JobEnding.OUTPUT),
        (reply(status=-9, cpu_us=1_900_000), JobEnding.CPU),
        (reply(status=-9, cpu_us=10), JobEnding.CRASHED),
        (reply(status=-9, is_killed=True), JobEnding.FINISHED),
        (reply(status=-signal.SIGSEGV), JobEnding.CRASHED),
        (reply(status=1), JobEnding.CRASHED),
    ],
)
def test_the_ending_is_what_the_zygote_saw(found: Reply, expected: JobEnding) -> None:
    assert jobs.ending(found, LIMITS) is expected


@pytest.mark.parametrize(
    ("found", "stream", "is_passed"),
    [
        (REPLY, PASSED, True),
        (REPLY, b"", False),
        (REPLY, PASSED[:-1], False),
        (REPLY, frames.pack(b'{"kind":"failed","reason":"x"}'), False),
        (reply(tester_status=1), PASSED, False),
        (reply(tester_status=None), PASSED, False),
        (reply(end="wall"), PASSED, False),
        (reply(end="memory"), PASSED, False),
        (reply(status=1), PASSED, True),
    ],
)
def test_a_job_passes_only_on_the_word_of_a_tester_that_ended_by_itself(
    found: Reply, stream: bytes, is_passed: bool
) -> None:
    outcome = jobs.test_outcome(found, stream, LIMITS)
    assert outcome.is_passed is is_passed
    assert bool(outcome.reason) is not is_passed


def test_unfit_tests_are_an_error() -> None:
    with pytest.raises(UnfitTests, match="no syntax"):
        jobs.test_outcome(REPLY, frames.pack(b'{"kind":"unfit","reason":"no syntax"}'), LIMITS)


def test_the_candidates_side_of_a_job_holds_nothing_of_the_tests() -> None:
    wire = jobs.on_wire(TESTED, 7, LIMITS)
    assert b"T-SECRET" not in wire.code and b"T-SECRET" in wire.tests
    numbers = [json.loads(one)["number"] for one in (wire.head, wire.code, wire.tests)]
    assert numbers == [7, 7, 7]


def test_the_zygotes_side_of_a_job_holds_nothing_of_code_tests_or_calls() -> None:
    calls = CallJob(source="S-SECRET", calls=(("f", ("A-SECRET",)),))
    for job in (msgspec.structs.replace(TESTED, source="S-SECRET"), calls):
        assert b"SECRET" not in jobs.on_wire(job, 7, LIMITS).head


def test_a_job_beyond_the_bound_is_refused() -> None:
    long = "#" * (9 << 20)
    with pytest.raises(JobTooLarge, match="at most"):
        jobs.on_wire(msgspec.structs.replace(TESTED, source=long), 1, LIMITS)
    with pytest.raises(UnfitTests, match="at most"):
        jobs.on_wire(msgspec.structs.replace(TESTED, tests=long), 1, LIMITS)


def said(*messages: object) -> bytes:
    return b"".join(frames.pack(json.dumps(one).encode()) for one in messages)


CALLS = CallJob(source="", calls=(("f", (1,)), ("f", (2,))))
NESTED = json.loads("[" * 400 + "]" * 400)
READY: dict[str, object] = {"ready": {}}


@pytest.mark.parametrize(
    ("stream", "answers"),
    [
        (said(READY, {"value": 1}, {"value": 2}), (Returned(data=1), Returned(data=2))),
        (
            said(READY, {"raised": ["ValueError", ["x"], "Bad"]}),
            (
                Raised(kind="ValueError", message="x", name="Bad"),
                Silent(why="the code ended before the call"),
            ),
        ),
        (
            said({"raised": ["OSError", [2, "none"], "OSError"]}),
            (Raised(kind="OSError", message="(2, 'none')", name="OSError"),) * 2,
        ),
        (
            said(READY, {"value": 1}, {"value": 2}, {"value": 3}),
            (Returned(data=1), Returned(data=2)),
        ),
        (b"", (Silent(why="the code ended before the call"),) * 2),
        (
            said(READY, 7, {"unsendable": "a value of type X"}),
            (Silent(why="gave nothing that can be read"), Silent(why="gave a value of type X")),
        ),
        (
            said(READY, {"value": {"z": 1}}, {"value": NESTED}),
            (Silent(why="gave nothing that can be read"),) * 2,
        ),
    ],
)
def test_every_call_has_one_answer_whatever_was_said(
    stream: bytes, answers: tuple[jobs.Answer, ...]
) -> None:
    assert jobs.call_outcome(REPLY, stream, CALLS, LIMITS).answers == answers


@pytest.mark.parametrize("field", Limits.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1, 1 << 41])
def test_a_limit_out_of_bounds_is_refused_by_name(field: str, value: int) -> None:
    with pytest.raises(ValueError, match=field):
        Limits(**{field: value})
