"""Every option of Slurm's `sbatch`, what becomes of it, and how words are read as options.

An option is *taken* (`meaning` makes it a part of the workload), *left* (the workload runs without
it, and the user is told so), or *refused* (without it the workload would be another). One that is
in no list is no option of sbatch, and is refused too, so that a typing error never drops a line.
"""

from collections.abc import Iterable, Sequence
from enum import Enum

import msgspec


class Takes(Enum):
    """Whether a value follows."""

    VALUE = "value"
    PERHAPS = "perhaps"
    """Only one that is tied to it by `=`."""
    NOTHING = "nothing"


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """`letter` is its short form, empty where there is none. `left`, `refused`: why it is not
    taken; both None where it is."""

    name: str
    letter: str = ""
    takes: Takes = Takes.VALUE
    left: str | None = None
    refused: str | None = None


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """An option as it was written; `place` is `line 7` or `the command line`. `value` is empty
    where none was given."""

    option: Option
    value: str
    place: str

    @property
    def text(self) -> str:
        """As a person would write it."""
        return f"--{self.option.name}" + (f"={self.value}" if self.value else "")


class Wrong(Exception):
    """A word is no option that can be submitted; the message says why and what to do."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


PROCESSORS = "each GPU brings its share of the node's processors"
MEMORY = "each GPU brings its share of the node's memory"
PLACES = "the market chooses the nodes; a gang gets nodes of one fabric"
KINDS = "say --instance-type or --market for a kind of node"
ORDER = "the price decides who is first; a running bid is changed by `parkade bid`"
BINDING = "programs see all processors of their seats"
TELLING = "`parkade events` and webhooks tell of it"
ALONE = "ask for all GPUs of a node to have it alone"
OF_SLURM = "it is a matter of Slurm's own"
REQUEUED = "a workload that was moved is always started again"

TAKEN = (
    "account/A array/a chdir/D container-image cpus-per-task/c dependency/d error/e export gpus/G"
    " gpus-per-node gpus-per-task gres input/i job-name/J nodes/N ntasks/n ntasks-per-gpu"
    " ntasks-per-node open-mode output/o reservation signal time/t wrap"
)
TAKEN_FLAGS = "hold/H parsable quiet/Q test-only wait/W requeue"
LEFT = {
    "partition/p clusters/M constraint/C cluster-constraint prefer": KINDS,
    "qos/q priority": ORDER,
    "mem mem-per-cpu mem-per-gpu": MEMORY,
    "cpus-per-gpu mincpus cores-per-socket sockets-per-node threads-per-core extra-node-info/B"
    " ntasks-per-core ntasks-per-socket core-spec/S thread-spec": PROCESSORS,
    "nodelist/w nodefile/F exclude/x switches": PLACES,
    "cpu-freq gpu-freq gpu-bind gres-flags hint mem-bind distribution/m tres-bind": BINDING,
    "mail-type mail-user": TELLING,
    "time-min deadline": "a bid waits for as long as it is not cancelled",
    "comment": "say --label KEY=VALUE",
    "wckey mcs-label acctg-freq profile power delay-boot propagate network bcast"
    " kill-on-invalid-dep": OF_SLURM,
    "tmp licenses/L": "it is not counted",
}
LEFT_FLAGS = {
    "contiguous spread-job use-min-nodes": PLACES,
    "no-requeue": REQUEUED,
    "no-kill/k": "a gang that lost a node is healed, or goes on from its checkpoint",
    "overcommit/O": BINDING,
    "oversubscribe/s": ALONE,
    "verbose/v ignore-pbs reboot": OF_SLURM,
}
LEFT_PERHAPS = {
    "exclusive": ALONE,
    "nice": ORDER,
    "get-user-env": "a login shell reads it: begin the script with #!/bin/bash -l",
}
REFUSED = {
    "begin/b": "a bid cannot wait for a date; submit it then, or with --hold and `parkade release`",
    "gpus-per-socket": "say --gpus-per-node",
    "tres-per-task tres-per-node tres-per-socket tres-per-job": "say --gpus-per-node",
    "bb bbf": "there are no burst buffers",
    "container container-id": "say --container-image, or start the container in the script",
    "export-file": "read the file in the script, or give --env-file PATH",
    "uid gid": "a workload runs as its user",
}


def _named(names: str, takes: Takes, *, left: str | None = None, refused: str | None = None) -> (
    Iterable[Option]
):  # fmt: skip
    for word in names.split():
        name, _, letter = word.partition("/")
        yield Option(name=name, letter=letter, takes=takes, left=left, refused=refused)


def _all() -> Iterable[Option]:
    yield from _named(TAKEN, Takes.VALUE)
    yield from _named(TAKEN_FLAGS, Takes.NOTHING)
    for takes, lists in (
        (Takes.VALUE, LEFT), (Takes.NOTHING, LEFT_FLAGS), (Takes.PERHAPS, LEFT_PERHAPS),
    ):  # fmt: skip
        for names, why in lists.items():
            yield from _named(names, takes, left=why)
    for names, why in REFUSED.items():
        yield from _named(names, Takes.VALUE, refused=why)


OPTIONS = {option.name: option for option in _all()}
LETTERS = {option.letter: option for option in OPTIONS.values() if option.letter}
RETIRED = {"workdir": "chdir", "tasks-per-node": "ntasks-per-node", "share": "oversubscribe"}
"""Names of old versions, and today's."""


def read(words: Sequence[str], place: str) -> tuple[list[Given], list[str]]:
    """The options at the head of the words, and the words behind them. Raises Wrong for the first
    that cannot be submitted."""
    left = list(words)
    found: list[Given] = []
    while left and left[0].startswith("-") and left[0] not in ("-", "--"):
        word = left.pop(0)
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            option = _by_name(name, place)
            value = _value(option, value, is_tied=bool(equals), left=left, place=place)
            found.append(Given(option=option, value=value, place=place))
        else:
            found += _by_letters(word[1:], left, place)
    for given in found:
        if given.option.refused is not None:
            raise Wrong(place, f"{given.text}: {given.option.refused}")
    return found, left


def _by_letters(letters: str, left: list[str], place: str) -> list[Given]:
    """Of `-N2`, `-N 2`, `-HQ` and `-HN2`."""
    found = []
    while letters:
        option = LETTERS.get(letters[0])
        if option is None:
            raise Wrong(place, f"-{letters[0]} is no option of sbatch")
        letters = letters[1:]
        value = ""
        if option.takes is Takes.VALUE:
            value = _value(option, letters, is_tied=bool(letters), left=left, place=place)
            letters = ""
        found.append(Given(option=option, value=value.removeprefix("="), place=place))
    return found


def _by_name(written: str, place: str) -> Option:
    """The option of that name, or the only one that begins so."""
    name = RETIRED.get(written, written)
    if name in OPTIONS:
        return OPTIONS[name]
    fitting = [one for one in OPTIONS if name and one.startswith(name)]
    if len(fitting) == 1:
        return OPTIONS[fitting[0]]
    if fitting:
        raise Wrong(place, f"--{written} may be {', '.join(f'--{one}' for one in fitting[:6])}")
    raise Wrong(place, f"--{written[:60]} is no option of sbatch")


def _value(option: Option, value: str, *, is_tied: bool, left: list[str], place: str) -> str:
    if option.takes is Takes.NOTHING and is_tied:
        raise Wrong(place, f"--{option.name} takes no value")
    if option.takes is Takes.VALUE and not is_tied:
        if not left:
            raise Wrong(place, f"--{option.name} needs a value")
        return left.pop(0)
    if option.takes is Takes.VALUE and not value:
        raise Wrong(place, f"--{option.name} needs a value")
    return value
