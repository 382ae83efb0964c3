"""How the compound commands end when something is wrong: one line that says what to do.

Exit codes: 0 done; 2 the command or a file is wrong; 6 a model or the disk refused; 3 the budget is
spent and questions are left; 130 interrupted.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

EXIT_WRONG = 2
EXIT_BUDGET = 3
EXIT_STOPPED = 6
EXIT_INTERRUPTED = 130


@contextmanager
def failing(*, as_json: bool) -> Iterator[None]:
    """Turn what a run raises into a message and an exit code."""
    from parkade.compound.network import NetworkError
    from parkade.compound.questions import QuestionError
    from parkade.compound.run.engine import RunStopped
    from parkade.compound.run.journal import JournalError
    from parkade.compound.run.results import ResultError

    try:
        yield
    except (NetworkError, QuestionError) as error:
        fail("invalid", str(error), EXIT_WRONG, as_json=as_json)
    except (RunStopped, JournalError, ResultError, OSError) as error:
        fail("stopped", str(error), EXIT_STOPPED, as_json=as_json)
    except KeyboardInterrupt:
        fail(
            "interrupted",
            "stopped; the same command goes on where it was",
            EXIT_INTERRUPTED,
            as_json=as_json,
        )


def fail(code: str, detail: str, status: int, *, as_json: bool) -> NoReturn:
    """Say what is wrong and end."""
    if as_json:
        import msgspec

        print(msgspec.json.encode({"v": 1, "error": code, "detail": detail}).decode())
    else:
        print(f"error: {detail}", file=sys.stderr)
    raise SystemExit(status)
