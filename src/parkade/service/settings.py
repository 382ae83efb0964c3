"""What an installation sets, from flags first, then from the environment, then as it begins."""

import ipaddress
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import msgspec
import platformdirs

from parkade.core.units.time import HOUR_US
from parkade.wire.scalars import parse_span

_PREFIX = "PARKADE_SERVER_"
MOST_EXEC_SESSIONS = 1_000
LEAST_EXEC_HELD_BYTES = 65_536
MOST_EXEC_HELD_BYTES = 16_777_216
LEAST_TAKEOVER_S = 2.0
OFF = "off"
_LISTS = ("local_sites", "hosts", "proxies")


class BadSettings(Exception):
    """The server cannot start with these settings; the message says what to change."""


class ServiceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`local_sites`: pools there are run on this machine, by an agent of their own. `check_every`:
    invariants are checked after every n-th event, 0 for at the start only. `allow_remote`: bind to
    an address that others reach, without TLS. `hosts`: names under which it is reached, beside its
    addresses and localhost. `proxies`: addresses or networks of proxies, which are believed when
    they say where a request comes from, and whether by TLS. `root_workloads`: where the server is
    root, run workloads of users without a Unix name as root. `database`: the address of a
    PostgreSQL database for the journal; empty: a file in the data folder. `url`: where people and
    other servers reach this one; empty: it is not told. `standby`: where another server leads, wait
    and follow its journal. `takeover_s`: a leader that PostgreSQL has not heard for so long is
    ended. `archive_after`: entries of the journal older than this span are folded; `off`: none.
    `exec_sessions`: commands beside ranks at once, 0: none, of which one user has
    `exec_sessions_per_user`; `exec_held_bytes`: what waits in each of them either way."""

    data_folder: Path
    host: str = "127.0.0.1"
    port: int = 8300
    unit: str = "USD"
    local_sites: tuple[str, ...] = ("local",)
    log_format: str = "console"
    check_every: int = 1000
    allow_remote: bool = False
    agent_tick_s: float = 0.5
    agent_heartbeat_s: float = 2.0
    hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    root_workloads: bool = False
    database: str = ""
    url: str = ""
    standby: bool = False
    takeover_s: float = 4.0
    archive_after: str = "90d"
    exec_sessions: int = 64
    exec_sessions_per_user: int = 8
    exec_held_bytes: int = 262_144

    def __post_init__(self) -> None:
        if self.log_format not in ("console", "json"):
            raise BadSettings(f"log_format: {self.log_format!r} is neither console nor json")
        if not 0 <= self.port < 65536:
            raise BadSettings(f"port: {self.port} is no port")
        if self.standby and not self.database:
            raise BadSettings(
                "standby: a second server follows a journal in PostgreSQL; name it by database"
            )
        if self.url and not self.url.startswith(("http://", "https://")):
            raise BadSettings(f"url: {self.url!r} is not like https://parkade.example")
        if not self.takeover_s >= LEAST_TAKEOVER_S:
            raise BadSettings(
                f"takeover_s: {self.takeover_s:g} is below {LEAST_TAKEOVER_S:g}: a leader that is"
                " busy for a moment would be ended"
            )
        self._check_archive_after()
        self._check_execs()
        for proxy in self.proxies:
            if not _is_network(proxy):
                raise BadSettings(
                    f"proxies: {proxy!r} is neither an address nor a network like 10.0.0.0/24"
                )
        if not self.allow_remote and not _is_loopback(self.host):
            raise BadSettings(
                f"host: {self.host} can be reached from outside, and tokens would travel in the "
                "clear; bind to 127.0.0.1 behind a proxy with TLS, or allow remote knowingly"
            )

    @property
    def archive_after_us(self) -> int | None:
        """In microseconds; None: nothing is folded."""
        if self.archive_after == OFF:
            return None
        return parse_span(self.archive_after) // timedelta(microseconds=1)

    def _check_archive_after(self) -> None:
        try:
            after_us = self.archive_after_us
        except ValueError as error:
            raise BadSettings(f"archive_after: {error}; or {OFF}") from None
        if after_us is not None and after_us < HOUR_US:
            raise BadSettings(
                f"archive_after: {self.archive_after} is below 1h; what is read all the time stays"
                " as it is"
            )

    def _check_execs(self) -> None:
        for name, least, most in (
            ("exec_sessions", 0, MOST_EXEC_SESSIONS),
            ("exec_sessions_per_user", 1, MOST_EXEC_SESSIONS),
            ("exec_held_bytes", LEAST_EXEC_HELD_BYTES, MOST_EXEC_HELD_BYTES),
        ):
            value = getattr(self, name)
            if not least <= value <= most:
                raise BadSettings(f"{name}: {value} is not from {least:,} to {most:,}")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_network(text: str) -> bool:
    """Whether it is an address or a network, without bits below its length: those would be
    believed by no proxy's address."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def read_settings(
    given: Mapping[str, object], environment: Mapping[str, str] = os.environ
) -> ServiceSettings:
    """Settings of what is given (None: not given) over PARKADE_SERVER_* variables."""
    values: dict[str, object] = {"data_folder": platformdirs.user_data_path("parkade")}
    for name in ServiceSettings.__struct_fields__:
        text = environment.get(_PREFIX + name.upper())
        if text is not None:
            words = tuple(word.strip() for word in text.split(",") if word.strip())
            values[name] = words if name in _LISTS else text
        if given.get(name) is not None:
            values[name] = given[name]
    try:
        return msgspec.convert(
            values | {"data_folder": str(values["data_folder"])},
            ServiceSettings,
            strict=False,
            dec_hook=_path,
        )
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, BadSettings):
            raise error.__cause__ from None
        raise BadSettings(str(error)) from None


def _path(kind: type, value: object) -> object:
    assert kind is Path
    return Path(str(value)).expanduser()
