"""Checks whether administrators let in the users whose workloads an agent is to run.

With a launcher these are the members of its group: each is tried. Slurm's other users are named, as
they may be meant as well. As root, the agent may run any of Slurm's users.
"""

import getpass
import os
from pathlib import Path

from parkade.engines.slurm import admitting, owners
from parkade.engines.slurm.admitting import ACCOUNT, named
from parkade.engines.slurm.commands import Runner
from parkade.engines.slurm.doctor_options import Bad, read_conf
from parkade.engines.slurm.settings import SlurmSettings


def guests(settings: SlurmSettings, commands: Runner) -> str:
    """How many users are in the account of guests, and which are not in it or in the launcher's
    group. Bad where a user's work could not run, or counts against an owner's limit."""
    known = admitting.associated(commands)
    people = {user for user in known or () if admitting.is_person(user)}
    is_root = os.geteuid() == 0
    group = None
    if settings.launcher is not None and not is_root:
        group = read_conf(Path(settings.launcher)).get("group", "")
    if group is not None:
        users = set(admitting.members(group))
    else:
        users = people if is_root else {getpass.getuser()}
    if known is None or not known:
        return "Slurm tells of no accounts"
    if settings.account is None:
        return _without_account(settings)
    lacking = {user for user in users if settings.account not in known.get(user, ())}
    if lacking and (group is not None or not is_root):
        raise Bad(
            f"not in the account {settings.account}: {named(lacking)}; sacctmgr -i add user USER"
            f" account={settings.account}, for each: else its jobs are refused, or count against"
            " the limits of its default account"
        )
    says = f"{len(users - lacking)} users are in the account {settings.account}"
    says += f"; not in it: {named(lacking)}" if lacking else ""
    outside = () if group is None else admitting.outside(group, people)
    return says + (f"; not in the group {group}: {named(outside)}" if outside else "")


def _without_account(settings: SlurmSettings) -> str:
    try:
        rules = owners.parse_rules(settings.owners)
    except ValueError:
        rules = ()
    if any(rule.kind == "account" for rule in rules):
        raise Bad(
            "no option account: guests run in the default accounts of their users, and use up the"
            f" limits of owners among these; make one (sacctmgr -i add account {ACCOUNT}), let each"
            f" user in, and give the agent account={ACCOUNT}"
        )
    return "no option account: guests run in the default accounts of their users"
