"""One org or one user in full, on the command line."""

from typing import TYPE_CHECKING

from parkade.cli.calling import AsJson, call
from parkade.cli.caps import gpu_cap, money_cap
from parkade.cli.deleting import state_of
from parkade.cli.names import OrgName, UserName
from parkade.cli.org_bounds import org_bounds

if TYPE_CHECKING:
    from parkade.wire import people as wire


def show_org(org: OrgName, as_json: AsJson = False) -> None:
    """Show an org in full: its money, caps, bounds, title and contact."""
    call(lambda client: client.get_org(org), _org, as_json=as_json)


def show_user(user: UserName, as_json: AsJson = False) -> None:
    """Show a user in full: its org, role and caps, and what its work has cost."""
    call(lambda client: client.get_user(user), _user, as_json=as_json)


def _org(org: "wire.Org") -> None:
    from parkade.cli.screen import fields

    fields(
        [
            ("org", org.org),
            ("title", org.title),
            ("contact", org.contact),
            ("balance", org.balance),
            ("operator's own account", org.house),
            ("grant", granted(org)),
            *_caps(org),
            ("cap set by", "an operator" if org.is_cap_of_operator else None),
            ("bounds", org_bounds(org)),
            ("folders kept", org.kept and org.kept.folders),
            ("created", org.created),
            ("state", state_of(org.deleted, is_disabled=org.disabled is not None)),
            ("disabled", org.disabled),
            ("deleted", org.deleted),
        ]
    )


def _user(user: "wire.User") -> None:
    from parkade.cli.screen import fields

    fields(
        [
            ("user", user.user),
            ("org", user.org),
            ("role", user.role),
            ("Unix name", user.unix_name),
            *_caps(user),
            ("state", state_of(user.deleted, is_disabled=user.is_disabled)),
            ("deleted", user.deleted),
        ]
    )


def _caps(made: "wire.Capped") -> list[tuple[str, object]]:
    return [
        ("money", money_cap(made)),
        ("GPUs", gpu_cap(made) or "no cap on GPUs"),
    ]


def granted(org: "wire.Org") -> str | None:
    """What it gets again and again, in words."""
    from parkade.wire.scalars import format_amount, format_instant, format_span

    if org.grant is None:
        return None
    each = f"{format_amount(org.grant.amount)} every {format_span(org.grant.every)}"
    return f"{each}, next at {format_instant(org.grant.next)}"
