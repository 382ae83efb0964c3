"""The grammar of names: what an org, a node or an environment variable may be called.

The one authority: the wire builds its models from these grammars, the core checks commands with
them, and an engine reads environment files with them. A pattern describes the whole text, is
ASCII only and means the same to Python, to pydantic and to JSON Schema.

A name stands in URLs, ids, accounts and folders as it is written, so no grammar admits a slash, a
blank or a leading dot.
"""

import re

import msgspec


class Grammar(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of name: `pattern` is a regular expression without anchors, `longest` is in
    characters, `words` tell a person what to write."""

    pattern: str
    longest: int
    words: str

    def accepts(self, text: str) -> bool:
        """Whether the text is such a name."""
        return len(text) <= self.longest and re.fullmatch(self.pattern, text) is not None


# Orgs, users, tokens, pools, markets, sites, fabrics, reservations and instance types.
NAME = Grammar(
    pattern=r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?",
    longest=63,
    words="write lower-case letters, digits, dots, dashes and underscores, at most 63",
)
# A user, token or reservation as requests name it: one that an org has named itself has the org
# behind it, `ann@acme`, so that no org learns of another's names.
REFERENCE = Grammar(
    pattern=rf"{NAME.pattern}(@{NAME.pattern})?",
    longest=2 * NAME.longest + 1,
    words=f"{NAME.words}, perhaps with @ and the org behind",
)
# A host name as RFC 1123 section 2.1 has it; its case is kept.
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
NODE_NAME = Grammar(
    pattern=rf"{_LABEL}(\.{_LABEL})*",
    longest=253,
    words="write a host name, like GPU-01.cluster.local: labels of letters, digits and dashes,"
    " joined by dots, at most 253 characters",
)
# Shown beside the id and never looked up, so two workloads may share one.
WORKLOAD_NAME = Grammar(
    pattern=r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
    longest=63,
    words="write letters, digits, dots, dashes and underscores, at most 63",
)
GPU_MODEL = Grammar(
    pattern=r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,62}",
    longest=63,
    words="write letters, digits, blanks, dots, dashes and underscores, at most 63",
)
# What useradd accepts.
UNIX_NAME = Grammar(
    pattern=r"[a-z_][a-z0-9_-]{0,31}", longest=32, words="write the name of a Unix user"
)
ENV_KEY = Grammar(
    pattern=r"[A-Za-z_][A-Za-z0-9_]*",
    longest=256,
    words="write the name of a variable: letters, digits and underscores",
)
GRAMMARS = (NAME, NODE_NAME, WORKLOAD_NAME, GPU_MODEL, UNIX_NAME, ENV_KEY)

# Variables with this prefix are set by Parkade for every rank.
ENV_PREFIX = "PARKADE_"
# Accounts of the system, which no workload runs as.
SYSTEM_UNIX_NAMES = frozenset({"root", "daemon", "nobody", "bin", "sys"})


def same_host(name: str) -> str:
    """One text for all spellings of a host name: `GPU-01` and `gpu-01` are one machine."""
    return name.lower()


def numbered(name: str, number: int) -> str:
    """A name derived from another, `acme-2`; a long one is cut so that it stays a name."""
    suffix = f"-{number}"
    return name[: NAME.longest - len(suffix)] + suffix


def scoped(name: str, org: str) -> str:
    """A name that an org gave to something of its own."""
    return f"{name}@{org}"
