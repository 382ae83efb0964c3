"""What `parkade admin restore` prints: what agents run, and the steps until the server is open."""

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parkade.service.foreign import AgentsFound
    from parkade.service.later_folders import Later
    from parkade.service.withdrawn import Withdrawn


def tell_agents(found: "AgentsFound") -> None:
    """Which agents refuse the journal, and what they run that it does not know."""
    from parkade.cli.screen import table

    if found.refusing:
        pools = ", ".join(found.refusing)
        print(f"Agents have obeyed orders that this journal lacks: {pools}.")
    if found.foreign:
        print("They run what this journal does not know:")
        rows = [(each.pool, each.org, each.attempt, each.name) for each in found.foreign]
        table(("POOL", "ORG", "ATTEMPT", "NAME"), rows, empty="")


def tell_steps(
    *, later: "tuple[Later, ...]", accept: str | None, withdrawn: "Withdrawn | None", start: str
) -> None:
    """The steps that are left, numbered, each with its command. `accept`: the command after which
    agents obey; None: none refuses. `start`: the command that starts the server."""
    steps: list[tuple[str, list[str]]] = []
    if later:
        says = (
            "Move away the folders of work submitted after the backup; its names are given again:"
        )
        steps.append((says, [line for each in later for line in _moves(each)]))
    if accept is not None:
        steps.append((f"Agents refuse this journal until `{accept}`.", []))
    again = None if withdrawn is None else _again(withdrawn)
    if again is None:
        says = "Revoke and disable anew what was since: tokens and users are as they were then."
        steps += [(_alone(start), []), (says, [])]
    elif again:
        says = "Good again, though refused since the backup; refuse them anew:"
        steps += [(_alone(start), []), (says, again)]
    else:
        print("No token was revoked, and no user or org disabled, since the backup.")
    steps.append((f"Open it: `{start}`, as before." if steps else f"Start it: `{start}`.", []))
    print("What is left to do, in this order:")
    for number, (says, commands) in enumerate(steps, 1):
        print(f"{number}. {says}")
        for command in commands:
            print(f"  {command}")


def _alone(start: str) -> str:
    return f"Start it so that only this machine reaches it: `{start} --host 127.0.0.1`."


def _moves(later: "Later") -> list[str]:
    to = shlex.quote(str(later.to))
    names = " ".join(shlex.quote(str(later.parent / name)) for name in later.names)
    return [f"mkdir -p {to}", f"mv -t {to} {names}"]


def _again(found: "Withdrawn") -> list[str]:
    """What was refused since the backup and is good again, as commands that refuse it anew."""
    return [
        *(f"parkade token revoke {shlex.quote(name)}" for name in found.tokens),
        *(f"parkade user disable {shlex.quote(name)}" for name in found.users),
        *(f"parkade org disable {shlex.quote(name)} --yes" for name in found.orgs),
    ]
