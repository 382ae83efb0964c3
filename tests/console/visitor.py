"""A person at the console without a browser: a cookie jar, and forms as a browser sends them."""

import re
from typing import Any

import httpx

from tests.waits import PATIENCE_S

SAME = {"Sec-Fetch-Site": "same-origin"}


class Visitor:
    """One session of the console of a server."""

    def __init__(self, url: str) -> None:
        nothing_kept = httpx.Limits(max_keepalive_connections=0)
        self.http = httpx.Client(
            base_url=url, timeout=PATIENCE_S, headers=SAME, limits=nothing_kept
        )

    def login(self, token: str, **fields: str) -> httpx.Response:
        """Pastes a token."""
        return self.http.post("/login", data={"token": token, **fields})

    def get(self, path: str, **params: Any) -> httpx.Response:
        """A page."""
        return self.http.get(path, params=params or None)

    def text(self, path: str, **params: Any) -> str:
        """A page that there must be."""
        response = self.get(path, **params)
        assert response.status_code == 200, f"{path}: {response.status_code} {response.text[-800:]}"
        return response.text

    def submit(self, path: str, page: str, **fields: str) -> httpx.Response:
        """The form for `path` that stands on a page, filled in."""
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
        return self.http.post(path, data=hidden | fields)


def visitor(url: str, token: str) -> Visitor:
    """Someone who is logged in."""
    made = Visitor(url)
    response = made.login(token)
    assert response.status_code == 303, response.text
    return made
