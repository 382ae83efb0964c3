"""A small trace and prices that are made up, and scenarios for them: to try `replay` with.

Four tenants of 12 nodes over two days, by the minute: a lab that works by day, a team that trains
in bursts, a product group that is always busy, and one that is almost idle. What they queue when
their quota is full can often run on what others leave idle. All of it is drawn from one seed, so
that the files are the same everywhere.
"""

import random
from collections.abc import Callable

MINUTES_PER_DAY = 24 * 60
DAYS = 2
SEED = 7
# (tenant, quota in GPUs, GPUs that it wants by day, by night, how far that varies)
TENANTS = (
    ("lab", 32, 30, 6, 6),
    ("training", 32, 20, 36, 14),
    ("product", 16, 15, 14, 4),
    ("archive", 16, 3, 1, 3),
)
QUOTES = 60
MORNING, EVENING = 8 * 60, 19 * 60
LONGEST_MINUTES = 240

RESALE = """\
version: 1
kind: idle-resale
name: Four orgs, two days
trace: {file: trace.csv}
quotes: {file: prices.csv, gpu_model: H100_SXM}
fleet: {gpus_per_node: 8, fabric_nodes: 6}
terms:
  pay_as_you_go: 2.90
  reservation_rate: 2.00
  public_floor: 0.50
  fee: 1/10
  notice: 2m
  buffer_nodes: 0
owners: {floor: 0.50}
sweeps: {keep: [0, 25]}
"""

PARKING = """\
version: 1
kind: parking
name: A reservation, used 40 of 168 hours
reserved_at: 4
pay_as_you_go: 12
floor: 5
fee: 2/7
nodes: 4
fills: ["0", "1/2", "9/10", "77/80", "399/400"]
"""


def trace() -> str:
    """`trace.csv`: tenant by tenant, minute by minute."""
    chance = random.Random(SEED)
    lines = ["vc,time,quota_gpus,busy_gpus,queued_gpus"]
    for tenant, quota, by_day, by_night, spread in TENANTS:
        wanted = until = 0
        for minute in range(DAYS * MINUTES_PER_DAY):
            if minute >= until:
                clock = minute % MINUTES_PER_DAY
                mean = by_day if MORNING <= clock < EVENING else by_night
                wanted = max(0, round(chance.gauss(mean, spread)))
                until = minute + chance.randint(10, LONGEST_MINUTES)
            day, rest = divmod(minute, MINUTES_PER_DAY)
            time = f"2026-03-{2 + day:02} {rest // 60:02}:{rest % 60:02}:00"
            busy = min(quota, wanted)
            lines.append(f"{tenant},{time},{quota},{busy},{wanted - busy}")
    return "\n".join(lines) + "\n"


def prices() -> str:
    """`prices.csv`: quotes of one GPU, by day."""
    chance = random.Random(SEED)
    lines = ["date,gpu_model,gpu_count,rental_type,price_median_usd"]
    for number in range(QUOTES):
        for rental, median in (("spot", 1.9), ("on_demand", 2.9)):
            price = median * chance.lognormvariate(0, 0.2)
            lines.append(f"2026-02-{1 + number % 28:02},H100_SXM,1,{rental},{price:.2f}")
    return "\n".join(lines) + "\n"


FILES: dict[str, Callable[[], str]] = {
    "trace.csv": trace,
    "prices.csv": prices,
    "idle-resale.yaml": lambda: RESALE,
    "parking.yaml": lambda: PARKING,
}
"""Name and text of each file."""
