"""Commands beside ranks; see `parkade.wire.execs`. A session takes several calls of each kind."""

import base64

from parkade.client.call import Call, checked, get, path_id, post
from parkade.wire import execs


def open_exec(
    workload: str,
    *,
    command: tuple[str, ...],
    rank: int = 0,
    terminal: execs.Terminal | None = None,
) -> Call[execs.ExecSession]:
    """Runs a command beside a rank of the present attempt."""
    given = None if terminal is None else terminal.model_dump()
    body = checked(execs.Exec, command=command, rank=rank, terminal=given)
    return post(f"/workloads/{path_id(workload)}/exec", execs.ExecSession, body)


def get_exec_output(session: str, *, after: int, wait: float = 0) -> Call[execs.ExecOutput]:
    """Its output from that number on, once there is any."""
    path = f"/execs/{path_id(session)}/output"
    return get(path, execs.ExecOutput, after=after, wait=wait)


def send_exec_input(
    session: str, *, at: int, content: bytes = b"", is_last: bool = False
) -> Call[execs.ExecTaken]:
    """A part of its input; the answer says how much of it was taken."""
    written = base64.b64encode(content)
    body = checked(execs.ExecInput, at=at, content=written, is_last=is_last)
    return post(f"/execs/{path_id(session)}/input", execs.ExecTaken, body)


def resize_exec(session: str, *, columns: int, rows: int) -> Call[execs.ExecTaken]:
    """Its terminal has another size from now on."""
    body = checked(execs.Window, columns=columns, rows=rows)
    return post(f"/execs/{path_id(session)}/window", execs.ExecTaken, body)


def close_exec(session: str) -> Call[execs.ExecTaken]:
    """Ends it, and what still runs of it."""
    return post(f"/execs/{path_id(session)}/close", execs.ExecTaken)
