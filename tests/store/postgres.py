"""A real PostgreSQL server for tests, where one is installed: on a socket of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa

from tests.waits import PATIENCE_S

IS_THERE = bool(shutil.which("initdb") and shutil.which("pg_ctl") and find_spec("psycopg"))
# PostgreSQL refuses to run as root.
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
QUICK = "-c fsync=off -c max_connections=20"
# From whatever reaches the addresses that it listens on.
_FROM_ANYWHERE = "host all all 0.0.0.0/0 trust\n"


@contextmanager
def server(*, enter: tuple[str, ...] = (), addresses: str = "''") -> Iterator[str]:
    """The address of a server's first database, while the context is open: on a socket of its
    own, and at these addresses too. `enter` are words before its programs."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        place, is_root = Path(folder), os.geteuid() == 0
        if is_root:
            shutil.chown(place, "nobody", "nogroup")
        become = (*enter, *(AS_NOBODY if is_root else ()))
        data = place / "data"
        listen = f"-k {place} -c listen_addresses={addresses}"

        def run(*command: str) -> None:
            done = subprocess.run(
                [*become, *command],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=PATIENCE_S,
            )
            assert done.returncode == 0, done.stdout

        run("initdb", "-D", str(data), "-U", "parkade", "--auth=trust", "-E", "UTF8")
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write(_FROM_ANYWHERE)
        log = ("-l", str(place / "log"))
        run("pg_ctl", "-D", str(data), "-w", *log, "-o", f"{QUICK} {listen}", "start")
        try:
            yield f"postgresql://parkade@/postgres?host={place}"
        finally:
            run("pg_ctl", "-D", str(data), "-w", "-m", "immediate", "stop")


def new_database(address: str, name: str) -> str:
    """The address of a new database of that server."""
    url = sa.make_url(address).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return url.set(drivername="postgresql", database=name).render_as_string()
