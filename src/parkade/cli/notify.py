"""`parkade notify`: where a user, or an org, is told of its work."""

from typing import TYPE_CHECKING, Annotated

import typer

from parkade.cli.calling import AsJson, call, calling

if TYPE_CHECKING:
    from parkade.wire.people import Receiver, Receivers

notify = typer.Typer(help="Be told of your work, by webhook or mail.", no_args_is_help=True)
KINDS = "notice, at_risk, started, ended, budget or incident"
Named = Annotated[str, typer.Argument(help="As `parkade notify list` shows it.")]


@notify.command("add")
def add(
    address: Annotated[str, typer.Argument(help="A webhook (https://…) or an address of mail.")],
    about: Annotated[
        list[str] | None, typer.Option(help=f"{KINDS}; may be repeated. Default: all.")
    ] = None,
    org: Annotated[
        bool, typer.Option("--org", help="Of all your org's work; for its owners.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Be told at an address."""
    call(
        lambda client: client.add_receiver(address, about=tuple(about or ()), for_org=org),
        _added,
        as_json=as_json,
    )


@notify.command("list")
def shown(as_json: AsJson = False) -> None:
    """Where you are told, and your org where you are its owner."""
    call(lambda client: client.list_receivers(), _table, as_json=as_json)


@notify.command("remove")
def remove(receiver: Named, as_json: AsJson = False) -> None:
    """Be told there no more."""
    call(lambda client: client.remove_receiver(receiver), _table, as_json=as_json)


@notify.command("test")
def test(receiver: Named) -> None:
    """Send a message there, to see whether it comes; another code where it is not confirmed."""
    from parkade.cli.screen import say

    with calling() as client:
        found = client.test_receiver(receiver)
    sent = "A message" if found.is_confirmed else "Another code"
    say(f"{sent} is on its way to {receiver}.")


@notify.command("confirm")
def confirm(
    receiver: Named,
    code: Annotated[str, typer.Argument(help="The code that was sent to the address.")],
    as_json: AsJson = False,
) -> None:
    """Be told at an address of mail, by the code that was sent there."""
    call(lambda client: client.confirm_receiver(receiver, code), _hears, as_json=as_json)


def _hears(receiver: "Receiver") -> None:
    from parkade.cli.screen import say

    say(f"{receiver.receiver} is told of {', '.join(receiver.about)}")


def _added(receiver: "Receiver") -> None:
    from parkade.cli.screen import say

    if not receiver.is_confirmed:
        say(f"A code is on its way to {receiver.address}, and nothing else until you give it:")
        say(f"  parkade notify confirm {receiver.receiver} CODE")
        return
    _hears(receiver)
    if receiver.secret is not None:
        say(f"It is signed with the secret {receiver.secret}")
        say("which is shown this once. See whether a message comes with")
        say(f"  parkade notify test {receiver.receiver}")


def _table(answer: "Receivers") -> None:
    from parkade.cli.screen import say, table

    rows = [
        (
            each.receiver,
            each.user or f"org {each.org}",
            each.address,
            str(each.waiting) if each.waiting else "–",
            ", ".join(each.about),
        )
        for each in answer.receivers
    ]
    heads = ("RECEIVER", "OF", "ADDRESS", "WAIT", "ABOUT")
    table(heads, rows, empty="You are told nowhere: parkade notify add https://…", drops="ABOUT")
    for each in answer.receivers:
        if not each.is_confirmed:
            say(
                f"{each.receiver} is told nothing until parkade notify confirm {each.receiver} CODE"
            )
        if each.says is not None:
            say(_failing(each))


def _failing(receiver: "Receiver") -> str:
    """What went wrong last, and what comes of it."""
    from parkade.cli.screen import minute
    from parkade.core.units.phrases import counted

    failed = "" if receiver.failed is None else f" at {minute(receiver.failed)}"
    again = "nothing waits for it"
    if receiver.waiting:
        waits = counted(receiver.waiting, "message")
        when = "" if receiver.again is None else f", tried again at {minute(receiver.again)}"
        again = f"{waits} not heard{when}"
    return f"{receiver.receiver} failed{failed}: {receiver.says}; {again}"
