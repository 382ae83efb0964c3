"""What is wrong with a URL is known before anything is asked."""

import pytest

from parkade.compound.models.urls import fault_of_url


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "https://api.openai.com/v1",
        "http://[::1]:80/v1",
        "http://vllm_small/v1",
        "http://host.:1/v1/",
    ],
)
def test_usual_urls_are_taken(url: str) -> None:
    assert fault_of_url(url) is None


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("api.openai.com/v1", "is no URL such as"),
        ("ftp://host/v1", "is no URL such as"),
        ("http:///v1", "is no URL such as"),
        ("http://[::1/v1", "is no URL: Invalid IPv6"),
        ("http://host:99999/v1", "is no URL: Port out of range"),
        ("http://host:abc/v1", "is no URL: Port"),
        ("http://a b/v1", "holds a space"),
        ("http://api..openai.com/v1", "names no host: 'api..openai.com' has a part"),
        (f"http://{'a' * 64}.com/v1", "longer than 63"),
        ("https://user:secret@host/v1", "may not hold a password"),
        ("https://host/v1?version=3", "may not have a part after"),
    ],
)
def test_what_no_server_can_have_is_told(url: str, says: str) -> None:
    fault = fault_of_url(url)
    assert fault is not None
    assert says in fault
    assert "secret" not in fault
