"""`parkade mars explain`: what a code means, what others do about it, what we do and why."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, explaining, fail
from parkade.cli.exit_codes import MARS_INVALID
from parkade.cli.mars.choose import PolicyOption, policy_from
from parkade.cli.mars.show import LEVEL_STYLES

if TYPE_CHECKING:
    from parkade.core.healing.policy import PolicyRule, RepeatRule
    from parkade.mars.explaining import Explanation


def explain(
    signal: Annotated[
        list[str],
        typer.Argument(help="XID 79, xid/79, link_down, or a line of a kernel log, in quotes."),
    ],
    policy_file: PolicyOption = None,
    as_json: AsJson = False,
) -> None:
    """Say what a code means, what public sources say, and our verdict with its reason."""
    import msgspec

    from parkade.mars import explaining as mars

    with explaining(as_json=as_json):
        policy = policy_from(policy_file)
        try:
            name = mars.signal_from(tuple(signal))
        except ValueError as error:
            fail(str(error), exit_code=MARS_INVALID)
        found = mars.explain(name, policy)
        if as_json:
            print(msgspec.json.format(msgspec.json.encode(found)).decode())
        else:
            _show(found)


def _show(found: "Explanation") -> None:
    from parkade.cli import screen

    gpus = "no present GPU" if found.gpus == "" else found.gpus
    tells = found.driver_tells_since
    since = "from its first driver on" if tells == "first" else f"from driver {tells} on"
    screen.say(found.signal)
    screen.fields(
        (
            ("meaning", found.meaning),
            ("name", found.mnemonic),
            ("seen on", gpus),
            ("driver tells", None if tells is None else f"the repair as Xid 154, {since}"),
        )
    )
    if found.says:
        screen.say("")
        screen.table(("SOURCE", "SAYS"), found.says, empty="")
    if len(found.rules) > 1:
        screen.say("")
        screen.say("Of these rows the first answers that fits the line, the node and the device.")
    for rule in found.rules:
        screen.say("")
        screen.say(f"our policy ({found.policy})")
        _show_rule(rule)


def _show_rule(rule: "PolicyRule") -> None:
    from rich.text import Text

    from parkade.cli import screen

    where = [f"nodes {rule.nodes}"] if rule.nodes != "*" else []
    where += [f"devices {rule.devices}"] if rule.devices != "*" else []
    screen.fields(
        (
            ("row", rule.signal),
            ("only for", ", ".join(where) or None),
            ("verdict", Text(rule.level.value, style=LEVEL_STYLES[rule.level.value])),
            ("action", f"{rule.action.value.replace('_', ' ')} ({rule.scope.value})"),
            *(("then", repeat_text(repeat)) for repeat in rule.repeats),
            ("why", rule.why),
            ("unlike NVIDIA", rule.differs),
            ("from", ", ".join(rule.provenance)),
        )
    )


def repeat_text(repeat: "RepeatRule") -> str:
    """A repeat in words."""
    from datetime import timedelta

    from parkade.cli import screen

    span = screen.brief(timedelta(microseconds=repeat.window_us))
    action = repeat.action.value.replace("_", " ")
    return f"{repeat.level.value}, {action}: {repeat.count} {repeat.counting.value} within {span}"
