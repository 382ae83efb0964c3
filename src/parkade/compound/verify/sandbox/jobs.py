"""Jobs for a sandbox and what comes of them, as values; how they read on the wire to the zygote.

What the zygote says of the candidate is a fact; what the candidate says of itself is data. A job
passes only on the word of the tester, in a process that the candidate cannot reach.
"""

import enum
import signal
from typing import Any, assert_never

import msgspec

from parkade.compound.verify.sandbox.errors import JobTooLarge, UnfitTests
from parkade.compound.verify.sandbox.inside import candidate, frames, plain, tester
from parkade.compound.verify.sandbox.limits import SECOND_US, Limits

MOST_REASON = 1_500
MOST_JOB_BYTES = 8 << 20
#: The kernel counts by its ticks when it ends a process, exactly when it reports; they differ.
LEAST_CPU_SHARE = 0.5


class TestJob(msgspec.Struct, frozen=True, kw_only=True):
    """Code, and tests that call its functions from another process."""

    __test__ = False

    source: str
    #: Python that runs before the tests, in their process: imports, helper functions.
    prelude: str
    tests: str
    #: What the code defines and the tests use.
    names: tuple[str, ...]
    #: A function of the tests that is called with the first of `names`; None if the tests call it.
    check: str | None


class CallJob(msgspec.Struct, frozen=True, kw_only=True):
    """Code, and calls to its functions whose answers are wanted."""

    source: str
    #: Function and arguments, each of plain values.
    calls: tuple[tuple[str, tuple[Any, ...]], ...]


class JobEnding(enum.StrEnum):
    """How the process of the candidate ended."""

    FINISHED = "finished"
    WALL = "wall"
    CPU = "cpu"
    MEMORY = "memory"
    OUTPUT = "output"
    CRASHED = "crashed"
    LOST = "lost"

    @property
    def words(self) -> str:
        """For a person; empty for one that finished."""
        return _WORDS[self]


_WORDS = {
    JobEnding.FINISHED: "",
    JobEnding.WALL: "the job took longer than its wall time",
    JobEnding.CPU: "the code used more than its CPU time",
    JobEnding.MEMORY: "the job used more than its memory",
    JobEnding.OUTPUT: "the code answered more than its output",
    JobEnding.CRASHED: "the code ended its process before it had answered",
    JobEnding.LOST: "the sandbox was lost twice while the code ran",
}


class TestOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a test job."""

    __test__ = False

    is_passed: bool
    #: Empty if it passed; bounded.
    reason: str
    ending: JobEnding
    #: Of the candidate's process.
    cpu_us: int
    peak_bytes: int


class Returned(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A call gave a value; `data` as `plain.encode` makes it."""

    data: Any

    def value(self) -> Any:
        """The value, of built-in types."""
        return plain.decode(self.data)


class Raised(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A call raised."""

    #: The nearest built-in exception, the message, and the exception's own name.
    kind: str
    message: str
    name: str


class Silent(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A call gave nothing that can be sent, or was not reached; says which."""

    why: str


Answer = Returned | Raised | Silent


class CallOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a call job: one answer for each call."""

    answers: tuple[Answer, ...]
    ending: JobEnding
    cpu_us: int
    peak_bytes: int


Job = TestJob | CallJob


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The zygote's answer to a job."""

    end: str
    status: int
    is_killed: bool
    cpu_us: int
    peak_bytes: int
    tester_status: int | None
    #: Whether the candidate read its code, and the tester its tests. Code that came and was not
    #: read was taken away.
    is_read: bool


class Wire(msgspec.Struct, frozen=True, kw_only=True):
    """A job in three messages, each for one process."""

    #: For the zygote: numbers only.
    head: bytes
    #: For the candidate.
    code: bytes
    #: For the tester; empty without tests.
    tests: bytes


def on_wire(job: Job, number: int, limits: Limits) -> Wire:
    """What each process gets; raises `UnfitTests`, `JobTooLarge`."""
    code: dict[str, Any] = {"number": number, "source": job.source, "names": [], "calls": []}
    tests = b""
    match job:
        case TestJob():
            code["names"] = job.names
            asked = msgspec.to_builtins(job) | {"number": number, "most": limits.output_bytes}
            del asked["source"]
            tests = frames.dump(asked)
        case CallJob():
            code["calls"] = [[name, plain.encode(list(given))] for name, given in job.calls]
        case _:
            assert_never(job)
    body = frames.dump(code)
    if len(tests) > MOST_JOB_BYTES:
        raise UnfitTests(f"tests of {len(tests)} bytes, where at most {MOST_JOB_BYTES} are taken")
    if len(body) > MOST_JOB_BYTES:
        raise JobTooLarge(f"code of {len(body)} bytes, where at most {MOST_JOB_BYTES} are taken")
    return Wire(head=_head(number, limits, has_tests=bool(tests)), code=body, tests=tests)


def _head(number: int, limits: Limits, *, has_tests: bool) -> bytes:
    head = {
        "number": number,
        "has_tests": has_tests,
        "bounds": {
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
            "processes": limits.processes,
            "open_files": limits.open_files,
            "file_bytes": limits.file_bytes,
            "files": limits.files,
        },
        "wall_us": limits.wall_us,
        "output_bytes": limits.output_bytes,
    }
    return frames.dump(head)


def ending(reply: Reply, limits: Limits) -> JobEnding:
    """What ended the candidate's process, from what the zygote saw."""
    if reply.end != "exited":
        return JobEnding(reply.end)
    if reply.status == 0 or reply.is_killed:
        return JobEnding.FINISHED
    is_spent = reply.cpu_us >= LEAST_CPU_SHARE * limits.cpu_seconds * SECOND_US
    is_cpu = reply.status == -signal.SIGKILL and is_spent
    return JobEnding.CPU if is_cpu else JobEnding.CRASHED


def has_verdict(reply: Reply, stream: bytes) -> bool:
    """Whether the tester spoke, and ended by itself."""
    return reply.end == "exited" and reply.tester_status == 0 and bool(frames.split(stream))


def test_outcome(reply: Reply, stream: bytes, limits: Limits) -> TestOutcome:
    """Passed only if the tester said so; raises `UnfitTests` where the tests are at fault."""
    ended = ending(reply, limits)
    kind, reason = "ended", ""
    if has_verdict(reply, stream):
        verdict = plain.loads(frames.split(stream)[0])
        kind, reason = verdict["kind"], verdict["reason"]
    if kind == "unfit":
        raise UnfitTests(reason)
    if kind == "ended" and ended.words:
        reason = ended.words
    return TestOutcome(
        is_passed=kind == "passed",
        reason=(reason or "" if kind == "passed" else reason or "the tests did not end")[
            :MOST_REASON
        ],
        ending=ended,
        cpu_us=reply.cpu_us,
        peak_bytes=reply.peak_bytes,
    )


def call_outcome(reply: Reply, stream: bytes, job: CallJob, limits: Limits) -> CallOutcome:
    """One answer for each call; the code is believed in what it says of itself."""
    ended = ending(reply, limits)
    opening, *messages = [_read(frame) for frame in frames.split(stream)] or [{}]
    why = ended.words or "the code ended before the call"
    if "raised" in opening:
        answers: list[Answer] = [_answer(opening)] * len(job.calls)
    else:
        answers = [_answer(one) for one in messages[: len(job.calls)]]
    answers += [Silent(why=why)] * (len(job.calls) - len(answers))
    return CallOutcome(
        answers=tuple(answers), ending=ended, cpu_us=reply.cpu_us, peak_bytes=reply.peak_bytes
    )


def _read(frame: bytes) -> dict[str, Any]:
    try:
        answer = plain.loads(frame)
    except plain.Malformed:
        return {}
    return answer if isinstance(answer, dict) else {}


def _answer(message: dict[str, Any]) -> Answer:
    match message:
        case {"value": data} if _is_value(data):
            return Returned(data=data)
        case {"raised": [str(kind), [*parts], str(name)]}:
            words = str(parts[0]) if len(parts) == 1 else str(tuple(parts))
            return Raised(kind=kind[:100], message=words[:MOST_REASON], name=name[:100])
        case {"unsendable": str(what)}:
            return Silent(why=f"gave {what[:MOST_REASON]}")
        case _:
            return Silent(why="gave nothing that can be read")


def _is_value(data: Any) -> bool:
    try:
        plain.decode(data)
    except plain.Malformed:
        return False
    return True


assert min(candidate.MOST_CODE_BYTES, tester.MOST_TEST_BYTES) > MOST_JOB_BYTES
