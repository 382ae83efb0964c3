"""What a run's folder holds: its questions, and what was spent on them, model by model.

One pass over results and journal, at a cost of their length. The bill is of the whole folder, as
that of a run is; results and failures are of the network that ran last.
"""

from pathlib import Path
from typing import TypeAlias

import msgspec

from parkade.compound.run.budget import NOTHING, Amounts
from parkade.compound.run.described import read_described
from parkade.compound.run.failures import FAILURES, read_failures
from parkade.compound.run.lines import FailedLine
from parkade.compound.run.ownership import JOURNAL, RUN
from parkade.compound.run.recorded_lines import LINE, decoded, whole_lines
from parkade.compound.run.recording import RESULTS
from parkade.compound.run.results import Result

#: Questions that are listed.
MAX_LISTED = 20


class ModelUse(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of one model."""

    model: str
    used: Amounts


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """Of a folder."""

    #: Questions with a result; of several of one question the last counts.
    done: int
    answered: int
    #: Of the answered ones: those that a verifier accepted.
    accepted: int
    #: Questions that failed in the latest start.
    failed: int
    spent: Amounts
    doubtful: Amounts
    models: tuple[ModelUse, ...]
    #: The first of the results.
    results: tuple[Result, ...]
    #: Calls counted at their worst case, since their server said no usage that can be.
    without_usage: int = 0


class _CallHead(msgspec.Struct, frozen=True, gc=False, tag_field="is", tag="call"):
    model: str
    input: int
    output: int
    cost: int
    most: bool = False


_Head: TypeAlias = _CallHead | FailedLine
_CALL, _FAILED = b'{"is":"call"', b'{"is":"failed"'


def read_overview(out: Path) -> Overview:
    """Of a run's or a server's folder; NoSuchRun and RunUnreadable."""
    described = read_described(out / RUN)
    spent, doubtful, models, without_usage = _bill(out / JOURNAL)
    answered: dict[str, int] = {}
    listed: dict[str, Result] = {}
    decode = msgspec.json.Decoder(Result).decode
    for place, line in whole_lines(out / RESULTS, b"{"):
        result = decoded(out / RESULTS, place, line, decode)
        if described.network not in ("", result.network):
            continue
        answered[result.id] = (result.answer is not None) + bool(result.accepted)
        if result.id in listed or len(listed) < MAX_LISTED:
            listed[result.id] = result
    failed = {
        each.id for each in read_failures(out / FAILURES) if each.network == described.network
    }
    return Overview(
        done=len(answered),
        answered=sum(each > 0 for each in answered.values()),
        accepted=sum(each > 1 for each in answered.values()),
        failed=len(failed),
        spent=spent,
        doubtful=doubtful,
        models=models,
        results=tuple(listed.values()),
        without_usage=without_usage,
    )


def _bill(path: Path) -> tuple[Amounts, Amounts, tuple[ModelUse, ...], int]:
    """Spent, doubtful, spent by model, the dearest first, and calls without a usage."""
    decode = msgspec.json.Decoder(_Head).decode
    doubtful = NOTHING
    without_usage = 0
    used: dict[str, list[int]] = {}
    for place, line in whole_lines(path, LINE):
        if not line.startswith((_CALL, _FAILED)):
            continue
        head = decoded(path, place, line, decode)
        if isinstance(head, FailedLine):
            doubtful = doubtful + Amounts(head.cost, head.tokens, head.calls)
            continue
        of_model = used.setdefault(head.model, [0, 0, 0])
        of_model[0] += head.cost
        of_model[1] += head.input + head.output
        of_model[2] += 1
        without_usage += head.most
    models = [ModelUse(model=name, used=Amounts(*its)) for name, its in used.items()]
    models.sort(key=lambda each: (-each.used.micros, -each.used.calls, each.model))
    spent = sum((each.used for each in models), NOTHING)
    return spent, doubtful, tuple(models), without_usage
