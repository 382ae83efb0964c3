"""How guests of a Slurm cluster are let in: by Slurm's account for them and the launcher's group.

It words what Slurm's administrator and root have to do, for what `agent join` proposes.
"""

import getpass
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from parkade.engines.slurm import admitting
from parkade.engines.slurm.admitting import ACCOUNT, GROUP, is_person
from parkade.engines.slurm.doctor_options import Bad, read_conf
from parkade.engines.slurm.finding import Found
from parkade.engines.slurm.settings import SlurmSettings


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """How guests are let in: Slurm's `account` for them, the launcher's Unix `group`, and the users
    whom that group lacks, None where no launcher is known."""

    account: str
    group: str
    outside: tuple[str, ...] | None


ADMISSION = Admission(account=ACCOUNT, group=GROUP, outside=None)


def admission(settings: SlurmSettings, found: Found) -> Admission:
    """Of the agent's options to be: its `account`, and the group of its `launcher`, as far as that
    is installed."""
    account = settings.account or ACCOUNT
    try:
        given = {} if settings.launcher is None else read_conf(Path(settings.launcher))
    except Bad:
        given = {}
    if "group" not in given:
        return Admission(account=account, group=GROUP, outside=None)
    lacking = admitting.outside(given["group"], set(_users(found)) - {getpass.getuser()})
    return Admission(account=account, group=given["group"], outside=lacking)


def admits_by(found: Found, admission: Admission) -> Iterator[str]:
    """What Slurm's administrator and root do so that guests can run, as comments. Nothing where
    Slurm has no accounts."""
    if not found.accounts:
        return
    users, agent = _users(found), getpass.getuser()
    own = [it for it in found.accounts if it.account == admission.account]
    there = own[0].users if own else ()
    wanted = sorted({*users, agent}) if is_person(agent) else users
    lacking = [user for user in wanted if user not in there]
    name = shlex.quote(admission.account)
    yield "# Guests run in an account of their own, for in an owner's they would use up its limit."
    if lacking or not own:
        yield "# An administrator of Slurm lets in their Unix users, and the agent's own:"
    if not own:
        yield f"# sacctmgr -i add account {name}"
    yield from (f"# sacctmgr -i add user {user} account={name}" for user in lacking)
    if is_person(agent) and agent not in found.operators:
        yield "# For a fence and for owners' jobs the agent's user has to be an operator of Slurm:"
        yield f"# sacctmgr -i modify user {agent} set AdminLevel=Operator"
    outside = users if admission.outside is None else admission.outside
    outside = [user for user in outside if user != agent]
    if outside:
        yield "# Where the agent has the launcher, root adds those whose workloads may run:"
    yield from (f"# usermod -aG {admission.group} {user}" for user in outside)


def _users(found: Found) -> list[str]:
    return sorted({user for it in found.accounts for user in it.users if is_person(user)})
