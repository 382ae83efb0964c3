"""`parkade mars policy`: the table in force, a site's changes, and a check of a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, explaining
from parkade.cli.mars.choose import PolicyOption, policy_from, policy_in
from parkade.cli.mars.show import LEVEL_STYLES

if TYPE_CHECKING:
    from parkade.core.healing.policy import PolicyRule

policy = typer.Typer(help="The policy: what each symptom means.", no_args_is_help=True)
File = Annotated[Path, typer.Argument(help="A policy file; - is stdin.", metavar="FILE")]


@policy.command()
def show(policy_file: PolicyOption = None, as_json: AsJson = False) -> None:
    """Print every row of the policy."""
    import msgspec

    from parkade.cli import screen
    from parkade.mars.comparing import signal_order

    with explaining(as_json=as_json):
        loaded = policy_from(policy_file)
        if as_json:
            print(msgspec.json.format(msgspec.json.encode(loaded)).decode())
            return
        names = sorted(loaded.rules, key=signal_order)
        screen.say(f"policy {loaded.version}")
        screen.table(
            ("SIGNAL", "LEVEL", "ACTION", "REPEATED", "FROM"),
            [_row(name, rule) for name in names for rule in loaded.rules[name]],
            empty="No rows.",
            drops="FROM REPEATED",
        )


@policy.command()
def diff(file: File, as_json: AsJson = False) -> None:
    """Print what a site's file changes in the shipped policy."""
    import msgspec

    from parkade.cli import screen
    from parkade.mars.comparing import changes
    from parkade.mars.policy_file import shipped_policy

    with explaining(as_json=as_json):
        found = changes(shipped_policy(), policy_in(file))
        if as_json:
            print(msgspec.json.format(msgspec.json.encode(found)).decode())
            return
        screen.table(
            ("SIGNAL", "SHIPPED", "HERE"),
            [(each.signal, _brief(each.before), _brief(each.after)) for each in found],
            empty="The file changes nothing.",
        )


@policy.command()
def test(file: File) -> None:
    """Check a policy file; every error is printed with its place."""
    from parkade.cli import screen

    with explaining():
        loaded = policy_in(file)
        screen.say(f"{file}: well-formed, {screen.count(len(loaded.rules), 'signal')}")
        screen.say(f"policy {loaded.version}")


def _row(name: str, rule: "PolicyRule") -> tuple[object, ...]:
    from rich.text import Text

    from parkade.cli.mars.explain import repeat_text

    where = "" if rule.nodes == "*" else f" on {rule.nodes}"
    where += "" if rule.devices == "*" else f" device {rule.devices}"
    return (
        f"{name}{where}",
        Text(rule.level.value, style=LEVEL_STYLES[rule.level.value]),
        rule.action.value.replace("_", " "),
        "\n".join(repeat_text(repeat) for repeat in rule.repeats),
        ", ".join(rule.provenance),
    )


def _brief(rules: tuple["PolicyRule", ...]) -> str:
    return "\n".join(
        f"{rule.level.value}, {rule.action.value.replace('_', ' ')}"
        + ("" if rule.nodes == "*" else f" on {rule.nodes}")
        + ("" if rule.devices == "*" else f" device {rule.devices}")
        for rule in rules
    )
