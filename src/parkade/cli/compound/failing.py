"""How the compound commands end when something is wrong: one line that says what to do.

Exit codes of their own, beside 0 done: 3 a file is wrong; 4 no such run or
question; 5 no call to a model succeeds; 6 workers are not done; 7 the budget is spent and questions
are left; 8 some questions or a verifier failed; 9 calls wait for the answers of a batch; 1 the
journal or the disk; 130 interrupted. A worker ends with 85 when work is left.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from parkade.cli.exit_codes import (
    COMPOUND_BROKEN,
    COMPOUND_DENIED,
    COMPOUND_FAILED,
    COMPOUND_WRONG,
    INTERRUPTED,
)


@contextmanager
def failing(*, as_json: bool) -> Iterator[None]:
    """Turn what a run raises into a message and an exit code."""
    from parkade.compound.network import NetworkError
    from parkade.compound.questions import QuestionError
    from parkade.compound.run.journal import JournalError
    from parkade.compound.run.progressing import RunStopped, VerifierBroken
    from parkade.compound.run.results import ResultError
    from parkade.compound.shards.folder import FolderError
    from parkade.compound.shards.log import LogError

    try:
        yield
    except (NetworkError, QuestionError, FolderError) as error:
        fail("invalid", str(error), COMPOUND_WRONG, as_json=as_json)
    except VerifierBroken as error:
        fail("verifier_broken", str(error), COMPOUND_FAILED, as_json=as_json)
    except RunStopped as error:
        fail("denied", str(error), COMPOUND_DENIED, as_json=as_json)
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        fail("broken", f"{where}{error.strerror or error}", COMPOUND_BROKEN, as_json=as_json)
    except (JournalError, LogError, ResultError) as error:
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
