"""Calls about where the caller is told of its work: webhooks and addresses of mail."""

from collections.abc import Sequence

from parkade.client.call import Call, checked, get, path_id, post
from parkade.wire import people


def list_receivers() -> Call[people.Receivers]:
    """Where the caller is told of its work, and for an owner where its org is."""
    return get("/receivers", people.Receivers)


def get_receiver(receiver: str) -> Call[people.Receiver]:
    """One receiver."""
    return get(f"/receivers/{path_id(receiver)}", people.Receiver)


def add_receiver(
    address: str, *, about: Sequence[str] = (), for_org: bool = False
) -> Call[people.Receiver]:
    """A webhook or an address of mail that is told; the secret is in this answer only. An address
    of mail is sent a code first, for `confirm_receiver`."""
    body = checked(people.AddReceiver, address=address, about=tuple(about), for_org=for_org)
    return post("/receivers", people.Receiver, body)


def remove_receiver(receiver: str, *, if_match: str | None = None) -> Call[people.Receivers]:
    """It is told nothing more."""
    return post(f"/receivers/{path_id(receiver)}/remove", people.Receivers, if_match=if_match)


def test_receiver(receiver: str) -> Call[people.Receiver]:
    """It is sent a message, to see whether it comes; where it is not confirmed, another code."""
    return post(f"/receivers/{path_id(receiver)}/test", people.Receiver)


def confirm_receiver(
    receiver: str, code: str, *, if_match: str | None = None
) -> Call[people.Receiver]:
    """An address of mail is told what it asked for, by the code that was sent there."""
    body = checked(people.ConfirmReceiver, code=code)
    path = f"/receivers/{path_id(receiver)}/confirm"
    return post(path, people.Receiver, body, if_match=if_match)
