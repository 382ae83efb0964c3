"""The first process of a sandbox: has Python warm, and forks jailed processes for each job.

It never runs a line of a job itself. It reads a job, forks the candidate and, if there are tests,
the tester; waits within the job's limits; ends both; answers. What a job did to its processes is
gone with them, so each job finds the same clean interpreter.

Descriptor 0 is the control socket: jobs come in, answers go out. Another descriptor, named in the
settings, carries tests: only the tester reads it, so the tests of a job are never in the memory of
the zygote, nor of a candidate. Both sides number the jobs, so that no job meets another's tests.

    a job       {"number", "source", "names", "calls": [[name, arguments], …], "has_tests",
                 "bounds", "wall_us", "output_bytes"}
    its answer  {"end", "status", "is_killed", "cpu_us", "peak_bytes"}, then a second message:
                the tester's verdict, or the stream of the candidate's answers
"""

import fcntl
import gc
import json
import os
import platform
import socket
import sys
import time
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

CONTROL = 0
MOST_JOB_BYTES = 16 << 20
MOST_VERDICT_BYTES = 1 << 16
WORST_OUT_OF_MEMORY_SCORE = b"1000"
CANDIDATE_SEAT, TESTER_SEAT = 0, 1


def main() -> None:
    """Serves jobs until the control socket closes."""
    settings = json.loads(sys.argv[1])
    tests = _put_above_kept(settings["tests_descriptor"])
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
    zygote = Zygote(walls, jailer, tests)
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
        answer, stream = zygote.serve(job)
        frames.send(CONTROL, frames.dump(answer))
        frames.send(CONTROL, stream)


def _put_above_kept(descriptor: int) -> int:
    """Takes the numbers that jailed processes are given, and gives the descriptor another."""
    above = fcntl.fcntl(descriptor, fcntl.F_DUPFD, FIRST_KEPT + MOST_KEPT)
    for number in range(FIRST_KEPT, FIRST_KEPT + MOST_KEPT):
        os.dup2(NULL, number)
    return above


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

    def __init__(self, walls: Walls, jailer: Jailer, tests: int) -> None:
        self._walls = walls
        self._jailer = jailer
        self._tests = tests
        self._own_bytes = watch.private_bytes(walls.processes, "self")

    def serve(self, job: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        """The answer to a job, and what its processes said."""
        until = time.monotonic() + job["wall_us"] / 1e6
        bounds = Bounds(**job["bounds"])
        if job["has_tests"]:
            return self._serve_tests(job, bounds, until)
        return self._serve_calls(job, bounds, until)

    def _serve_calls(
        self, job: dict[str, Any], bounds: Bounds, until: float
    ) -> tuple[dict[str, Any], bytes]:
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pid = self._jailer.fork(
                    bounds, CANDIDATE_SEAT, (theirs.fileno(),),
                    lambda kept: candidate.call_all(kept[0], job["source"], job["calls"]),
                )  # fmt: skip
            heard = self._listen(pid, ours.fileno(), job["output_bytes"], bounds, until)
        ended = watch.end(pid, grace_seconds=0)
        return self._answer(heard.end, ended), heard.stream

    def _serve_tests(
        self, job: dict[str, Any], bounds: Bounds, until: float
    ) -> tuple[dict[str, Any], bytes]:
        ours, theirs = socket.socketpair()
        hear, say = os.pipe()
        most = job["output_bytes"]
        try:
            with theirs:
                candidate_pid = self._jailer.fork(
                    bounds, CANDIDATE_SEAT, (theirs.fileno(),),
                    lambda kept: candidate.serve(kept[0], job["source"], job["names"], most),
                )  # fmt: skip
            with ours:
                tester_pid = self._jailer.fork(
                    bounds, TESTER_SEAT, (ours.fileno(), self._tests, say),
                    lambda kept: tester.serve(kept[0], kept[1], kept[2], job["number"], most),
                )  # fmt: skip
            heard = self._listen(tester_pid, hear, MOST_VERDICT_BYTES, bounds, until)
        finally:
            os.close(hear)
            os.close(say)
        tester_ended = watch.end(tester_pid, grace_seconds=0)
        ended = watch.end(candidate_pid, grace_seconds=self._grace(heard.end))
        answer = self._answer(heard.end, ended)
        answer["tester_status"] = tester_ended.status
        return answer, heard.stream

    def prove(self) -> list[str]:
        """What a jailed process could do that it must not; nothing, where the walls stand."""
        ours, theirs = socket.socketpair()
        bounds = Bounds(
            memory_bytes=64 << 20, cpu_seconds=10, processes=2, open_files=16,
            file_bytes=1 << 20, files=16,
        )  # fmt: skip
        with ours:
            with theirs:
                pid = self._jailer.fork(
                    bounds, CANDIDATE_SEAT, (theirs.fileno(),),
                    lambda kept: frames.send(kept[0], frames.dump(breaches())),
                )  # fmt: skip
            heard = self._listen(pid, ours.fileno(), 1 << 16, bounds, time.monotonic() + 60)
        ended = watch.end(pid, grace_seconds=0)
        messages = frames.split(heard.stream)
        if not messages:
            return [f"a process cannot be jailed (it ended with {ended.status})"]
        found: list[str] = json.loads(messages[0])
        return found

    def _listen(
        self, pid: int, descriptor: int, most: int, bounds: Bounds, until: float
    ) -> watch.Heard:
        def is_too_big() -> bool:
            if not self._walls.has_namespaces:
                return False
            return watch.jailed_bytes(self._walls.processes, self._own_bytes) > bounds.memory_bytes

        return watch.listen(pid, descriptor, until=until, most=most, is_too_big=is_too_big)

    def _grace(self, end: str) -> float:
        return watch.GRACE_SECONDS if end == "exited" else 0

    def _answer(self, end: str, ended: watch.Ended) -> dict[str, Any]:
        if not self._walls.has_namespaces:
            watch.end_strays(self._walls.processes)
        return {
            "end": end,
            "status": ended.status,
            "is_killed": ended.is_killed,
            "cpu_us": ended.cpu_us,
            "peak_bytes": ended.peak_bytes,
        }


if __name__ == "__main__":
    main()
