"""A workload of a person attacks the files and processes of a root agent, and those of another's.

The agent is root and each workload runs as its Unix user, as on a machine that orgs share. Whatever
the attacker leaves behind in its own folders goes with them.
"""

import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkade.engines.local import report
from parkade.engines.local.deleting import Deletion
from parkade.ports import DesiredAttempt
from tests import unix_people
from tests.engines.conftest import LocalPlace, end
from tests.engines.trial import FOR_EVER, attempt_of, order_in, released, run, until

pytestmark = pytest.mark.skipif(
    bool(unix_people.missing()), reason=f"needs {' '.join(unix_people.missing())}"
)

# Each line is a name and what must fail.
ATTACKS = r"""
read_own_launch     cat $A/launch.json
read_own_state      cat $A/state.json
read_keeper_log     cat $A/keeper.log
list_own_attempt    ls $A
write_own_attempt   touch $A/x
forge_state         cp /etc/hostname $A/state.json
forge_order         cp /etc/hostname $A/order.json
replace_notice      mv -f $C/forged $A/notice.json
unlink_pipe         rm -f $A/rank-0.pipe
list_data           ls $D
list_live           ls $D/live
forget_itself       rm -f $D/live/*
write_data          touch $D/x
write_workload      touch $A/../../x
swap_checkpoints    mv $C $A/../../stolen
read_other_folder   ls $OTHER
read_other_output   cat $OTHER_A/rank-0.log.0
write_other         touch $OTHER/x
read_devices        cat $D/devices.json
wake_engine         sh -c "echo . > $D/changes"
keep_lease          touch $D/heard
kill_keeper         kill -9 $PPID
stop_keeper         kill -STOP $PPID
read_keeper_memory  head -c1 /proc/$PPID/mem
read_keeper_env     cat /proc/$PPID/environ
read_keeper_files   ls /proc/$PPID/fd
kill_agent          kill -9 $AGENT
read_agent_env      cat /proc/$AGENT/environ
kill_other          kill -9 $OTHER_PID
read_other_env      cat /proc/$OTHER_PID/environ
leave_cgroup        sh -c 'echo $$ > /sys/fs/cgroup/cgroup.procs'
leave_cgroup_2      sh -c 'echo $$ > /sys/fs/cgroup/unified/cgroup.procs'
take_terminal       sh -c 'echo > /dev/tty'
become_root         setpriv --reuid=0 true
raise_itself        sh -c 'renice -n -5 $$'
""".strip().splitlines()

LEAVES = r"""
mkfifo $C/fifo; mkdir -p "$C/$(printf 'new\nline\033')/deep"; touch "$C/$(printf '\377\n')"
truncate -s 1E $C/sparse 2>/dev/null || truncate -s 1T $C/sparse
cp /bin/sh $C/shell; chmod 4755 $C/shell; ln -s /etc $C/away; ln -s $C $C/round
ln $C/sparse $C/hard; mkdir $C/closed; touch $C/closed/x; chmod 0 $C/closed; ln -s $D $C/data
ln -sf /etc/shadow $C/.parkade.json
"""
# Out of its session, environment, user and mount namespace, under a parent of its own.
ESCAPES = (
    "(setsid env -i unshare --user --map-root-user --mount --pid --fork --mount-proc"
    " sh -c 'mount -t tmpfs none /tmp; exec sleep {mark}' </dev/null >/dev/null 2>&1 &)"
    " ; (setsid env -i sh -c 'exec sleep {mark}' </dev/null >/dev/null 2>&1 &)"
)


@pytest.fixture
def shared() -> Iterator[LocalPlace]:
    """A place that other users can pass to: pytest's own folders are closed to them."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        made = LocalPlace(Path(name) / "pool")
        yield made
        end(made)


def places(place: LocalPlace, victim: DesiredAttempt) -> str:
    pid = place.state(victim).ranks[0].pid
    return (
        f"D={place.data}; OTHER={place.checkpoints(victim)}; OTHER_A={place.folder(victim)}\n"
        f"OTHER_PID={pid}; AGENT={os.getpid()}\n"
    )


def attacking(place: LocalPlace, victim: DesiredAttempt, mark: str) -> str:
    tries = "".join(
        f"if ({words}) >/dev/null 2>&1; then echo SUCCEEDED {name}; fi\n"
        for name, words in (line.split(maxsplit=1) for line in ATTACKS)
    )
    return (
        f"A=$(dirname $PARKADE_NOTICE_FILE); C=$PARKADE_CHECKPOINT_DIR; {places(place, victim)}"
        f"touch $C/forged\n{tries}{LEAVES}\n{ESCAPES.format(mark=mark)}\n"
        "for f in /proc/self/fd/*; do echo FD $(basename $f) $(readlink $f); done\n"
        "echo over; touch $C/up.0; trap '' TERM; while :; do sleep 0.05; done"
    )


def check_that_root_can(place: LocalPlace, victim: DesiredAttempt, own: DesiredAttempt) -> None:
    """What only looks is there to be looked at: the attacks fail for want of rights alone."""
    keeper = place.state(own).keeper_pid
    for line in ATTACKS:
        name, words = line.split(maxsplit=1)
        if name.startswith(("read_", "list_")):
            words = words.replace("$PPID", str(keeper))
            script = f"A={place.folder(own)}; {places(place, victim)}{words}"
            done = subprocess.run(["bash", "-c", script], capture_output=True)
            assert done.returncode == 0 or name == "read_keeper_memory", (name, done.stderr)


def sleeping(mark: str) -> list[str]:
    """The processes that the attacker hid."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[:2] == [b"sleep", mark.encode()]:
                found.append(entry.name)
    return found


def test_a_person_reaches_nothing_of_the_agents_nor_of_anothers_and_leaves_nothing(
    shared: LocalPlace,
) -> None:
    mark = str(10**8 + secrets.randbelow(10**8))

    async def body(attacker: str, other: str) -> None:
        engine = shared.engine()
        victim = attempt_of(f"umask 0; {FOR_EVER}", unix_user=other, workdir="/")
        await engine.launch(victim)
        await until((shared.checkpoints(victim) / "up.0").exists)
        command = attacking(shared, victim, mark)
        attempt = attempt_of(command, unix_user=attacker, workdir="/")
        await engine.launch(attempt)
        await until((shared.checkpoints(attempt) / "up.0").exists)
        await until(lambda: len(sleeping(mark)) >= 1)
        text = (shared.folder(attempt) / "rank-0.log.0").read_text()
        assert "SUCCEEDED" not in text and "over" in text, text
        check_that_root_can(shared, victim, attempt)
        held = [line.split()[2:] for line in text.splitlines() if line.startswith("FD")]
        assert len(held) <= 4, "its input, its output twice, and the folder that is listed"
        seen = {one.attempt: one for one in (await engine.observe()).attempts}
        assert seen[victim.attempt].phase == seen[attempt.attempt].phase == "running"
        assert report.NAME in (seen[attempt.attempt].report_problem or "")
        await engine.stop(attempt.attempt, order_in(0, 0.2))
        ended = await released(engine, attempt)
        assert not ended.is_keeper_lost
        assert sleeping(mark) == []
        await engine.forget(attempt.attempt)
        gone = Deletion(shared.data / "deleting")
        gone.take(engine.folders.workload(attempt))
        while not (part := gone.go_on(1_000)).is_done:
            assert part.entries
        assert part.problems == () and list((shared.data / "deleting").iterdir()) == []
        await engine.stop(victim.attempt, order_in(0, 0.2))
        await released(engine, victim)

    with unix_people.people("mallory", "bob") as (mallory, bob):
        try:
            run(body(mallory, bob))
        finally:
            for hidden in sleeping(mark):
                os.kill(int(hidden), signal.SIGKILL)
