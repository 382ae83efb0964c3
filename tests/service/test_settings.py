"""Settings from flags and the environment, and logs without secrets."""

from pathlib import Path

import pytest

from parkade.service.logs import show_control_characters, strike_secrets
from parkade.service.settings import BadSettings, read_settings


def test_flags_come_before_the_environment_and_both_before_what_is_built_in() -> None:
    environment = {
        "PARKADE_SERVER_PORT": "1",
        "PARKADE_SERVER_UNIT": "EUR",
        "PARKADE_SERVER_DATA_FOLDER": "/srv/parkade",
        "PARKADE_SERVER_LOCAL_SITES": "here,there",
    }
    settings = read_settings({"port": 2, "unit": None}, environment)
    assert (settings.port, settings.unit, settings.host) == (2, "EUR", "127.0.0.1")
    assert settings.data_folder == Path("/srv/parkade")
    assert settings.local_sites == ("here", "there")


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("PORT", "x", "port"),
        ("PORT", "70000", "port"),
        ("HOST", "0.0.0.0", "proxy"),
        ("HOST", "example.org", "proxy"),
        ("LOG_FORMAT", "xml", "console"),
        ("PROXIES", "proxy.lab", "proxies"),
        ("PROXIES", "*", "proxies"),
        ("PROXIES", "10.0.0.1/24", "proxies"),
        ("EXEC_SESSIONS", "-1", "exec_sessions"),
        ("EXEC_SESSIONS_PER_USER", "0", "exec_sessions_per_user"),
        ("EXEC_HELD_BYTES", "1", "exec_held_bytes"),
    ],
)
def test_a_bad_setting_is_refused_by_name(name: str, value: str, text: str) -> None:
    with pytest.raises(BadSettings, match=text):
        read_settings({}, {f"PARKADE_SERVER_{name}": value})


def test_proxies_are_addresses_and_networks_and_none_unless_they_are_named() -> None:
    assert read_settings({}, {}).proxies == ()
    assert read_settings({}, {"PARKADE_SERVER_PROXIES": ""}).proxies == ()
    named = {"PARKADE_SERVER_PROXIES": "127.0.0.1, fd00::/8"}
    assert read_settings({}, named).proxies == ("127.0.0.1", "fd00::/8")


def test_a_remote_address_is_taken_when_it_is_meant() -> None:
    environment = {"PARKADE_SERVER_HOST": "0.0.0.0", "PARKADE_SERVER_ALLOW_REMOTE": "true"}
    assert read_settings({}, environment).host == "0.0.0.0"


def test_what_looks_like_a_token_never_reaches_a_log() -> None:
    entry = {"event": "asked with pk_abcdefgh12345", "token": "x", "Authorization": "y", "n": 1}
    assert strike_secrets(None, "info", entry) == {
        "event": "asked with pk_…",
        "token": "…",
        "Authorization": "…",
        "n": 1,
    }


@pytest.mark.parametrize(
    "value",
    [
        ["a", "pk_abcdefgh12345"],
        ("pk_abcdefgh12345",),
        {"pk_abcdefgh12345": 1, "inner": {"x": "pk_abcdefgh12345"}},
        {"headers": {"Authorization": "abcdefgh12345"}},
        b"pk_abcdefgh12345",
        ValueError("pk_abcdefgh12345"),
        Path("/pk_abcdefgh12345"),
    ],
)
def test_a_token_inside_of_what_is_logged_never_reaches_a_log(value: object) -> None:
    struck = strike_secrets(None, "info", {"event": "asked", "what": value, "n": 1})
    assert "abcdefgh12345" not in repr(struck)
    assert struck["n"] == 1


def test_a_log_for_people_has_no_control_character_of_a_user() -> None:
    entry = {"event": "failed \x1b[2J", "n": 1}
    assert show_control_characters(None, "info", entry) == {"event": r"failed \x1b[2J", "n": 1}
