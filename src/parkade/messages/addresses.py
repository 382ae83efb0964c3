"""Which addresses a webhook of a user may name: the public internet, and what the operator allows.

The server stands where its users do not: beside a database, a cloud's metadata service, machines
without passwords. So a name is looked up for each message, every address that it has is looked at,
and the connection goes to one of those that may be named, whatever the name resolves to a moment
later (`guarded.py`).
"""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import msgspec

LONGEST_URL = 2_000
LEAST_PORT = 1_024
LONGEST_NAME = 253
_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
# What a look-up takes: `a..b` and a label of 64 letters make it raise what no caller expects.
_NAME = re.compile(rf"({_LABEL}\.)*{_LABEL}\.?", re.IGNORECASE)
_NO_ADDRESS = "this is no address; write it like https://hooks.example.org/parkade"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# What is given out of IPv6 (IANA's registry of global unicast addresses). Python's own table is as
# old as Python.
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
# Public as addresses, and gateways to others or none's: 6to4, Teredo, documentation (RFC 9637).
_NOT_PUBLIC = tuple(ipaddress.ip_network(text) for text in ("2002::/16", "2001::/32", "3fff::/20"))


class AddressRules(msgspec.Struct, frozen=True, kw_only=True):
    """`private`: networks beyond the public internet that may be named, by http as well."""

    private: tuple[str, ...] = ()

    def networks(self) -> tuple[_Network, ...]:
        """The same, parsed; ValueError for what is none."""
        return tuple(ipaddress.ip_network(text) for text in self.private)


def refusal_of(url: str, rules: AddressRules) -> str | None:
    """Why an address is never taken; None for one that may be, as far as it can be told before its
    name is looked up."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return _NO_ADDRESS
    host = parts.hostname
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"an address has at most {LONGEST_URL} plain characters"
    if parts.scheme not in ("https", "http") or not host:
        return _NO_ADDRESS
    if parts.username is not None or parts.password is not None or parts.fragment:
        return "an address has no user, password or fragment; what is secret belongs into its path"
    if port is not None and port not in (80, 443) and port < LEAST_PORT:
        return f"port {port} is a service's, not a webhook's: name 443 or one from {LEAST_PORT} on"
    if parts.scheme == "http" and not rules.private:
        return "an address begins with https://"
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return None if _NAME.fullmatch(host) and len(host) <= LONGEST_NAME else _NO_ADDRESS
    return None if may_be_named(literal, rules, scheme=parts.scheme) else _denied(host)


def allowed(found: Sequence[str], rules: AddressRules, *, scheme: str) -> str | None:
    """The first of the addresses that a name has which may be named; None: none may."""
    for text in found:
        if may_be_named(ipaddress.ip_address(text.partition("%")[0]), rules, scheme=scheme):
            return text
    return None


def may_be_named(address: _Address, rules: AddressRules, *, scheme: str) -> bool:
    """Whether a webhook may go there; by http to the operator's own networks alone."""
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = address if inner is None else inner
    if any(address.version == net.version and address in net for net in rules.networks()):
        return True
    return _is_public(address) and scheme == "https"


def _is_public(address: _Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address):
        is_given_out = address in _GIVEN_OUT and all(address not in net for net in _NOT_PUBLIC)
    else:
        is_given_out = not address.is_multicast
    return address.is_global and is_given_out


def _denied(host: str) -> str:
    return f"{host} is not an address that this server may be sent to; ask its operator"
