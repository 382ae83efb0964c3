"""What each route of the API needs of its caller, and a server with one caller of each kind."""

import itertools
import re
from typing import Any, NamedTuple

import httpx

from parkade.core.steps.permissions import Permission
from tests.api.test_turns import bodies
from tests.api.town import Town

ANYONE = None
OPERATOR, OWNER, PARTNER = Permission.OPERATOR, Permission.OWNER, Permission.PARTNER
SELF, MEMBER = Permission.SELF, Permission.MEMBER
WITHOUT_TOKEN = {"POST /v1/logins", "POST /v1/logins/token"}
"""Routes for people who have none yet; `test_logins.py` tries them."""
NEEDS: dict[str, Permission | None] = {
    "GET /v1/receivers": ANYONE,
    "GET /v1/receivers/{receiver}": ANYONE,
    "POST /v1/receivers": ANYONE,
    "POST /v1/receivers/{receiver}/remove": ANYONE,
    "POST /v1/receivers/{receiver}/test": ANYONE,
    "POST /v1/receivers/{receiver}/confirm": ANYONE,
    "GET /v1/whoami": ANYONE,
    "GET /v1/server": ANYONE,
    "POST /v1/orgs": OPERATOR,
    "GET /v1/orgs": ANYONE,
    "GET /v1/orgs/{org}": MEMBER,
    "POST /v1/orgs/{org}/deposits": OPERATOR,
    "POST /v1/orgs/{org}/disbursements": OPERATOR,
    "POST /v1/orgs/{org}/refunds": OPERATOR,
    "POST /v1/orgs/{org}/grant": OPERATOR,
    "POST /v1/orgs/{org}/cap": OWNER,
    "POST /v1/orgs/{org}/cap/plan": OWNER,
    "POST /v1/orgs/{org}/bounds": OPERATOR,
    "POST /v1/orgs/{org}/description": OWNER,
    "POST /v1/orgs/{org}/disabled": OPERATOR,
    "POST /v1/users": OWNER,
    "GET /v1/users": ANYONE,
    "GET /v1/users/{user}": MEMBER,
    "POST /v1/users/{user}/cap": OWNER,
    "POST /v1/users/{user}/cap/plan": OWNER,
    "POST /v1/users/{user}/unix-name": OPERATOR,
    "POST /v1/users/{user}/disabled": OWNER,
    "POST /v1/users/{user}/role": OWNER,
    "POST /v1/users/{user}/delete": OWNER,
    "POST /v1/orgs/{org}/delete": OPERATOR,
    "POST /v1/tokens": SELF,
    "GET /v1/tokens": ANYONE,
    "GET /v1/tokens/{token}": SELF,
    "POST /v1/tokens/{token}/revoke": SELF,
    "POST /v1/pools": OPERATOR,
    "GET /v1/pools": ANYONE,
    "GET /v1/pools/{pool}": ANYONE,
    "POST /v1/pools/{pool}/nodes": OPERATOR,
    "POST /v1/pools/{pool}/close": OPERATOR,
    "POST /v1/pools/{pool}/fence": OPERATOR,
    "POST /v1/pools/{pool}/unfence": OPERATOR,
    "POST /v1/pools/{pool}/observe": OPERATOR,
    "POST /v1/pools/{pool}/lend": OPERATOR,
    "GET /v1/markets/{market}": ANYONE,
    "POST /v1/markets/{market}/terms": OPERATOR,
    "GET /v1/prices": ANYONE,
    "GET /v1/prices/{market}": ANYONE,
    "POST /v1/prices/{market}": OPERATOR,
    "POST /v1/prices/{market}/plan": OPERATOR,
    "GET /v1/nodes": OPERATOR,
    "GET /v1/nodes/{node}": OPERATOR,
    "POST /v1/maintenance": OPERATOR,
    "GET /v1/maintenance": ANYONE,
    "GET /v1/maintenance/{maintenance}": ANYONE,
    "POST /v1/maintenance/{maintenance}/change": OPERATOR,
    "POST /v1/maintenance/{maintenance}/cancel": OPERATOR,
    "POST /v1/nodes/{node}/cordon": OPERATOR,
    "POST /v1/nodes/{node}/uncordon": OPERATOR,
    "POST /v1/nodes/{node}/fail": OPERATOR,
    "POST /v1/nodes/{node}/restore": OPERATOR,
    "POST /v1/nodes/{node}/undrain": OPERATOR,
    "POST /v1/nodes/{node}/drain": OPERATOR,
    "POST /v1/nodes/{node}/remove": OPERATOR,
    "POST /v1/reservations": OWNER,
    "POST /v1/reservations/plan": OWNER,
    "POST /v1/reservations/{reservation}/extend": OWNER,
    "POST /v1/reservations/{reservation}/extend/plan": OWNER,
    "POST /v1/reservations/{reservation}/split": OWNER,
    "POST /v1/reservations/{reservation}/split/plan": OWNER,
    "POST /v1/reservations/{reservation}/shrink": OWNER,
    "POST /v1/reservations/{reservation}/shrink/plan": OWNER,
    "GET /v1/reservations": ANYONE,
    "GET /v1/reservations/{reservation}": MEMBER,
    "POST /v1/reservations/{reservation}/lend": OWNER,
    "POST /v1/reservations/{reservation}/lend/plan": OWNER,
    "POST /v1/reservations/{reservation}/claims": OWNER,
    "GET /v1/claims": ANYONE,
    "GET /v1/claims/{claim}": MEMBER,
    "POST /v1/claims/{claim}/unclaim": OWNER,
    "POST /v1/reservations/{reservation}/end": OWNER,
    "POST /v1/reservations/{reservation}/end/plan": OWNER,
    "POST /v1/workloads": MEMBER,
    "POST /v1/workloads/plan": MEMBER,
    "GET /v1/workloads": ANYONE,
    "GET /v1/workloads/{workload}": MEMBER,
    "GET /v1/workloads/{workload}/why": MEMBER,
    "POST /v1/workloads/{workload}/hold": SELF,
    "POST /v1/workloads/{workload}/release": SELF,
    "POST /v1/workloads/{workload}/bid": SELF,
    "POST /v1/workloads/{workload}/bid/plan": SELF,
    "POST /v1/workloads/{workload}/bounds": SELF,
    "POST /v1/workloads/{workload}/bounds/plan": SELF,
    "POST /v1/workloads/{workload}/resubmit": SELF,
    "POST /v1/workloads/{workload}/retry": SELF,
    "GET /v1/workloads/{workload}/logs": MEMBER,
    "GET /v1/workloads/{workload}/logs/offset": MEMBER,
    "POST /v1/workloads/{workload}/cancel": SELF,
    "POST /v1/workloads/{workload}/exec": SELF,
    "GET /v1/execs/{session}/output": ANYONE,
    "POST /v1/execs/{session}/input": ANYONE,
    "POST /v1/execs/{session}/window": ANYONE,
    "POST /v1/execs/{session}/close": ANYONE,
    "GET /v1/pools/{pool}/exec-requests": OPERATOR,
    "GET /v1/pools/{pool}/execs/{session}/input": OPERATOR,
    "POST /v1/pools/{pool}/execs/{session}/output": OPERATOR,
    "GET /v1/lot": ANYONE,
    "GET /v1/costs": OWNER,
    "GET /v1/showback": OWNER,
    "GET /v1/accounts": OPERATOR,
    "GET /v1/statement": PARTNER,
    "POST /v1/clock/confirm": OPERATOR,
    "GET /v1/events": ANYONE,
    "POST /v1/pools/{pool}/agent-tokens": OPERATOR,
    "GET /v1/pools/{pool}/desired": OPERATOR,
    "POST /v1/pools/{pool}/observation": OPERATOR,
    "POST /v1/pools/{pool}/health": OPERATOR,
    "POST /v1/pools/{pool}/folders": OPERATOR,
    "GET /v1/mars": OPERATOR,
    "POST /v1/mars/automation": OPERATOR,
    "GET /v1/mars/incidents": OPERATOR,
    "GET /v1/mars/incidents/{incident}": OPERATOR,
    "GET /v1/pools/{pool}/log-requests": OPERATOR,
    "POST /v1/pools/{pool}/log-chunks/{log_request}": OPERATOR,
}
"""What a caller must be; ANYONE with a token is shown what is public and what is its own."""

QUERIES: dict[str, dict[str, str]] = {
    "GET /v1/costs": {"org": "acme"},
    "GET /v1/showback": {"org": "acme"},
    "GET /v1/events": {"follow": "false", "after": "0"},
    "GET /v1/statement": {"account": "org/acme"},
    "GET /v1/workloads": {"all": "true"},
}
ABSENT = {
    "org": "emca", "user": "mertrab", "token": "t-9999@acme", "workload": "w9999", "claim": "c9999",
    "reservation": "quietlx@acme", "log_request": "none", "incident": "incident-9",
    "receiver": "webhook-9", "session": "bb",
    "pool": "lab", "market": "lab", "node": "lab-1", "maintenance": "m999",
}  # fmt: skip
"""Names that nothing has; pools, markets and nodes are public, or for operators alone."""

HOLDERS = {
    ANYONE: ("stranger", "foreign_owner", "member", "user", "owner", "operator"),
    MEMBER: ("member", "user", "owner", "operator"),
    SELF: ("user", "owner", "operator"),
    OWNER: ("owner", "operator"),
    PARTNER: ("owner", "operator"),
    OPERATOR: ("operator",),
}
CALLERS = HOLDERS[ANYONE]
OUTSIDE = ("stranger", "foreign_owner")
SECRETS = ("acme", "aurelia", "bertram", "cornelius", "quietly", "canary")
"""Words of the org acme that no answer to an outsider has."""


class Story(NamedTuple):
    """The answers of one route. `absent`: to outsiders who name what nothing has; `made`: events
    that those who may not brought about."""

    names: dict[str, str]
    without_token: list[httpx.Response]
    refused: dict[str, httpx.Response]
    absent: dict[str, httpx.Response]
    answered: dict[str, httpx.Response]
    made: list[str]


class Cast:
    """A server with two orgs, a token for each kind of caller, and something of acme's to want."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.tokens, self.users = {"operator": town.operator}, {"operator": "operator"}
        town.pool(nodes=24, clearing_interval="1h")
        for org in ("acme", "rival"):
            town.done(town.post("/orgs", {"org": org}))
            town.done(town.post(f"/orgs/{org}/deposits", {"amount": "10000"}))
        for caller, user, org, role in (
            ("owner", "aurelia", "acme", "owner"),
            ("user", "bertram", "acme", "member"),
            ("member", "cornelius", "acme", "member"),
            ("foreign_owner", "enemy", "rival", "owner"),
            ("stranger", "mallory", "rival", "member"),
        ):
            town.done(town.post("/users", {"user": user, "org": org, "role": role}))
            self.users[caller] = user
            self.tokens[caller] = town.done(town.post("/tokens", {"user": user}))["secret"]
        owner, user = self.tokens["owner"], self.tokens["user"]
        town.done(town.post("/reservations", {"nodes": 2, "name": "quietly"}, owner))
        self.claim = town.done(town.post("/reservations/quietly/claims", {"nodes": 1}, owner))
        revoked = town.done(town.post("/tokens", {"user": "bertram", "token": "gone"}, user))
        town.done(town.post("/tokens/gone/revoke", {}, user))
        self.revoked = str(revoked["secret"])
        self._stories: dict[str, Story] = {}
        self._hours = itertools.count(20)
        self._maintained = itertools.count(3)
        self._names: dict[str, dict[str, str]] = {}
        self._planned: dict[str, str] = {}

    def names(self, route: str) -> dict[str, str]:
        """What the route's path may name: things of acme, new where a call uses them up."""
        town, user = self.town, self.tokens["user"]
        found = {"org": "acme", "user": "bertram", "pool": "lab", "market": "lab", "node": "lab-1"}
        found |= {"reservation": "quietly@acme", "claim": self.claim["claim"]}
        found |= {
            "log_request": "none",
            "incident": "incident-1",
            "receiver": "webhook-1",
            "session": "aa",
        }
        if route.endswith("{org}/disabled"):
            found["org"] = town.name("org")
            town.done(town.post("/orgs", {"org": found["org"]}))
        elif route.endswith("/disabled"):
            # One that calls nothing: its tokens would be refused from then on.
            found["user"] = town.name("user")
            town.done(town.post("/users", {"user": found["user"], "org": "acme"}))
        if route.endswith("{org}/cap/plan"):
            # A cap that an operator set is no owner's to change.
            town.done(town.post("/orgs/acme/cap", {"cap": None}))
        if route.endswith(("/extend", "/split", "/shrink")):
            # One of its own, with an end where a later one is asked for.
            end = {"end": "+9h"} if route.endswith("/extend") else {}
            body = {"nodes": 3, "name": town.name("right"), **end}
            made = town.done(town.post("/reservations", body, self.tokens["owner"]))
            found["reservation"] = made["reservation"]
        if route.endswith(("/extend/plan", "/end/plan")):
            # A plan uses nothing up: one for all callers, with an end where a later one is planned.
            if route not in self._planned:
                end = {"end": "+9h"} if "/extend/" in route else {}
                body = {"nodes": 1, "name": town.name("right"), **end}
                made = town.done(town.post("/reservations", body, self.tokens["owner"]))
                self._planned[route] = made["reservation"]
            found["reservation"] = self._planned[route]
        if "{maintenance}" in route:
            node = f"lab-{next(self._maintained)}"
            window = {"nodes": [node], "start": "+50d", "end": "+51d", "reason": "x"}
            made = town.done(town.post("/maintenance", window))
            found["maintenance"] = made["maintenance"]
        if "{token}" in route:
            made = town.done(
                town.post("/tokens", {"user": "bertram", "token": town.name("t")}, user)
            )
            found["token"] = made["token"]
        if "{workload}" in route:
            found["workload"] = town.submit("lab", user, command="echo canary", limit_price="0.10")
        return found

    def names_kept(self, route: str) -> dict[str, str]:
        """Those of the first call for the route, whatever has become of them."""
        if route not in self._names:
            self._names[route] = self.names(route)
        return self._names[route]

    def body(self, route: str, names: dict[str, str]) -> Any:
        """A good body of the route, about what is named."""
        sent: Any = bodies(self.town).get(route)
        if not isinstance(sent, dict):
            return sent
        changes = {"org": names["org"], "user": names["user"]}
        made = {**sent, **{key: changes[key] for key in changes if key in sent}}
        if route == "POST /v1/orgs":
            made["org"] = self.town.name("org")
        if route == "POST /v1/users":
            made |= {"user": self.town.name("user"), "role": "member"}
        if route == "POST /v1/tokens":
            made.pop("token")
        if route == "POST /v1/pools/{pool}/nodes":
            made = {"fabrics": {"g": [self.town.name("node")]}}
        if route.endswith("/extend"):
            # Each call asks for a later end than the one before.
            made = {"end": f"+{next(self._hours)}h"}
        if route == "POST /v1/reservations":
            made |= {"name": self.town.name("reservation")}
        return made

    def story(self, route: str) -> "Story":
        """What each kind of caller is answered, asked once for all tests of the route."""
        if route not in self._stories:
            self._stories[route] = self._told(route)
        return self._stories[route]

    def _told(self, route: str) -> "Story":
        may, names, tokens = HOLDERS[NEEDS[route]], self.names(route), self.tokens
        before = self.position()
        unknown = ["x", "pk_" + "x" * 43, self.revoked]
        without_token = [self.ask(route, token, names) for token in (None, *unknown)]
        refused = {one: self.ask(route, tokens[one], names) for one in CALLERS if one not in may}
        absent = {one: self.ask(route, tokens[one], ABSENT) for one in OUTSIDE if one not in may}
        made = self._made_since(before, {self.users[one] for one in refused})
        answered = {one: self.ask(route, tokens[one], names) for one in may}
        return Story(names, without_token, refused, absent, answered, made)

    def position(self) -> int:
        """Where the journal ends."""
        found = re.search(r"^parkade_journal_sequence (\S+)$", self._metrics(), re.MULTILINE)
        assert found is not None
        return int(float(found[1]))

    def _metrics(self) -> str:
        return self.town.http.get("/metrics").text

    def _made_since(self, position: int, users: set[str]) -> list[str]:
        """The events after a position that these users asked for."""
        if self.position() == position:
            return []
        since = self.town.events(self.town.operator, after=position)
        return [each["type"] for each in since if each["by"] in users]

    def ask(self, route: str, token: str | None, names: dict[str, str]) -> httpx.Response:
        """The answer of a route."""
        method, path = route.split()
        url = path.format(**names)
        query = dict(QUERIES.get(route, {}))
        if "account" in query:
            query["account"] = f"org/{names['org']}"
        headers = {} if token is None else self.town.headers(token)
        body = self.body(route, names) if method == "POST" else None
        if method == "POST" and body is None:
            body = {}
        return self.town.http.request(method, url, params=query, headers=headers, json=body)
