"""The exit codes of the program's own errors, one meaning a number, and a word for each family.

Codes are written for ever: scripts read them. 2 to 6 mean the same everywhere: usage, invalid, not
there, denied, try again. What is *not there* differs by what a command reads: a thing of the
server, a file of Mars, a run of compound. From 7 on a family has codes of its own.
`docs/command-line.md` prints the table; `wire.problems` has that of the server's refusals.
"""

from parkade.wire.exits import (
    EXIT_DENIED,
    EXIT_INVALID,
    EXIT_NOT_FOUND,
    EXIT_OTHER,
    EXIT_REFUSED,
    EXIT_TRY_AGAIN,
    EXIT_USAGE,
)

# Mars: a file, a port or a journal is not to be had, or a drain could not be lifted; a sensor could
# not be read.
MARS_INVALID = EXIT_INVALID
MARS_NO_EXTRA = EXIT_USAGE
MARS_CANNOT = EXIT_NOT_FOUND
MARS_NOT_READ = EXIT_TRY_AGAIN

# Compound: runs that others go on with.
COMPOUND_BROKEN = EXIT_OTHER
COMPOUND_WRONG = EXIT_INVALID
COMPOUND_NOT_FOUND = EXIT_NOT_FOUND
COMPOUND_DENIED = EXIT_DENIED
COMPOUND_UNFINISHED = EXIT_TRY_AGAIN
COMPOUND_BUDGET = EXIT_REFUSED
COMPOUND_FAILED = 8
COMPOUND_WAITING = 9

# The simulator: what was looked for was found, or a figure is outside its range.
SIM_FOUND = EXIT_OTHER
SIM_INVALID = EXIT_INVALID
OBSERVE_INVALID = EXIT_INVALID

# A program that saved and wants to be run again, one that another try would not help, and one that
# was interrupted.
SAVED = 85
FOR_GOOD = 78
INTERRUPTED = 130

EXITS: dict[int, tuple[str, str, str]] = {
    EXIT_OTHER: ("another error", "another error", "the journal, the results or the disk"),
    EXIT_USAGE: ("usage, or log in", "usage, or an extra is missing", "usage"),
    EXIT_INVALID: ("invalid", "a policy or a file is wrong", "a file or a value is wrong"),
    EXIT_NOT_FOUND: (
        "no such thing",
        "a file or a port is not to be had, or a drain not lifted",
        "no such run or question",
    ),
    EXIT_DENIED: ("not allowed", "–", "no call to a model succeeds"),
    EXIT_TRY_AGAIN: ("try again", "nothing found, but a sensor failed", "workers are not done"),
    EXIT_REFUSED: ("the market refuses", "–", "the budget is spent, questions are left"),
    COMPOUND_FAILED: ("–", "–", "some questions or a verifier failed"),
    COMPOUND_WAITING: ("–", "–", "calls wait for the answers of a batch"),
    INTERRUPTED: ("interrupted", "interrupted", "interrupted"),
}
"""What a code says of the marketplace's commands, of `mars`, and of `compound`."""
