"""Checks beside a cluster whether a pool can stand on it, and says what to do where it cannot.

Each check asks something harmless. With a gang it starts one job of that many nodes, whose ranks
import Parkade, meet in the shared folder, tell their clocks, and connect to the first
(`doctor_rank`): that shows python, folder, clocks, network and srun at once.
"""

import getpass
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

import parkade
from parkade.engines.slurm import answers, doctor_guests, doctor_options
from parkade.engines.slurm.commands import Commands
from parkade.engines.slurm.doctor_options import Bad
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import EngineError, InvalidSpec, Unreachable

PROGRAMS = ("sbatch", "squeue", "sinfo", "scancel", "scontrol", "srun")
RANK = "parkade.engines.slurm.doctor_rank"
GANG_S = 120
TELL_S = 5
"""Between two looks at what the gang's job waits for."""
MOST_SKEW_US = 1_000_000


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One check; `says` is what was found, or what to do."""

    check: str
    is_good: bool
    says: str


class Rank(msgspec.Struct, frozen=True, kw_only=True):
    """What a rank of the gang found: its node, its clock when the first one told its own, and the
    container program that its node lacks."""

    node: str
    clock_us: int
    first_us: int
    lacks: str = ""


def examine(
    settings: SlurmSettings, folder: Path | None, *, gang: int, tell: Callable[[str], None]
) -> Iterator[Check]:
    """One after the other, as each is known. Without commands, or a controller that answers, the
    others are not asked. `tell`: what is waited for."""
    commands = Commands(settings)
    lacking = [it for it in PROGRAMS if shutil.which(it, path=commands.environment["PATH"]) is None]
    words = f"install Slurm's client commands: {', '.join(lacking)}" if lacking else "all there"
    yield Check(check="commands", is_good=not lacking, says=words)
    if lacking:
        return
    controller = _tried("controller", _controller, commands)
    yield controller
    if not controller.is_good:
        return
    checks: tuple[tuple[str, Callable[[Commands], str]], ...] = (
        ("version", _version),
        ("jobs", _jobs),
        ("nodes", _nodes),
        ("rights", _rights),
        ("users", partial(_users, settings)),
        ("guests", partial(doctor_guests.guests, settings)),
        ("names", partial(doctor_options.names, settings)),
        ("python", partial(doctor_options.python, settings)),
        ("container", partial(doctor_options.container, settings, on_nodes=gang > 0)),
        ("submission", partial(doctor_options.submission, settings)),
        ("accounting", _accounting),
        ("configuration", _configuration),
    )
    for name, check in checks:
        yield _tried(name, check, commands)
    if folder is None:
        return
    place = _folder(folder)
    yield place
    if gang and place.is_good:
        try:
            yield _gang(settings, commands, folder, gang, tell)
        except EngineError as error:
            yield Check(check="gang", is_good=False, says=str(error))


def _tried(name: str, check: Callable[[Commands], str], commands: Commands) -> Check:
    try:
        return Check(check=name, is_good=True, says=check(commands))
    except (EngineError, Bad) as error:
        return Check(check=name, is_good=False, says="; ".join(str(error).splitlines())[:500])


def _version(commands: Commands) -> str:
    return commands.run("sinfo", "--version").decode(errors="replace").strip()


def _controller(commands: Commands) -> str:
    """Munge is seen here too: without it nothing is answered."""
    try:
        found = commands.run("scontrol", "ping").decode(errors="replace").strip()
    except EngineError as error:
        raise Bad(f"start slurmctld, and munged here and there ({error})") from None
    if " UP" not in found:
        raise Bad(f"start slurmctld, and munged here and there ({found})")
    return found.splitlines()[0]


def _jobs(commands: Commands) -> str:
    found = answers.jobs(commands.run("squeue", "--json", "--all", "--states=all"))
    return f"{len(found)} jobs are seen"


def _nodes(commands: Commands) -> str:
    found = answers.nodes(commands.run("sinfo", "--json"))
    with_gpus = [node for node in found.values() if node.gpus]
    if not with_gpus:
        raise Bad("no node has Gres=gpu: add it to slurm.conf, and device files to gres.conf")
    return f"{len(with_gpus)} nodes with {sum(node.gpus for node in with_gpus)} GPUs"


def _rights(commands: Commands) -> str:
    """A reservation that begins in a year and is deleted at once shows what a fence needs."""
    name = f"parkade_probe_{uuid.uuid4().hex[:8]}"
    user = getpass.getuser()
    try:
        commands.run(
            "scontrol", "create", f"ReservationName={name}", "StartTime=now+365days",
            "Duration=1", f"Users={user}", "NodeCnt=1", "Flags=IGNORE_JOBS,OVERLAP",
        )  # fmt: skip
    except Unreachable:
        raise
    except EngineError as error:
        raise Bad(
            f"{user} may make no reservation, so the pool cannot be fenced and sells spot only: "
            f"sacctmgr modify user {user} set AdminLevel=Operator ({error})"
        ) from None
    commands.run("scontrol", "delete", f"ReservationName={name}")
    return f"{user} may make reservations"


def _users(settings: SlurmSettings, commands: Commands) -> str:
    """With which rights workloads run; a launcher is tried by what it must refuse."""
    if os.geteuid() == 0:
        return "the agent is root: each workload runs as its user"
    if settings.launcher is None:
        return "all workloads run as the agent; `parkade pool launcher` lets each run as its user"
    for path in (Path(settings.launcher).parent, Path(settings.launcher)):
        found = path.stat() if path.exists() else None
        if found is None or found.st_uid != 0 or found.st_mode & 0o022:
            raise Bad(f"{path} is not there, or not root's alone: see `parkade pool launcher`")
    try:
        commands.run("sudo", "-n", settings.launcher, "check", "root")
    except InvalidSpec as error:
        if "is a system user" not in str(error):
            raise Bad(f"see `parkade pool launcher` ({error})") from None
        return f"{settings.launcher} refuses root, and lets members of its group run as themselves"
    except EngineError as error:
        raise Bad(f"sudo does not run it: see `parkade pool launcher` ({error})") from None
    raise Bad(f"{settings.launcher} acts as root: remove it")


def _accounting(commands: Commands) -> str:
    text = commands.run("scontrol", "show", "config").decode(errors="replace")
    if "accounting_storage/slurmdbd" not in text:
        return "none: accounts in jobs are any word that a user writes; map owners by user instead"
    commands.run("sacctmgr", "-n", "-P", "show", "cluster")
    return "slurmdbd answers"


def _configuration(commands: Commands) -> str:
    text = commands.run("scontrol", "show", "config").decode(errors="replace")
    found = {
        key.strip(): value.strip()
        for key, _, value in (it.partition("=") for it in text.splitlines())
    }
    if found.get("ReturnToService") == "2":
        raise Bad("ReturnToService=2 undoes an administrator's DOWN: write 1")
    return f"ReturnToService={found.get('ReturnToService')}, {found.get('ProctrackType')}"


def _folder(folder: Path) -> Check:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        says = f"{folder}: {error.strerror}; give a folder that agent and nodes share"
        return Check(check="folder", is_good=False, says=says)
    return Check(check="folder", is_good=True, says=f"{folder} can be written here")


def _gang(
    settings: SlurmSettings,
    commands: Commands,
    folder: Path,
    gang: int,
    tell: Callable[[str], None],
) -> Check:
    """What the job waits for is told meanwhile."""
    here = len(answers.nodes(commands.run("sinfo", "--json")))
    if gang > here:
        says = f"a gang of {gang} nodes: the cluster has {here}"
        return Check(check="gang", is_good=False, says=says)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix="doctor-") as name,
        tempfile.TemporaryFile() as complaints,
    ):
        job = f"parkade-doctor-{uuid.uuid4().hex[:8]}"
        child = subprocess.Popen(
            _meeting(settings, job, name, gang),
            env=commands.environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
        )
        try:
            code = _awaited(child, commands, job, tell)
        finally:
            child.kill()
            child.wait()
        if code is None:
            return Check(check="gang", is_good=False, says=f"no answer within {GANG_S * 2} s")
        if code != 0:
            complaints.seek(0)
            text = complaints.read().decode(errors="replace")
            complaint = "; ".join(text.strip().splitlines())
            return Check(check="gang", is_good=False, says=complaint[-400:] or "srun failed")
        ranks = [
            msgspec.json.decode(it.read_bytes(), type=Rank) for it in Path(name).glob("rank-*")
        ]
    return judge(ranks, gang)


def _awaited(
    child: subprocess.Popen[bytes], commands: Commands, job: str, tell: Callable[[str], None]
) -> int | None:
    """The exit code; None where it came not in time. Each new word of Slurm on the job is told."""
    shown = ""
    for _ in range(GANG_S * 2 // TELL_S):
        try:
            return child.wait(TELL_S)
        except subprocess.TimeoutExpired:
            pass
        try:
            found = commands.run("squeue", "-h", f"--name={job}", "-o", "%T %r").decode().strip()
        except EngineError as error:
            found = str(error)
        if found and found != shown:
            shown = found
            waits = f"; it waits at most {GANG_S} s for nodes" if "PENDING" in found else ""
            tell(f"the gang's job: {found.splitlines()[0]}{waits}")
    return None


def _meeting(settings: SlurmSettings, job: str, folder: str, gang: int) -> list[str]:
    """The words that start a rank on each of so many nodes."""
    sought = doctor_options.container_program(settings)
    source = str(Path(parkade.__file__).parent.parent)
    options = [
        f"--{key}={value}"
        for key in ("partition", "account", "qos", "reservation")
        if (value := getattr(settings, key))
    ]
    return [
        "srun", f"--nodes={gang}", f"--ntasks={gang}", "--ntasks-per-node=1", "--mpi=none",
        f"--job-name={job}", f"--immediate={GANG_S}", "--time=5", "--chdir=/", *options,
        "env", f"PYTHONPATH={source}", settings.python or sys.executable, "-s", "-P", "-m", RANK,
        folder, str(gang), *([sought] if sought else []),
    ]  # fmt: skip


def judge(ranks: list[Rank], gang: int) -> Check:
    """Clocks are compared with the first rank's, as they were when it told its own."""
    nodes = sorted(rank.node for rank in ranks)
    if len(set(nodes)) < gang:
        says = f"only {', '.join(nodes) or 'none'} wrote into the folder: it is not shared by all"
        return Check(check="gang", is_good=False, says=says)
    skew_us = max(abs(rank.clock_us - rank.first_us) for rank in ranks)
    if skew_us > MOST_SKEW_US:
        says = f"clocks differ by {skew_us / 1e6:.1f} s: run an NTP daemon on every node"
        return Check(check="gang", is_good=False, says=says)
    lacking = sorted(rank.node for rank in ranks if rank.lacks)
    if lacking:
        program = next(rank.lacks for rank in ranks if rank.lacks)
        says = f"container: {program} is not found on {', '.join(lacking)}: install it there"
        return Check(check="gang", is_good=False, says=says)
    says = f"{', '.join(nodes)} met; clocks within {skew_us / 1e6:.2f} s"
    return Check(check="gang", is_good=True, says=says)
