"""The control plane's settings, with the values that an installation begins with."""

import msgspec

from parkade.core.units.time import DAY_US, HOUR_US, MINUTE_US, SECOND_US


class PlaneSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`batch_limit` commands share a commit, `inbox_limit` may wait, of one org `org_inbox_limit`;
    `plans_limit` plans may wait, of one org `org_plans_limit`, and a turn makes one; its other
    views take `views_us`, or one view. `check_every`: the world's invariants are checked after
    every n-th event, and no sooner than after as many as it has nodes and workloads unless n is 1;
    0 for never. `jump_us` and `restart_jump_us`: how far the clock may be ahead of what a pause
    explains. `clearing_part`: a clearing that took t is followed by (part - 1) x t without one;
    where one may take longer than `beside_after_us`, by what the market's last took, it is decided
    beside the writer's turns, and within one after all where that takes longer than
    `beside_late_us`. `longest_turn_us`: a writer whose turn lasts longer counts as one that does
    not run. `exec_sessions`: commands beside ranks at once; in each at most `exec_held_bytes` wait
    either way, and it ends where no byte came either way for `exec_idle_us`. `archive_after_us`:
    entries of the journal older than this are folded; None: none."""

    batch_limit: int = 256
    inbox_limit: int = 10_000
    org_inbox_limit: int = 1_000
    plans_limit: int = 256
    org_plans_limit: int = 16
    views_us: int = 50_000
    deadlines_limit: int = 500
    feed_length: int = 10_000
    unreachable_after_us: int = 15 * SECOND_US
    snapshot_every_events: int = 20_000
    snapshot_every_us: int = 10 * MINUTE_US
    snapshots_kept: int = 3
    answers_kept_us: int = 7 * DAY_US
    archive_after_us: int | None = None
    check_every: int = 0
    jump_us: int = HOUR_US
    restart_jump_us: int = 7 * DAY_US
    clearing_part: int = 4
    beside_after_us: int = 50_000
    beside_late_us: int = 20 * SECOND_US
    longest_wait_us: int = SECOND_US
    longest_turn_us: int = MINUTE_US
    observation_repeat_us: int = 10 * SECOND_US
    log_answer_timeout_us: int = 10 * SECOND_US
    log_chunks_held: int = 16
    exec_sessions: int = 64
    exec_sessions_per_user: int = 8
    exec_held_bytes: int = 262_144
    exec_idle_us: int = HOUR_US
