"""How the compound commands end when something is wrong: one line that says what to do.

The one place where an error of compound gets its exit code; `cli.exit_codes` has their meaning.
A worker ends with 85 when work is left.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from parkade.cli.exit_codes import (
    COMPOUND_BROKEN,
    COMPOUND_BUDGET,
    COMPOUND_DENIED,
    COMPOUND_FAILED,
    COMPOUND_NOT_FOUND,
    COMPOUND_WRONG,
    INTERRUPTED,
)

if TYPE_CHECKING:
    from parkade.compound.run.running import Summary

#: Of what `--json` prints of an error. In version 1 "denied" also stood for a server that does not
#: answer; since 2 that is "unreachable". `summary` says what a run did before it was stopped.
ERROR_VERSION = 2


@contextmanager
def failing(
    *, as_json: bool, stopped: "Callable[[], Summary | None] | None" = None
) -> Iterator[None]:
    """Turn what a command of compound raises into a message and an exit code.

    `stopped` gives what a run did until it was stopped, which is told too.
    """
    from parkade.compound.evaluate.outcomes import OutcomesUnreadable
    from parkade.compound.network import NetworkError
    from parkade.compound.plots.chart import CannotDraw
    from parkade.compound.questions import QuestionError
    from parkade.compound.run.affording import BudgetTooSmall
    from parkade.compound.run.described import NoSuchRun, RunUnreadable
    from parkade.compound.run.journal import JournalError
    from parkade.compound.run.ownership import FolderError
    from parkade.compound.run.progressing import ModelDenied, RunStopped, VerifierBroken
    from parkade.compound.run.results import ResultError
    from parkade.compound.shards.log import LogError
    from parkade.compound.theory.domain import DomainError

    try:
        yield
    except NoSuchRun as error:
        fail("not_found", str(error), COMPOUND_NOT_FOUND, as_json=as_json)
    except (NetworkError, QuestionError, FolderError) as error:
        fail("invalid", str(error), COMPOUND_WRONG, as_json=as_json)
    except BudgetTooSmall as error:
        fail("budget", str(error), COMPOUND_BUDGET, as_json=as_json)
    except (DomainError, OutcomesUnreadable, CannotDraw) as error:
        fail("invalid", str(error), COMPOUND_WRONG, as_json=as_json)
    except VerifierBroken as error:
        done = None if stopped is None else stopped()
        fail("verifier_broken", str(error), COMPOUND_FAILED, as_json=as_json, done=done)
    except RunStopped as error:
        done = None if stopped is None else stopped()
        word = "denied" if isinstance(error, ModelDenied) else "unreachable"
        fail(word, str(error), COMPOUND_DENIED, as_json=as_json, done=done)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        fail("broken", f"{where}{error.strerror or error}", COMPOUND_BROKEN, as_json=as_json)
    except (JournalError, LogError, ResultError, RunUnreadable) as error:
        fail("broken", str(error), COMPOUND_BROKEN, as_json=as_json)
    except KeyboardInterrupt:
        done = None if stopped is None else stopped()
        detail = "stopped; the same command goes on where it was"
        fail("interrupted", detail, INTERRUPTED, as_json=as_json, done=done)


def fail(
    code: str, detail: str, status: int, *, as_json: bool, done: "Summary | None" = None
) -> NoReturn:
    """Say what is wrong, and what was done before it, and end."""
    if as_json:
        import msgspec

        document: dict[str, Any] = {"v": ERROR_VERSION, "error": code, "detail": detail}
        if done is not None:
            document["summary"] = done
        print(msgspec.json.encode(document).decode())
    else:
        if done is not None:
            from parkade.cli.compound.progress import fields_of

            fields_of(done)
        print(f"parkade: {detail}", file=sys.stderr)
    raise SystemExit(status)
