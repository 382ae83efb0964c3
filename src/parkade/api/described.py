"""Headers in the description of the API: those that are answered and taken beside a body."""

from typing import Any

from parkade.api import etags
from parkade.api.context import LONGEST_KEY, PLANS

NOT_REPEATED = ("/v1/logins", "/v1/execs/", "/v1/receivers")
"""Routes that keep no answer for a repeated request; those of agents neither."""
MAKE_TAGGED = (
    *("/v1/workloads", "/v1/reservations", "/v1/orgs", "/v1/users", "/v1/tokens"),
    *("/v1/receivers", "/v1/pools", "/v1/maintenance"),
)
"""Routes that make a thing with a tag, beside those below such a thing."""
_TAG = {"type": "string", "minLength": 1, "maxLength": etags.LONGEST}


def describe_headers(paths: dict[str, Any]) -> None:
    """Puts `ETag`, `If-Match` and `Idempotency-Key` where they are answered and taken; again makes
    no difference."""
    for path, methods in paths.items():
        if path in etags.TAGGED:
            _answer(methods["get"], "of what people decide about it")
        if "post" not in methods or path.endswith(PLANS) or path in etags.OF_AGENTS:
            continue
        if not path.startswith(NOT_REPEATED):
            says = "the same request with it again happens once, and has the first answer"
            _take(methods["post"], "Idempotency-Key", says, longest=LONGEST_KEY)
        if etags.takes_tag(path) or path in MAKE_TAGGED:
            _answer(methods["post"], "the new one of what is made or changed, while it is there")
        if etags.takes_tag(path):
            says = "an ETag; the change is made only where nothing was decided about it since"
            _take(methods["post"], "If-Match", says, longest=etags.LONGEST)


def _answer(route: dict[str, Any], says: str) -> None:
    for status, response in route["responses"].items():
        if status.startswith("2"):
            response["headers"] = {"ETag": {"description": says, "schema": _TAG}}


def _take(route: dict[str, Any], name: str, says: str, *, longest: int) -> None:
    kept = [it for it in route.get("parameters", ()) if it["name"] != name]
    text = {"type": "string", "minLength": 1, "maxLength": longest}
    header = {"name": name, "in": "header", "required": False, "schema": text, "description": says}
    route["parameters"] = [*kept, header]
