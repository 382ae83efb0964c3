"""The file that says which provider is asked, and who a person is here by what it claims.

`oidc.yaml` in the server's data folder:

    format: 1
    issuer: https://login.example.org/realms/lab
    client_id: parkade
    client_secret_file: /etc/parkade/oidc.secret
    people:
      - {claim: groups, has: acme-leads, org: acme, role: owner}
      - {claim: groups, has: acme, org: acme}

The rules are tried in order, and the first that fits decides the org and the role. The name is that
of `name_claim`. A person who fits none is refused. What the provider claims is trusted for the orgs
that the rules name and for nothing else: a rule makes operators only where it says so.
"""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from parkade.core.units.names import NAME, SYSTEM_UNIX_NAMES, UNIX_NAME
from parkade.identity.errors import Stranger
from parkade.wire.people import Role
from parkade.wire.scalars import Name, TokenLife

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
EMAIL = "email"


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A person who logs in: a name within an org. `subject`: the provider's own name."""

    name: str
    org: str
    role: str
    unix_name: str | None
    subject: str


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Model):
    """Persons whose `claim` is `has`, or a list that holds it; without both, all persons."""

    claim: Annotated[str, Field(min_length=1)] | None = None
    has: str | None = None
    org: Name
    role: Role = "member"

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.claim is None) != (self.has is None):
            raise ValueError("write both `claim` and `has`, or neither: then it fits everyone")
        if self.claim is None and self.role != "member":
            raise ValueError("a rule for everyone makes members only; name a claim")
        return self

    def fits(self, claims: Mapping[str, Any]) -> bool:
        """Whether it is about a person of these claims."""
        if self.claim is None:
            return True
        found = claims.get(self.claim)
        return self.has in found if isinstance(found, list) else found == self.has


class IdentityFile(_Model):
    """The whole file."""

    format: Literal[1]
    issuer: str
    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: Path | None = None
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    name_claim: Annotated[str, Field(min_length=1)] = "preferred_username"
    email_domain: str | None = None
    unix_name_claim: str | None = None
    token_lasts: TokenLife = timedelta(hours=12)
    people: Annotated[tuple[Rule, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        parts = urlsplit(self.issuer)
        is_safe = parts.scheme == "https" or parts.hostname in LOOPBACK
        if not is_safe or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("issuer: write https://… as the provider does")
        if "openid" not in self.scopes:
            raise ValueError("scopes: `openid` is one of them always")
        if (self.name_claim == EMAIL) != (self.email_domain is not None):
            raise ValueError("write `email_domain` with `name_claim: email`, and only with it")
        return self

    @property
    def claims(self) -> frozenset[str]:
        """Those that decide who a person is."""
        named = {self.name_claim, self.unix_name_claim, *(rule.claim for rule in self.people)}
        return frozenset(filter(None, named))


def person_of(file: IdentityFile, claims: Mapping[str, Any]) -> Person:
    """The person of these claims; Stranger where no rule says so, or it has no good name."""
    rule = next((rule for rule in file.people if rule.fits(claims)), None)
    if rule is None:
        raise Stranger(
            "you are logged in at the provider, and no org of this marketplace is yours: ask its"
            " operator"
        )
    name = _name(file, claims)
    if not NAME.accepts(name):
        raise Stranger(
            f"the provider's {file.name_claim} is {name[:80]!r}, no name here: {NAME.words}"
        )
    unix_name = claims.get(file.unix_name_claim) if file.unix_name_claim else None
    if unix_name is not None and (
        not isinstance(unix_name, str)
        or not UNIX_NAME.accepts(unix_name)
        or unix_name in SYSTEM_UNIX_NAMES
    ):
        raise Stranger(f"the provider's {file.unix_name_claim} is no Unix name of a person")
    return Person(
        name=name,
        org=rule.org,
        role=rule.role,
        unix_name=unix_name,
        subject=str(claims["sub"])[:200],
    )


def _name(file: IdentityFile, claims: Mapping[str, Any]) -> str:
    found = claims.get(file.name_claim)
    if not isinstance(found, str):
        raise Stranger(f"the provider does not tell {file.name_claim}; ask its operator for it")
    if not found.isascii():
        # Other letters become a plain one in lower case, and their bearer another person.
        raise Stranger(f"the provider's {file.name_claim} is {found[:80]!r}, no name here")
    if file.name_claim != EMAIL:
        return found.lower()
    name, _, domain = found.lower().rpartition("@")
    if claims.get("email_verified") is not True or domain != str(file.email_domain).lower():
        raise Stranger(f"a verified address of {file.email_domain} is needed")
    return name
