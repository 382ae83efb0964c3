"""How large what a person asks for may be: counts, money, spans and texts.

The one authority, as `names` is for names: the wire refuses a value with its place, the core
refuses it again whichever way a command came, and `docs/limits.md` prints the table. A bound is
inclusive. Money is micro-units, spans are microseconds.
"""

import msgspec

from parkade.core.units.money import MICROS
from parkade.core.units.time import DAY_US, MINUTE_US


class Range(msgspec.Struct, frozen=True, kw_only=True):
    """Whole numbers from `least` to `most`, both included."""

    least: int
    most: int

    def holds(self, value: int) -> bool:
        """Whether the value lies inside."""
        return self.least <= value <= self.most


# Machines. The largest in use have 16 GPUs, composed ones 32.
GPUS_PER_NODE = Range(least=1, most=64)
MEMORY_GIB_PER_NODE = Range(least=1, most=1_048_576)
CPUS_PER_NODE = Range(least=1, most=65_536)
NODES = Range(least=1, most=100_000)
NODES_KEPT = Range(least=0, most=100_000)
FABRICS = Range(least=1, most=10_000)

# Money.
MOST_MICROS = 1_000_000_000_000 * MICROS - 1
BALANCE_MICROS = Range(least=0, most=MOST_MICROS)
PAYMENT_MICROS = Range(least=1, most=MOST_MICROS)
# Per GPU-hour.
PRICE_MICROS = Range(least=0, most=1_000_000 * MICROS)
LIMIT_PRICE_MICROS = Range(least=1, most=1_000_000 * MICROS)

# Numerator and denominator of a fraction have at most nine digits; the value is bounded apart.
FRACTION_TERM = Range(least=0, most=999_999_999)

# Spans: at most a hundred years.
SPAN_US = Range(least=0, most=36_500 * DAY_US)
POSITIVE_SPAN_US = Range(least=1, most=36_500 * DAY_US)
GRANT_INTERVAL_US = Range(least=MINUTE_US, most=36_500 * DAY_US)
TOKEN_LIFE_US = Range(least=MINUTE_US, most=36_500 * DAY_US)
BUFFER_HORIZON_US = Range(least=60 * MINUTE_US, most=30 * DAY_US)
# From the submission to a deadline, beyond the duration: so long is a window kept for it at most.
DEADLINE_SLACK_US = Range(least=0, most=14 * DAY_US)
# The spans among a market's terms.
TERMS_US = {
    "notice": POSITIVE_SPAN_US,
    "heal_notice": POSITIVE_SPAN_US,
    "kill": POSITIVE_SPAN_US,
    "turnaround": SPAN_US,
    "start_grace": SPAN_US,
    "minimum_charge": SPAN_US,
    "release_grace": POSITIVE_SPAN_US,
    "clearing_interval": POSITIVE_SPAN_US,
    "clearing_pause": POSITIVE_SPAN_US,
    "billing_period": POSITIVE_SPAN_US,
    "backoff": SPAN_US,
    "retention": POSITIVE_SPAN_US,
    "agent_lease": POSITIVE_SPAN_US,
    "start_limit": POSITIVE_SPAN_US,
    "assemble": POSITIVE_SPAN_US,
    "folder_retention": POSITIVE_SPAN_US,
    "min_runtime": POSITIVE_SPAN_US,
}

MOST_GOOD_TOKENS = 1_000
"""Of one user, those that are not revoked and have not expired."""
MOST_USERS = 10_000
"""Of one org."""

# What an org may have open and begin in a minute, unless an operator says otherwise for it: far
# above what people do, and below what would hold the server up.
ORG_BOUND = Range(least=0, most=1_000_000)
DEFAULT_OPEN = 100_000
DEFAULT_SUBMITS = 60_000
DEFAULT_STARTS = 60_000

# GPUs that a cap lets a user or an org hold: those of the largest pool.
CAP_GPUS = Range(least=0, most=6_400_000)

# A workload.
PRIORITY = Range(least=-1000, most=1000)
FAILURES = Range(least=0, most=1000)
ENV_ENTRIES = Range(least=0, most=1000)
LABELS = Range(least=0, most=32)
MOST_CHOICES = 8
"""Instance types that one workload names."""

FILE_SYSTEMS = Range(least=0, most=32)
# Of each condition.
DEPENDENCIES = Range(least=0, most=100)
ARRAY_MEMBERS = Range(least=1, most=10_000)
ARRAY_INDEX = Range(least=0, most=999_999)
# Command and variables of an array together: each open member holds them.
MOST_ARRAY_CHARACTERS = 16_384
MOST_ENTRIES = 5

# Texts, in characters; documents and bodies in bytes.
COMMAND_CHARACTERS = Range(least=1, most=65_536)
PATH_CHARACTERS = Range(least=1, most=4096)
REASON_CHARACTERS = Range(least=1, most=500)
DESCRIPTION_CHARACTERS = Range(least=1, most=200)
ENV_VALUE_CHARACTERS = Range(least=0, most=32_768)
MOST_ENV_CHARACTERS = 131_072
MOST_DOCUMENT_BYTES = 1_048_576
# Keys and elements of a request, all levels together.
MOST_DOCUMENT_VALUES = 20_000
