"""The process that runs the tests: calls the candidate in its own process, decides, says so.

The tests are Python text that belongs to the question. Each function under test is bound to a
proxy, which sends the arguments to the candidate's process and gives back its answer as plain
data. So the code under test shares no interpreter with the tests: it cannot see them, patch what
they use, replace `==`, or end them. It cannot write the verdict either: that goes through a
descriptor which only this process holds.

The verdict is {"kind", "reason"}, kind being one of

    passed    the tests ran to their end
    failed    an assertion failed, or the tests raised
    ended     the candidate's process ended before it had answered
    unsent    the candidate answered what is no plain value
    unfit     the tests themselves cannot be run like this; says nothing about the candidate

The zygote, which does not read the verdict, is then told in a few bytes (`DONE`) which job it was
of, whether it is "ended", as how the candidate ended is still to be seen then, and whether this
process ends with it.

One tester serves jobs as long as their tests can leave nothing in it (`stateless`), each over a
channel of its own to a candidate of its own. Other tests are the last that it runs, and so are
those that made it grow, import, or use a noteworthy part of its CPU time.
"""

import builtins
import importlib
import os
import resource
import struct
import sys
import time
import traceback
from collections.abc import Callable
from types import CodeType
from typing import Any, NamedTuple

from parkade.compound.verify.sandbox.inside import frames, plain, stateless

MOST_TEST_BYTES = 16 << 20
MOST_REASON = 1_500
TESTS = "<tests>"
#: What the zygote is told: the job's number; `AN_END` for "ended", `LAST` if no more will follow,
#: `BEFORE` where that is known before the tests run: once they ran, they could say otherwise.
BEGIN, DONE = struct.Struct("=Q"), struct.Struct("=QB")
AN_END, LAST, BEFORE = 1, 2, 4
#: What makes a job the last: memory that was added since the start, a part of the CPU time.
MOST_GROWTH_BYTES = 4 << 20
MOST_CPU_SHARE = 0.1


class _Decided(BaseException):
    """Ends the tests early; no `except Exception` of theirs can catch it."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class Ways(NamedTuple):
    """Descriptors of a tester."""

    #: Where its verdicts go.
    verdict: int
    #: Here the zygote hears that a verdict is written.
    done: int
    #: Here it gives the number of a job that is to be run.
    begin: int
    #: Tests are read here.
    tests: int


def serve(ways: Ways, channels: tuple[int, ...], cpu_seconds: int) -> int:
    """Runs the tests of one job after the other, at most one for each channel; the exit code."""
    start_bytes, modules = _peak_bytes(), len(sys.modules)
    for at, channel in enumerate(channels, 1):
        (number,) = BEGIN.unpack(frames.receive_exactly(ways.begin, BEGIN.size))
        asked = plain.loads(frames.receive(ways.tests, MOST_TEST_BYTES))
        assert asked["number"] == number
        if at > 1:
            os.close(channels[at - 2])
        codes, fault = compiled(asked)
        is_stateless = codes is None or stateless.is_stateless(*codes, asked["names"])
        is_last = at == len(channels) or not is_stateless
        if is_last:
            os.write(ways.done, DONE.pack(number, LAST | BEFORE))
            for one in (ways.tests, ways.begin, *channels[at:]):
                os.close(one)
        kind, reason = ("unfit", fault) if codes is None else decide(channel, asked, *codes)
        frames.send(ways.verdict, frames.dump({"kind": kind, "reason": reason[:MOST_REASON]}))
        is_last = (
            is_last
            or len(sys.modules) != modules
            or _peak_bytes() - start_bytes > MOST_GROWTH_BYTES
            or time.process_time() > MOST_CPU_SHARE * cpu_seconds
        )
        code = AN_END * (kind == "ended") | LAST * is_last
        os.write(ways.done, DONE.pack(number, code))
        if is_last:
            break
    return 0


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def compiled(asked: dict[str, Any]) -> tuple[tuple[CodeType, CodeType] | None, str]:
    """Prelude and tests, or None and what is wrong with them."""
    try:
        prelude = compile(asked["prelude"], "<prelude>", "exec", dont_inherit=True)
        return (prelude, compile(asked["tests"], TESTS, "exec", dont_inherit=True)), ""
    except BaseException as error:  # noqa: BLE001 - a question's own fault is told as such
        return None, f"the question's own code fails: {_words(error)}"


def decide(
    channel: int, asked: dict[str, Any], prelude: CodeType, tests: CodeType
) -> tuple[str, str]:
    """Kind and reason. `asked`: names under test, check (a name or None), most (bytes of an
    answer), and the tests as text."""
    space: dict[str, Any] = {"__name__": "tests"}
    most = asked["most"]
    try:
        exec(prelude, space)
    except BaseException as error:  # noqa: BLE001 - a question's own fault is told as such
        return "unfit", f"the question's own code fails: {_words(error)}"
    try:
        space |= _under_test(channel, asked["names"], most)
        exec(tests, space)
        if asked["check"] is not None:
            space[asked["check"]](space[asked["names"][0]])
    except _Decided as decided:
        return decided.kind, str(decided)
    except BaseException as error:  # noqa: BLE001 - tests fail by raising, whatever they raise
        return "failed", _failure(error, asked["tests"])
    return "passed", ""


def _under_test(channel: int, names: list[str], most: int) -> dict[str, Any]:
    opening = _receive(channel, most)
    if "raised" in opening:
        raise _Decided("failed", f"the code fails when it is run: {_words(_raised(opening))}")
    kinds = opening.get("ready")
    if not isinstance(kinds, dict):
        raise _Decided("unsent", "the candidate broke the protocol")
    found: dict[str, Any] = {}
    for name in names:
        match kinds.get(name):
            case "function":
                found[name] = _proxy(channel, name, most)
            case {"value": data}:
                found[name] = _plain(data)
            case {"module": str(module)} if module in sys.stdlib_module_names:
                found[name] = importlib.import_module(module)
            case _:
                raise _Decided("failed", f"the code defines no {name}")
    return found


def _proxy(channel: int, name: str, most: int) -> Callable[..., Any]:
    def call(*arguments: Any, **keywords: Any) -> Any:
        try:
            asked = [name, plain.encode(list(arguments)), plain.encode(keywords)]
        except plain.Unsendable as error:
            raise _Decided("unfit", f"the tests pass {error} to {name}") from error
        try:
            frames.send(channel, frames.dump(asked))
        except frames.Ended:
            raise _Decided("ended", f"the candidate ended before {name} was called") from None
        answer = _receive(channel, most)
        if "raised" in answer:
            raise _raised(answer)
        if "value" not in answer:
            what = str(answer.get("unsendable", "nothing that can be read"))
            raise _Decided("unsent", f"{name} gave {what}, which cannot be sent to the tests")
        if "changed" in answer:
            _change(arguments, _plain(answer["changed"]))
        return _plain(answer["value"])

    call.__name__ = call.__qualname__ = name
    return call


def _receive(channel: int, most: int) -> dict[str, Any]:
    try:
        answer = plain.loads(frames.receive(channel, most))
    except frames.Ended:
        raise _Decided("ended", "the candidate ended before it had answered") from None
    except (frames.TooLong, plain.Malformed) as error:
        raise _Decided("unsent", f"the candidate's answer: {error}") from None
    if not isinstance(answer, dict):
        raise _Decided("unsent", "the candidate broke the protocol")
    return answer


def _plain(data: Any) -> Any:
    try:
        return plain.decode(data)
    except plain.Malformed as error:
        raise _Decided("unsent", f"the candidate's answer: {error}") from None


def _raised(answer: dict[str, Any]) -> Exception:
    """The exception that the candidate told of, as a built-in one."""
    match answer["raised"]:
        case [str(name), list(data), str(own)]:
            kind = getattr(builtins, name, None)
            arguments = _plain(data)
        case _:
            raise _Decided("unsent", "the candidate broke the protocol")
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise _Decided("unsent", "the candidate broke the protocol")
    try:
        raised = kind(*arguments)
    except Exception:  # noqa: BLE001 - an exception's own checks of its arguments
        raised = RuntimeError(*arguments)
    if own != name:
        raised.add_note(f"raised as {own[:100]}")
    return raised


def _change(arguments: tuple[Any, ...], after: Any) -> None:
    """Does to the tests' own objects what the call did to its copies."""
    if not isinstance(after, list) or len(after) != len(arguments):
        raise _Decided("unsent", "the candidate broke the protocol")
    for ours, theirs in zip(arguments, after, strict=True):
        match ours:
            case list() | bytearray() if isinstance(theirs, list | bytearray):
                ours[:] = theirs
            case dict() | set() if isinstance(theirs, dict | set):
                ours.clear()
                ours.update(theirs)
            case _:
                pass


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:MOST_REASON]


def _failure(error: BaseException, tests: str) -> str:
    """The failed line of the tests, if it is one of theirs, and what was raised."""
    numbers = [
        at.lineno for at in traceback.extract_tb(error.__traceback__) if at.filename == TESTS
    ]
    lines = tests.splitlines()
    if not numbers or numbers[-1] is None or numbers[-1] > len(lines):
        return _words(error)
    line = lines[numbers[-1] - 1].strip()[:500]
    is_bare = isinstance(error, AssertionError) and not error.args
    return line if is_bare else f"{_words(error)} at: {line}"
