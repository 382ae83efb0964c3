"""What a service manager hands over, and is told: sockets that it holds, and whether we are ready.

The two protocols of systemd, as sd_listen_fds(3) and sd_notify(3) state them: sockets are
inherited from descriptor 3 on, if LISTEN_PID is this process; states go as datagrams to
NOTIFY_SOCKET. Without these variables both do nothing.
"""

import os
import socket
from collections.abc import MutableMapping

import structlog

from parkade.service.settings import BadSettings

_log = structlog.get_logger(__name__)

_FIRST = 3


def inherited_socket(environment: MutableMapping[str, str] = os.environ) -> socket.socket | None:
    """The socket that the manager listens on for us; None where there is none.

    Its variables are removed, so that no child takes them for its own. BadSettings where there are
    several, or it is not one of TCP.
    """
    pid, count = environment.get("LISTEN_PID"), environment.get("LISTEN_FDS", "0")
    if pid != str(os.getpid()):
        return None
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        environment.pop(name, None)
    if count != "1":
        raise BadSettings(
            f"the service manager hands over {count} sockets, one is needed: the server listens on"
            " one address (parkade-server.socket)"
        )
    inherited = socket.socket(fileno=_FIRST)
    if inherited.family not in (socket.AF_INET, socket.AF_INET6):
        raise BadSettings(
            "the service manager hands over a socket that is not of TCP; ListenStream= in"
            " parkade-server.socket takes ADDRESS:PORT"
        )
    inherited.set_inheritable(False)
    return inherited


def tell(state: str, environment: MutableMapping[str, str] = os.environ) -> None:
    """Tells the manager a state, like READY=1; a manager that is gone is not waited for."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address:
        return
    place = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), place)
    except OSError as error:
        _log.warning("manager_not_told", state=state, error=str(error))
