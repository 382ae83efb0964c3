"""How the compound commands end when something is wrong: one line that says what to do.

The one place where an error of compound gets its exit code; `cli.exit_codes` has their meaning.
A worker ends with 85 when work is left.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from parkade.cli.exit_codes import (
    COMPOUND_BROKEN,
    COMPOUND_DENIED,
    COMPOUND_FAILED,
    COMPOUND_NOT_FOUND,
    COMPOUND_WRONG,
    INTERRUPTED,
)


@contextmanager
def failing(*, as_json: bool) -> Iterator[None]:
    """Turn what a command of compound raises into a message and an exit code."""
    from parkade.compound.evaluate.outcomes import OutcomesUnreadable
    from parkade.compound.network import NetworkError
    from parkade.compound.plots.chart import CannotDraw
    from parkade.compound.questions import QuestionError
    from parkade.compound.run.described import NoSuchRun, RunUnreadable
    from parkade.compound.run.journal import JournalError
    from parkade.compound.run.progressing import RunStopped, VerifierBroken
    from parkade.compound.run.results import ResultError
    from parkade.compound.shards.folder import FolderError
    from parkade.compound.shards.log import LogError
    from parkade.compound.theory.domain import DomainError

    try:
        yield
    except NoSuchRun as error:
        fail("not_found", str(error), COMPOUND_NOT_FOUND, as_json=as_json)
    except (NetworkError, QuestionError, FolderError) as error:
        fail("invalid", str(error), COMPOUND_WRONG, as_json=as_json)
    except (DomainError, OutcomesUnreadable, CannotDraw) as error:
        fail("invalid", str(error), COMPOUND_WRONG, as_json=as_json)
    except VerifierBroken as error:
        fail("verifier_broken", str(error), COMPOUND_FAILED, as_json=as_json)
    except RunStopped as error:
        fail("denied", str(error), COMPOUND_DENIED, as_json=as_json)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        fail("broken", f"{where}{error.strerror or error}", COMPOUND_BROKEN, as_json=as_json)
    except (JournalError, LogError, ResultError, RunUnreadable) as error:
        fail("broken", str(error), COMPOUND_BROKEN, as_json=as_json)
    except KeyboardInterrupt:
        fail(
            "interrupted",
            "stopped; the same command goes on where it was",
            INTERRUPTED,
            as_json=as_json,
        )


def fail(code: str, detail: str, status: int, *, as_json: bool) -> NoReturn:
    """Say what is wrong and end."""
    if as_json:
        import msgspec

        print(msgspec.json.encode({"v": 1, "error": code, "detail": detail}).decode())
    else:
        print(f"parkade: {detail}", file=sys.stderr)
    raise SystemExit(status)
