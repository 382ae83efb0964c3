"""Finds what an agent's options name that the cluster does not have: a word for each.

A mistyped account in `owners` is no error for Slurm: its jobs never come, so an owner's jobs wait
for ever. What the cluster does not tell, as accounts where there is no accounting, is not judged.
"""

import logging
import pwd
from collections.abc import Collection, Iterator

from parkade.engines.slurm.commands import Runner
from parkade.engines.slurm.owners import ANY, parse_rules
from parkade.engines.slurm.settings import SlurmSettings
from parkade.ports import EngineError

logger = logging.getLogger(__name__)

MOST_NAMED = 10
WHERE = {
    "account": ("sacctmgr", "-n", "-P", "show", "account", "format=account"),
    "qos": ("sacctmgr", "-n", "-P", "show", "qos", "format=name"),
    "partition": ("sinfo", "-h", "-a", "-o", "%R"),
}
"""The command that lists all of a kind, one a line."""


def unknown(settings: SlurmSettings, commands: Runner) -> tuple[str, ...]:
    """What is named and is not there, in words that say what to do. ValueError where `owners` is
    wrong. Asks one command for each kind that is named."""
    known: dict[str, frozenset[str] | None] = {}
    found = []
    for option, kind, name in _named(settings):
        if kind == "user":
            is_known = _is_user(name)
        else:
            if kind not in known:
                known[kind] = _listed(commands, WHERE[kind])
            here = known[kind]
            is_known = here is None or name in here
        if not is_known:
            found.append(f"{option}: the cluster has no {kind} {name!r}{_others(known.get(kind))}")
    return tuple(found)


def warn(settings: SlurmSettings, commands: Runner) -> None:
    """Into the agent's log, for a cluster that answers."""
    for says in unknown(settings, commands):
        logger.warning("%s; `parkade pool doctor` checks all options", says)


def _named(settings: SlurmSettings) -> Iterator[tuple[str, str, str]]:
    """Option, kind and name of each; a reservation may be made later."""
    for kind in WHERE:
        name = getattr(settings, kind)
        for one in (name or "").split(",") if kind == "partition" else [name]:
            if one:
                yield kind, kind, one
    for rule in parse_rules(settings.owners):
        if rule.value != ANY and rule.kind != "reservation":
            yield "owners", rule.kind, rule.value


def _listed(commands: Runner, words: tuple[str, ...]) -> frozenset[str] | None:
    """None where the cluster does not say."""
    try:
        lines = commands.run(*words).decode(errors="replace").split()
    except EngineError:
        return None
    return frozenset(lines) or None


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except (KeyError, ValueError):
        return False
    return True


def _others(known: Collection[str] | None) -> str:
    if not known:
        return ""
    more = ", …" if len(known) > MOST_NAMED else ""
    return f"; it has {', '.join(sorted(known)[:MOST_NAMED])}{more}"
