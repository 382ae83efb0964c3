"""Journals as a writer leaves them, for tests of what is read from them."""

import contextlib
from pathlib import Path

from parkade.control.cycle import Asked, Cycle
from parkade.control.recover import recover
from parkade.control.rules import RULES
from parkade.core.state import commands
from parkade.core.state.codec import encode_snapshot
from parkade.core.state.world import SNAPSHOT_VERSION
from parkade.ports import StoredSnapshot
from parkade.store import open_sqlite
from tests import builders


def a_journal(path: Path, *, org: str = "acme") -> Path:
    """Adds an epoch with some events; the store is closed again."""
    with contextlib.closing(open_sqlite(path)) as store:
        cycle = Cycle(recover(store, RULES), store, RULES, check_every=1)
        now_us = cycle.world.records.now_us + 1
        cycle.open(builders.open_epoch(), now_us)
        number = cycle.sequence
        asked: list[commands.AnyCommand] = [
            builders.open_pool(f"p{number}", {f"f{number}": 2}),
            commands.CreateOrg(by=None, org=f"{org}-{number}"),
            commands.Deposit(by=None, org=f"{org}-{number}", micros=5_000_000),
            commands.Deposit(by=None, org=f"{org}-{number}", micros=6_000_000),
            builders.submit(f"{org}-{number}") if number == 1 else builders.open_pool("later"),
        ]
        for command in asked:
            cycle.take_commands(now_us, [Asked(command=command, idempotency=None)])
    return path


def keep_snapshot(path: Path) -> int:
    """Keeps a snapshot of a journal's end, whose sequence is returned."""
    with contextlib.closing(open_sqlite(path)) as store:
        recovered = recover(store, RULES)
        body = encode_snapshot(recovered.world)
        snapshot = StoredSnapshot(sequence=recovered.sequence, version=SNAPSHOT_VERSION, body=body)
        store.keep_snapshot(snapshot, keep=3)
    return recovered.sequence
