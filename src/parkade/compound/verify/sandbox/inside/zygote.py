"""The first process of a sandbox: has Python warm, and forks jailed processes for each job.

It never runs a line of a job itself. It reads a job, forks the candidate and, if there are tests,
the tester; waits within the job's limits; ends both; answers. What a job did to its processes is
gone with them, so each job finds the same clean interpreter.

Descriptor 0 is the control socket: jobs come in as numbers, answers go out. Two more descriptors,
named in the settings, carry the code and the tests: only the candidate reads the one, and only the
tester the other. What they say goes out by way of memory that no forked process gets (`watch`). So
nothing of a job is in the memory that a later candidate is forked with.

    a job       {"number", "has_tests", "bounds", "wall_us", "output_bytes"}
    its answer  the tester's verdict or the stream of the candidate's answers, in parts; an empty
                message; {"end", "status", "is_killed", "cpu_us", "peak_bytes", "tester_status",
                "is_read"}: whether code and tests were read to their end

Both sides number the jobs, so that no job meets another's code or tests.
"""

import fcntl
import gc
import json
import os
import platform
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from parkade.compound.verify.sandbox.inside import (
    candidate,
    filter,
    frames,
    kernel,
    tester,
    warm,
    watch,
)
from parkade.compound.verify.sandbox.inside.jail import (
    FIRST_KEPT,
    MOST_KEPT,
    NULL,
    Bounds,
    Jailer,
    Walls,
)
from parkade.compound.verify.sandbox.inside.probe import breaches
from parkade.compound.verify.sandbox.inside.testers import Testers

CONTROL = 0
MOST_JOB_BYTES = 1 << 16
MOST_VERDICT_BYTES = 1 << 16
PROVE_SECONDS = 60
WORST_OUT_OF_MEMORY_SCORE = b"1000"
CANDIDATE_SEAT, TESTER_SEAT = 0, 1


def main() -> None:
    """Serves jobs until the control socket closes."""
    settings = json.loads(sys.argv[1])
    code, tests = _put_above_kept(settings["code_descriptor"], settings["tests_descriptor"])
    warm.load()
    sys.modules["builtins"].__dict__.update(exit=sys.exit, quit=sys.exit)
    processes = os.open("/proc", os.O_RDONLY)
    own = os.open("/proc/self/ns/pid", os.O_RDONLY)
    walls = _walls(settings, processes)
    kernel.make([kernel.setting(kernel.PR_SET_CHILD_SUBREAPER, 1)])
    if walls.has_namespaces:
        kernel.unmount(b"/proc")
    _die_first(processes)
    jailer = Jailer(walls, own if walls.has_namespaces else None)
    zygote = Zygote(walls, jailer, code, tests)
    warm.rehearse()
    gc.collect()
    gc.freeze()
    faults = [] if settings["is_unsandboxed"] else zygote.prove()
    os.dup2(NULL, 2)
    frames.send(CONTROL, frames.dump({"breaches": faults, "python": sys.version.split()[0]}))
    while True:
        try:
            job = json.loads(frames.receive(CONTROL, MOST_JOB_BYTES))
        except frames.Ended:
            return
        answer = zygote.serve(job)
        frames.send(CONTROL, b"")
        frames.send(CONTROL, frames.dump(answer))


def _put_above_kept(*descriptors: int) -> tuple[int, ...]:
    """Takes the numbers that jailed processes are given, and gives the descriptors others."""
    above = [fcntl.fcntl(one, fcntl.F_DUPFD, FIRST_KEPT + MOST_KEPT) for one in descriptors]
    for number in range(FIRST_KEPT, FIRST_KEPT + MOST_KEPT):
        os.dup2(NULL, number)
    return tuple(above)


def _die_first(processes: int) -> None:
    """When the machine runs out of memory, the kernel ends this process, or a child, first."""
    try:
        descriptor = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=processes)
    except OSError:
        return
    os.write(descriptor, WORST_OUT_OF_MEMORY_SCORE)
    os.close(descriptor)


def _walls(settings: dict[str, Any], processes: int) -> Walls:
    has_filter = filter.is_known(platform.machine()) and not settings["is_unsandboxed"]
    base_pages = int(watch.read(processes, "self/statm").split()[0])
    return Walls(
        has_namespaces=not settings["is_unsandboxed"],
        filter_code=filter.program() if has_filter else None,
        processes=processes,
        first_user=settings["first_user"],
        other_processes=settings["other_processes"],
        base_bytes=base_pages * watch.PAGE_BYTES,
    )


class Zygote:
    """Forks for one job at a time."""

    def __init__(self, walls: Walls, jailer: Jailer, code: int, tests: int) -> None:
        self._walls = walls
        self._jailer = jailer
        self._code = socket.socket(fileno=code)
        # Without namespaces all processes end with each job.
        jobs = MOST_KEPT - len(tester.Ways._fields) if walls.has_namespaces else 1
        self._testers = Testers(jailer, TESTER_SEAT, tests, jobs)
        self._own_bytes = watch.private_bytes(walls.processes, "self")
        self._relay = watch.Relay(_give)
        self._unread = select.poll()
        for descriptor in (code, tests):
            self._unread.register(descriptor, select.POLLIN)

    def serve(self, job: dict[str, Any]) -> dict[str, Any]:
        """The answer to a job; what its processes say goes out on the way."""
        until = time.monotonic() + job["wall_us"] / 1e6
        bounds = Bounds(**job["bounds"])
        serve = self._serve_tests if job["has_tests"] else self._serve_calls
        answer = serve(job["number"], bounds, job["output_bytes"], until)
        if not self._walls.has_namespaces:
            watch.end_strays(self._walls.processes)
        return answer | {"is_read": self._is_read()}

    def _is_read(self) -> bool:
        """Whether code and tests were read; code that was not is taken away for the next job."""
        is_read = not self._unread.poll(0)
        if not is_read:
            self._relay.discard(self._code)
        return is_read

    def _serve_calls(self, number: int, bounds: Bounds, most: int, until: float) -> dict[str, Any]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pid = self._jailer.fork(
                    bounds, CANDIDATE_SEAT, (theirs.fileno(), self._code.fileno()),
                    lambda kept: candidate.call_all(kept[0], kept[1], number),
                )  # fmt: skip
            end = self._listen_to(pid, self._relay, ours.fileno(), bounds, most, until)
        return _answer(end, watch.end(pid), None)

    def _serve_tests(self, number: int, bounds: Bounds, most: int, until: float) -> dict[str, Any]:
        ready = self._testers.ready(bounds)
        channel = ready.channel()
        try:
            pid = self._jailer.fork(
                bounds, CANDIDATE_SEAT, (channel, self._code.fileno()),
                lambda kept: candidate.serve(kept[0], kept[1], number, most),
            )  # fmt: skip
        finally:
            os.close(channel)
        ready.begin(number)
        end, done, code = "done", number, tester.BEFORE
        while end == "done" and code & tester.BEFORE:
            end = self._relay.listen(
                ready.process, ready.hear, done=ready.done, until=until, most=MOST_VERDICT_BYTES,
                is_too_big=self._is_too_big(bounds),
            )  # fmt: skip
            if end == "done":
                done, code = ready.hear_done()
        if end != "done" or done != number or ready.is_last:
            self._testers.end()
        if end != "done":
            return _answer(end, watch.end(pid), None)
        grace = watch.GRACE_SECONDS if code & tester.AN_END else 0
        ended = watch.end(pid, grace_seconds=grace)
        return _answer("exited", ended, 0 if done == number else None)

    def prove(self) -> list[str]:
        """What a jailed process could do that it must not; nothing, where the walls stand."""
        ours, theirs = socket.socketpair()
        bounds = Bounds(
            memory_bytes=64 << 20, cpu_seconds=10, processes=2, open_files=16,
            file_bytes=1 << 20, files=16,
        )  # fmt: skip
        heard = bytearray()
        with ours:
            with theirs:
                pid = self._jailer.fork(
                    bounds, CANDIDATE_SEAT, (theirs.fileno(),), lambda kept: _try_walls(kept[0])
                )
            relay = watch.Relay(lambda part: heard.extend(part))
            until = time.monotonic() + PROVE_SECONDS
            self._listen_to(pid, relay, ours.fileno(), bounds, 1 << 16, until)
        ended = watch.end(pid)
        messages = frames.split(bytes(heard))
        if not messages:
            return [f"a process cannot be jailed (it ended with {ended.status})"]
        found: list[str] = json.loads(messages[0])
        return found

    def _listen_to(
        self, pid: int, relay: watch.Relay, descriptor: int, bounds: Bounds, most: int, until: float
    ) -> str:
        process = os.pidfd_open(pid)
        try:
            return relay.listen(
                process, descriptor, until=until, most=most, is_too_big=self._is_too_big(bounds)
            )
        finally:
            os.close(process)

    def _is_too_big(self, bounds: Bounds) -> Callable[[], bool]:
        def is_too_big() -> bool:
            if not self._walls.has_namespaces:
                return False
            return watch.jailed_bytes(self._walls.processes, self._own_bytes) > bounds.memory_bytes

        return is_too_big


def _try_walls(channel: int) -> int:
    frames.send(channel, frames.dump(breaches()))
    return 0


def _give(part: memoryview) -> None:
    frames.send_view(CONTROL, part)


def _answer(end: str, ended: watch.Ended, tester_status: int | None) -> dict[str, Any]:
    return {
        "end": end,
        "status": ended.status,
        "is_killed": ended.is_killed,
        "cpu_us": ended.cpu_us,
        "peak_bytes": ended.peak_bytes,
        "tester_status": tester_status,
    }


if __name__ == "__main__":
    main()
