"""A server with a lot to look at: two orgs, a lent reservation, a guest, and one that waits."""

from pathlib import Path

from tests.api.town import Town

SCRIPT = "<img src=x onerror=window.broken=1>"


class Stage:
    """What is there, by name. Workloads run as their test says: no agent is there."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.tokens = {"operator": town.operator}
        self.pool = town.pool(notice="60s", clearing_pause="50ms", clearing_interval="1s")
        for org, role in (("aurelia", "owner"), ("bertram", "member")):
            town.done(town.post("/orgs", {"org": org}))
            town.done(town.post(f"/orgs/{org}/deposits", {"amount": "9000"}))
            town.done(town.post("/users", {"user": f"{org}-{role}", "org": org, "role": role}))
            secret = town.done(town.post("/tokens", {"user": f"{org}-{role}"}))["secret"]
            self.tokens[org] = secret
        town.done(town.post("/users", {"user": "paul", "org": "bertram", "role": "partner"}))
        self.tokens["partner"] = town.done(town.post("/tokens", {"user": "paul"}))["secret"]
        town.done(town.post("/reservations", {"nodes": 2}, self.tokens["aurelia"]))
        town.done(town.post("/reservations/aurelia/lend", {"floor": "1"}, self.tokens["aurelia"]))
        size = {"nodes": 8, "gpus": 2, "labels": {"compound": "batch"}}
        self.guest = self.run("bertram", "guest-of-lent", limit_price="9", **size)
        self.waiting = self.submit("bertram", "too-low", limit_price="0.10")

    def submit(self, org: str, name: str, **keys: object) -> str:
        """A workload's id."""
        spec = {"command": f"echo {SCRIPT}", **keys}
        return self.town.submit(self.pool, self.tokens[org], name=name, **spec)

    def run(self, org: str, name: str, **keys: object) -> str:
        """A workload that runs."""
        workload = self.submit(org, name, **keys)
        attempt = self.town.wait_for_attempt(self.pool, workload)
        assert self.town.observe(self.pool, self.town.running(attempt)).is_success
        return workload


def shots() -> Path | None:
    """Where pictures are left to be looked at, where a person asks for them."""
    import os

    asked = os.environ.get("PARKADE_SHOTS")
    return Path(asked) if asked else None
