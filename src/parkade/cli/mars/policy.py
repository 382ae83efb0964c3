"""`parkade mars policy`: the table in force, a site's changes, and a check of a file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, explaining
from parkade.cli.exit_codes import MARS_CANNOT
from parkade.cli.mars.choose import PolicyOption, policy_from
from parkade.cli.mars.show import LEVEL_STYLES

if TYPE_CHECKING:
    from parkade.core.healing.policy import PolicyRule
    from parkade.mars.comparing import Difference, NeverAsked, RowChange

MOST_SIGNALS = 2
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

    from parkade.cli.files import named_in_faults, read_text
    from parkade.mars.comparing import difference
    from parkade.mars.policy_file import policy_of, read_policy_file, shipped_policy

    with explaining(as_json=as_json):
        with named_in_faults(file):
            written = read_policy_file(read_text(file, exit_code=MARS_CANNOT))
            here = policy_of(written)
        found = difference(shipped_policy(), here, file=written)
        if as_json:
            print(msgspec.json.format(msgspec.json.encode(found)).decode())
        else:
            _show_difference(found)


def _show_difference(found: "Difference") -> None:
    from parkade.cli import screen

    screen.say(f"shipped: {found.before}")
    screen.say(f"here: {found.after}")
    if found.settings:
        screen.say("")
        settings = [(each.place, each.before or "–", each.after or "–") for each in found.settings]
        screen.table(("SETTING", "SHIPPED", "HERE"), settings, empty="")
    if found.rows:
        screen.say("")
        rows = [(each.signal, *_both(each)) for each in found.rows]
        screen.table(("SIGNAL", "SHIPPED", "HERE"), rows, empty="")
    if not found.settings and not found.rows:
        screen.say("The file changes nothing.")
    _say_never_asked(found.never_asked)


def _say_never_asked(rows: tuple["NeverAsked", ...]) -> None:
    from parkade.cli import screen
    from parkade.core.units.phrases import some_of

    for row in rows:
        signals = some_of(row.signals, MOST_SIGNALS)
        screen.say(f"{row.place} is never asked of {signals}: {row.by} comes first")


@policy.command()
def test(file: File) -> None:
    """Check a policy file; every error, and each row that is never asked, has its place."""
    from parkade.cli import screen
    from parkade.cli.files import named_in_faults, read_text
    from parkade.core.units.phrases import counted
    from parkade.mars.comparing import never_asked
    from parkade.mars.policy_file import policy_of, read_policy_file

    with explaining(), named_in_faults(file):
        written = read_policy_file(read_text(file, exit_code=MARS_CANNOT))
        loaded = policy_of(written)
        screen.say(f"{file}: well-formed, {counted(len(loaded.rules), 'signal')}")
        screen.say(f"policy {loaded.version}")
        _say_never_asked(never_asked(written))


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


def _both(row: "RowChange") -> tuple[str, str]:
    """Two answers in words: what a row does, and with that alike, all that differs."""
    brief = (_words(row, row.before, _brief), _words(row, row.after, _brief))
    if brief[0] != brief[1]:
        return brief
    return _words(row, row.before, _whole), _words(row, row.after, _whole)


def _words(
    row: "RowChange", rules: tuple["PolicyRule", ...], word: Callable[["PolicyRule"], str]
) -> str:
    """A row that is another signal's has that one's name."""
    return "\n".join(
        word(rule) if rule.signal == row.signal else f"as {rule.signal}: {word(rule)}"
        for rule in rules
    )


def _brief(rule: "PolicyRule") -> str:
    """Level, action and for what, and what repeats make of it."""
    from parkade.cli.mars.explain import repeat_text
    from parkade.core.healing.verdict import Scope

    text = f"{rule.level.value}, {rule.action.value.replace('_', ' ')}"
    text += " (node)" if rule.scope is Scope.NODE else ""
    text += "" if rule.nodes == "*" else f" on {rule.nodes}"
    text += "" if rule.devices == "*" else f" device {rule.devices}"
    text += ", a program's fault" if rule.is_application_fault else ""
    return "\n".join((text, *(f"then {repeat_text(repeat)}" for repeat in rule.repeats)))


def _whole(rule: "PolicyRule") -> str:
    """A row with its reason and its sources."""
    differs = "" if rule.differs is None else f"\nunlike NVIDIA: {rule.differs}"
    return f"{_brief(rule)}\nwhy: {rule.why}{differs}\nfrom: {', '.join(rule.provenance)}"
